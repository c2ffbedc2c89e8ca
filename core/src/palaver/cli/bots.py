"""From MODULE:BOT on the command line to a bot."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from palaver.bot.bot import Bot
from palaver.bot.console import error_report

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ("load_bot",)


def load_bot(target: str) -> Bot[Any]:
    """Import the bot that MODULE:BOT names; the current folder is searched first.

    Raises:
        click.UsageError: there is no such module or bot; the message names those that are there.
        click.ClickException: the module fails when it is imported; the message shows its author where.
    """
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
