"""The command line, where something is missing."""

from __future__ import annotations

from importlib import metadata

import pytest
from click.testing import CliRunner

from palaver.cli.commands import palaver


@pytest.mark.parametrize("arguments", [[], ["memory://", "--profile", "smoke"], ["--help"]])
@pytest.mark.parametrize("command", ["conformance", "new-driver"])
def test_a_command_of_ours_that_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str]
) -> None:
    """Whatever it is given."""
    monkeypatch.setattr("palaver.cli.group.metadata.entry_points", lambda **_: metadata.EntryPoints())

    done = CliRunner().invoke(palaver, [command, *arguments])

    assert done.exit_code == 1
    assert done.output == f"Error: the command '{command}' is not installed: pip install palaver-conformance\n"


def test_an_unknown_command_is_an_error_as_ever() -> None:
    """Nothing is to be installed for it."""
    done = CliRunner().invoke(palaver, ["chatt"])

    assert done.exit_code == 2
    assert "No such command 'chatt'" in done.output
