"""`palaver chat`: a conversation with a bot."""

from __future__ import annotations

import asyncio
import sys

import click

from palaver.bot.console import DEFAULT_SESSION_ID, Console, plain_message
from palaver.cli.bots import load_bot
from palaver.discovery.drivers import open_store
from palaver.errors import PalaverError

__all__ = ("chat",)


@click.command()
@click.argument("target", default="palaver.bot.nickname:bot", metavar="[MODULE:BOT]")
@click.option(
    "--store", "url", metavar="URL", help="Where to keep sessions, as in file:.sessions; else as the bot says."
)
@click.option(
    "--session", "session_id", default=DEFAULT_SESSION_ID, show_default=True, help="Whose conversation it is."
)
def chat(target: str, url: str | None, session_id: str) -> None:
    """Talk to a bot: to yours, or to one that asks for your nickname."""
    bot = load_bot(target)
    try:
        if url is not None:
            bot.use_store(open_store(url))
        failures = asyncio.run(Console(bot, session_id=session_id).run())
    except PalaverError as error:
        raise click.ClickException(plain_message(error)) from error
    if failures and not sys.stdin.isatty():
        raise click.exceptions.Exit(1)
