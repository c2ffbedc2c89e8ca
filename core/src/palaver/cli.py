"""The command line: talk to a bot, list the drivers, and whatever commands other distributions bring."""

from __future__ import annotations

import asyncio
import importlib
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from palaver.bot.bot import Bot
from palaver.bot.console import DEFAULT_SESSION_ID, Console, error_report, plain_message
from palaver.discovery.drivers import driver_fault, installed_drivers, open_store
from palaver.errors import PalaverError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ("COMMAND_GROUP", "palaver")

COMMAND_GROUP: Final = "palaver.commands"
"""The entry-point group of commands that other distributions bring: each entry names a click command."""

_ELSEWHERE: Final = {"conformance": "palaver-conformance", "new-driver": "palaver-conformance"}
"""Commands of other distributions of ours, to say what to install."""


class _Commands(click.Group):
    """The commands here and those of other distributions, which are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *metadata.entry_points(group=COMMAND_GROUP).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
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


@click.group(cls=_Commands)
@click.version_option(package_name="palaver-core")
def palaver() -> None:
    """Conversation sessions for Python bots."""


@palaver.command()
@click.argument("target", default="palaver.bot.nickname:bot", metavar="[MODULE:BOT]")
@click.option(
    "--store", "url", metavar="URL", help="Where to keep sessions, as in file:.sessions; else as the bot says."
)
@click.option(
    "--session", "session_id", default=DEFAULT_SESSION_ID, show_default=True, help="Whose conversation it is."
)
def chat(target: str, url: str | None, session_id: str) -> None:
    """Talk to a bot: to yours, or to one that asks for your nickname."""
    bot = _load_bot(target)
    try:
        if url is not None:
            bot.use_store(open_store(url))
        failures = asyncio.run(Console(bot, session_id=session_id).run())
    except PalaverError as error:
        raise click.ClickException(plain_message(error)) from error
    if failures and not sys.stdin.isatty():
        raise click.exceptions.Exit(1)


@palaver.command()
def drivers() -> None:
    """List the installed drivers, and what they lack."""
    for driver in installed_drivers():
        fault = driver_fault(driver)
        lack = "" if fault is None else f" - cannot be used: {fault}"
        click.echo(f"{driver.scheme:<16}{driver.distribution} {driver.version}{lack}")


def _load_bot(target: str) -> Bot[Any]:
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise click.UsageError(f"{target!r} does not name a bot; write MODULE:BOT, as in my_bot:bot")
    bot = getattr(_import(module_name), name, None)
    if not isinstance(bot, Bot):
        fault = f"there is no {target!r}" if bot is None else f"{target!r} is a {type(bot).__name__}, not a bot"
        raise click.UsageError(f"{fault}; {_bots_in(module_name)}")
    return bot


def _import(module_name: str) -> ModuleType:
    # As `python -m` does: a bot is usually in the folder where it is started.
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise click.UsageError(f"there is no module {module_name!r} here or installed") from error
        raise _broken_module(module_name, error) from error
    except Exception as error:  # whatever the author's module does when it is imported
        raise _broken_module(module_name, error) from error


def _broken_module(module_name: str, error: Exception) -> click.ClickException:
    report = error_report(error, _is_import_machinery)
    return click.ClickException(f"the module {module_name!r} cannot be imported\n{report.rstrip()}")


def _is_import_machinery(file: str) -> bool:
    return file in {__file__, importlib.__file__} or file.startswith("<frozen importlib")


def _bots_in(module_name: str) -> str:
    names = sorted(name for name, value in vars(sys.modules[module_name]).items() if isinstance(value, Bot))
    if not names:
        return f"no bot is in {module_name!r}; make one there, as in: bot = ConsoleBot()"
    return f"there is {', '.join(f'{module_name}:{name}' for name in names)}"
