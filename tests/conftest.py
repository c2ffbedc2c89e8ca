"""The stores that the whole is tested with: every one that is shipped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest

from palaver import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVERS: Final = ("redis", "mongodb", "postgresql", "mysql")

# By their mark, `pytest -m "not server"` leaves out what needs a server.
ON_SERVERS: Final[list[Any]] = [pytest.param(kind, marks=pytest.mark.server) for kind in SERVERS]


def _url(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    if kind in SERVERS:
        yield from _own_namespace(request.getfixturevalue(f"{kind}_url"))
        return
    yield {
        "memory": "memory://",
        "file": f"file:{folder / 'sessions'}",
        "sqlite": f"sqlite:///{folder / 'bot.db'}",
    }[kind]


def _own_namespace(server: str) -> Iterator[str]:
    """Give a test a namespace for itself, and leave nothing in it: the server may be somebody's."""
    url = f"{server}{'&' if '?' in server else '?'}namespace={uuid4().hex}"
    yield url
    asyncio.run(_clear(url))


async def _clear(url: str) -> None:
    async with open_store(url) as store:
        await store.clear()


@pytest.fixture(params=["memory", "file", "sqlite", *ON_SERVERS])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store of each kind."""
    yield from _url(request.param, request, tmp_path)


@pytest.fixture(params=["file", "sqlite", *ON_SERVERS])
def persistent_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store of each kind that outlives a process."""
    yield from _url(request.param, request, tmp_path)
