"""SQLite, through aiosqlite."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sqlalchemy import event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from palaver.errors import InvalidOptionError

if TYPE_CHECKING:
    from sqlalchemy import URL, Insert, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ("SQLite",)

DEFAULT_TIMEOUT: Final = 20.0

_DRIVER: Final = "sqlite+aiosqlite"
_MODES: Final = ("ro", "rw", "rwc")
_URL_OPTIONS: Final = ("mode", "timeout", "uri")

# https://www.sqlite.org/limits.html: a row has at most a thousand million bytes, and up to
# 1.1 KiB of them are not payload.
_MAX_PAYLOAD_BYTES: Final = 1_000_000_000 - 4096

# Every connection says what the store promises, whatever the library was built with: an acknowledged save is on the
# disk (https://www.sqlite.org/pragma.html#pragma_synchronous), on macOS too, where a plain fsync is not enough.
_PRAGMAS: Final = ("PRAGMA synchronous = FULL", "PRAGMA fullfsync = ON")

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.1
_LONGEST_TIMEOUT: Final = 3600

# https://www.sqlite.org/rescode.html, the primary result codes.
_REASONS: Final = {
    sqlite3.SQLITE_BUSY: "somebody else has kept it locked for too long",
    sqlite3.SQLITE_LOCKED: "somebody else has kept it locked for too long",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the file cannot be read or written (disk I/O error)",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; its folder must be there, and both must be yours to write",
    sqlite3.SQLITE_PERM: "this user may not use the file",
    sqlite3.SQLITE_AUTH: "this user may not use the file",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; bring back a copy, or rescue what is left with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; move it away, or use another path",
}


class SQLite:
    """A database in a file.

    Args:
        url: an SQLAlchemy URL; a plain `sqlite:` gets the driver aiosqlite.

    Raises:
        InvalidOptionError: it names another driver, an unknown option, or a database in memory.
    """

    max_payload_bytes = _MAX_PAYLOAD_BYTES

    def __init__(self, url: URL) -> None:
        if url.drivername not in {"sqlite", _DRIVER}:
            raise InvalidOptionError(
                f"{url.drivername}: is not asynchronous; write sqlite: or {_DRIVER}:", option="url"
            )
        if url.host:
            raise InvalidOptionError("a file needs three slashes, as in sqlite:///bot.db", option="url")
        options = _checked_options(url)
        path = _path(url)
        self._timeout = options.get("timeout", DEFAULT_TIMEOUT)
        self._url = url.set(drivername=_DRIVER, database=str(path), query={})
        if "mode" in options:
            self._url = self._url.set(database=path.as_uri(), query={"mode": options["mode"], "uri": "true"})
        self.location = f"sqlite:///{path}"

    def create_engine(self, **options: Any) -> AsyncEngine:
        # With isolation_level None, Python's sqlite3 leaves the beginning of transactions to `begin_write`.
        engine = create_async_engine(
            self._url, connect_args={"isolation_level": None, "timeout": self._timeout}, **options
        )
        event.listen(engine.sync_engine, "connect", _set_up_connection)
        return engine

    async def prepare(self, connection: AsyncConnection) -> None:
        """Switch to the write-ahead log, in which readers wait for nobody.

        The switch needs the file for itself and does not wait for it: others may be about to do the same.
        """
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            except OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            else:
                return
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  # no secret
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def begin_write(self, connection: AsyncConnection) -> None:
        # Without IMMEDIATE, what reads first and writes then fails at once when somebody else wrote in between.
        await connection.exec_driver_sql("BEGIN IMMEDIATE")

    def upsert(self, table: Table) -> Insert:
        statement = insert(table)
        changed = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)

    def explain(self, error: DBAPIError) -> str:
        return _REASONS.get(_code(error)) or str(error.orig)


def _set_up_connection(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    try:
        # Text that is no UTF-8, put in by hand, must not fail with an error that quotes it.
        connection.driver_connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        for pragma in _PRAGMAS:
            connection.cursor().execute(pragma)
    except BaseException:
        connection.close()  # the pool has not taken it yet
        raise


def _checked_options(url: URL) -> dict[str, Any]:
    for name, value in url.query.items():
        if name not in _URL_OPTIONS:
            raise InvalidOptionError(f"unknown in an sqlite URL; there are {', '.join(_URL_OPTIONS)}", option=name)
        if not isinstance(value, str):
            raise InvalidOptionError("it stands in the URL twice", option=name)
    options: dict[str, Any] = dict(url.query)
    if options.get("mode", "rwc") not in _MODES:
        raise InvalidOptionError(f"it is one of {', '.join(_MODES)}", option="mode")
    if "timeout" in options:
        options["timeout"] = _seconds(options["timeout"])
    return options


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise InvalidOptionError(f"{text!r} is not a number of seconds", option="timeout") from error
    if not 0 <= seconds <= _LONGEST_TIMEOUT:
        raise InvalidOptionError(f"it is between 0 and {_LONGEST_TIMEOUT} seconds", option="timeout")
    return seconds


def _path(url: URL) -> Path:
    """Return the absolute path of the file: a relative one must not wander when the process changes its folder."""
    name = url.database or ""
    if name.startswith("file:") and "uri" in url.query:
        name = unquote(name.removeprefix("file:").partition("?")[0])
    if name in {"", ":memory:"}:
        raise InvalidOptionError(
            "a database in memory would end with the store; use memory://, or name a file", option="url"
        )
    return Path(name).absolute()


def _code(error: DBAPIError) -> int:
    """Return the primary result code of SQLite; 0 when the error is not SQLite's own."""
    code: int = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF
