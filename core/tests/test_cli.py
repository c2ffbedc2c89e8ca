"""The command line, where something is missing."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from palaver import InvalidOptionError, drivers
from palaver.cli import palaver

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("arguments", [[], ["memory://", "--profile", "smoke"], ["--help"]])
@pytest.mark.parametrize("command", ["conformance", "new-driver"])
def test_a_command_of_ours_that_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str]
) -> None:
    """Whatever it is given."""
    monkeypatch.setattr("palaver.cli.metadata.entry_points", lambda **_: metadata.EntryPoints())

    done = CliRunner().invoke(palaver, [command, *arguments])

    assert done.exit_code == 1
    assert done.output == f"Error: the command '{command}' is not installed: pip install palaver-conformance\n"


def test_an_unknown_command_is_an_error_as_ever() -> None:
    """Nothing is to be installed for it."""
    done = CliRunner().invoke(palaver, ["chatt"])

    assert done.exit_code == 2
    assert "No such command 'chatt'" in done.output


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
