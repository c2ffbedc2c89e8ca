"""The commands of other distributions, found through entry points and imported when they are asked for."""

from __future__ import annotations

from importlib import metadata
from typing import Final

import click

__all__ = ("COMMAND_GROUP", "CommandGroup")

COMMAND_GROUP: Final = "palaver.commands"
"""The entry-point group of commands that other distributions bring: each entry names a click command."""

_ELSEWHERE: Final = {"conformance": "palaver-conformance", "new-driver": "palaver-conformance"}
"""Commands of other distributions of ours, to say what to install."""


class CommandGroup(click.Group):
    """The commands here and those of other distributions, which are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands here and those of other distributions."""
        return sorted({*super().list_commands(ctx), *metadata.entry_points(group=COMMAND_GROUP).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now; one that is broken or not installed says so when it is called."""
        own = super().get_command(ctx, cmd_name)
        found = metadata.entry_points(group=COMMAND_GROUP, name=cmd_name)
        if own is not None:
            return own
        if found:
            return _load_command(next(iter(found)))
        return _missing_command(cmd_name)


def _load_command(entry_point: metadata.EntryPoint) -> click.Command:
    try:
        command = entry_point.load()
    except Exception as error:  # noqa: BLE001  # whatever a foreign module does when it is imported
        return _broken_command(entry_point, f"{type(error).__name__}: {error}")
    if not isinstance(command, click.Command):
        return _broken_command(entry_point, f"{entry_point.value} is a {type(command).__name__}")
    return command


def _broken_command(entry_point: metadata.EntryPoint, reason: str) -> click.Command:
    distribution = "unknown" if entry_point.dist is None else entry_point.dist.name
    return _failing_command(
        entry_point.name, f"the command {entry_point.name!r}, from {distribution}, is broken: {reason}"
    )


def _missing_command(name: str) -> click.Command | None:
    package = _ELSEWHERE.get(name)
    if package is None:
        return None
    return _failing_command(name, f"the command {name!r} is not installed: pip install {package}")


def _failing_command(name: str, message: str) -> click.Command:
    """Return a command that says what is wrong whatever it is given, and disturbs no other."""

    def fail() -> None:
        raise click.ClickException(message)

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=fail, short_help=message, add_help_option=False, context_settings=anything)
