"""`palaver drivers`, with every driver that is shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from palaver import InvalidOptionError
from palaver.cli.commands import palaver
from palaver.discovery import drivers

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def test_drivers_shows_what_a_driver_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside its name, and the others as ever."""
    open_store: Callable[..., object] = drivers.open_store

    def without_asyncpg(url: str) -> object:
        if url.startswith("postgresql:"):
            raise InvalidOptionError("asyncpg is not installed: pip install asyncpg", option="url") from ImportError()
        return open_store(url)

    monkeypatch.setattr(drivers, "open_store", without_asyncpg)
    lines = CliRunner().invoke(palaver, ["drivers"]).output.splitlines()

    faults = {line.split()[0]: line.partition(" - ")[2] for line in lines}
    assert faults["postgresql"] == "cannot be used: asyncpg is not installed: pip install asyncpg"
    assert {scheme for scheme, fault in faults.items() if fault} == {"postgresql"}
