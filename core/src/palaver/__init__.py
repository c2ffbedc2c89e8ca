"""Conversation sessions for Python bots.

`Sessions` is the engine, `open_store` finds a store, `SessionStore` is the contract for drivers, `ConsoleBot` a bot
to start with.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING

from palaver.contract.batches import BatchSessionStore
from palaver.contract.clock import Clock, ManualClock, SystemClock
from palaver.contract.record import ABSENT, Absent, Record, new_version
from palaver.contract.store import Capabilities, SessionStore, StoreOptions
from palaver.discovery.drivers import Driver, installed_drivers, open_store
from palaver.discovery.hookspecs import hookimpl
from palaver.errors import (
    ConflictError,
    CorruptSessionError,
    DriverLoadError,
    DriverNotFoundError,
    DuplicateDriverError,
    InvalidOptionError,
    InvalidSessionIdError,
    InvalidStateError,
    NestedTurnError,
    PalaverError,
    SessionBusyError,
    SessionTooLargeError,
    StoreClosedError,
    StoreUnavailableError,
    TurnDeadlockError,
    TurnEndedError,
    UnsupportedError,
    WrongLoopError,
)

if TYPE_CHECKING:
    __version__: str
    from palaver.bot.bot import Bot
    from palaver.bot.console import ConsoleBot, TextEvent
    from palaver.bot.context import Connector, Context
    from palaver.engine.session import Session
    from palaver.engine.sessions import Sessions
    from palaver.engine.snapshot import Snapshot

__all__ = (  # noqa: RUF022  # in the order in which people meet them
    # the engine
    "Session",
    "Sessions",
    "Snapshot",
    # the bot
    "Bot",
    "Connector",
    "ConsoleBot",
    "Context",
    "TextEvent",
    # the contract
    "ABSENT",
    "Absent",
    "BatchSessionStore",
    "Capabilities",
    "Clock",
    "ManualClock",
    "Record",
    "SessionStore",
    "StoreOptions",
    "SystemClock",
    "new_version",
    # discovery
    "Driver",
    "hookimpl",
    "installed_drivers",
    "open_store",
    # errors
    "ConflictError",
    "CorruptSessionError",
    "DriverLoadError",
    "DriverNotFoundError",
    "DuplicateDriverError",
    "InvalidOptionError",
    "InvalidSessionIdError",
    "InvalidStateError",
    "NestedTurnError",
    "PalaverError",
    "SessionBusyError",
    "SessionTooLargeError",
    "StoreClosedError",
    "StoreUnavailableError",
    "TurnDeadlockError",
    "TurnEndedError",
    "UnsupportedError",
    "WrongLoopError",
)

# These need asyncio, which takes longer to import than all the rest: they are imported when they are first used.
_LAZY = {
    "Bot": "palaver.bot.bot",
    "Connector": "palaver.bot.context",
    "ConsoleBot": "palaver.bot.console",
    "Context": "palaver.bot.context",
    "Session": "palaver.engine.session",
    "Sessions": "palaver.engine.sessions",
    "Snapshot": "palaver.engine.snapshot",
    "TextEvent": "palaver.bot.console",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return metadata.version("palaver-core")
    if name not in _LAZY:
        raise AttributeError(f"module 'palaver' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, "__version__"})
