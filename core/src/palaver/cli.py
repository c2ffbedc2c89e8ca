"""The command line: talk to a bot, list the drivers."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import click

from palaver.bot import Bot
from palaver.console import DEFAULT_SESSION_ID, Console
from palaver.drivers import installed_drivers, open_store
from palaver.errors import PalaverError

__all__ = ("palaver",)


@click.group()
@click.version_option(package_name="palaver-core")
def palaver() -> None:
    """Conversation sessions for Python bots."""


@palaver.command()
@click.argument("target", default="palaver.nickname:bot", metavar="[MODULE:BOT]")
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
        raise click.ClickException(str(error)) from error
    if failures and not sys.stdin.isatty():
        raise click.exceptions.Exit(1)


@palaver.command()
def drivers() -> None:
    """List the installed drivers."""
    for driver in installed_drivers():
        click.echo(f"{driver.scheme:<16}{driver.distribution} {driver.version}")


def _load_bot(target: str) -> Bot[Any]:
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise click.UsageError(f"{target!r} does not name a bot; write MODULE:BOT, as in my_bot:bot")
    # As `python -m` does: a bot is usually in the folder where it is started.
    sys.path.insert(0, str(Path.cwd()))
    try:
        bot = getattr(importlib.import_module(module_name), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise click.UsageError(f"there is no module {module_name!r} here or installed") from error
    if not isinstance(bot, Bot):
        found = "nothing" if bot is None else f"a {type(bot).__name__}"
        raise click.UsageError(f"{target!r} is {found}, not a bot")
    return bot
