"""The command `palaver`, with all others beneath it."""

from __future__ import annotations

import click

from palaver.cli.chat import chat
from palaver.cli.drivers import drivers
from palaver.cli.group import CommandGroup

__all__ = ("palaver",)


@click.group(cls=CommandGroup)
@click.version_option(package_name="palaver-core")
def palaver() -> None:
    """Conversation sessions for Python bots."""


palaver.add_command(chat)
palaver.add_command(drivers)
