"""The stores that the whole is tested with: every one that is shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PERSISTENT = ("file", "sqlite")


def _url(kind: str, folder: Path) -> str:
    return {
        "memory": "memory://",
        "file": f"file:{folder / 'sessions'}",
        "sqlite": f"sqlite:///{folder / 'bot.db'}",
    }[kind]


@pytest.fixture(params=["memory", *PERSISTENT])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of each kind."""
    return _url(request.param, tmp_path)


@pytest.fixture(params=PERSISTENT)
def persistent_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of each kind that outlives a process."""
    return _url(request.param, tmp_path)
