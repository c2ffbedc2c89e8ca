"""SQLite, through Python's own sqlite3 in a few threads.

A unit of work is one trip to a thread and back, however many statements it has. An asynchronous driver for SQLite uses
a thread as well, but makes the trip three or four times for every statement.
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote

from sqlalchemy import and_, create_engine, delete, func, or_, select, true
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool

from palaver.contract.record import ABSENT
from palaver.errors import InvalidOptionError, StoreUnavailableError
from palaver.toolkit.due import due_at
from palaver.toolkit.options import unknown_option
from palaver.toolkit.threads import Threads
from palaver_sql._statements import PAGE_SIZE, PIECE, Statements, decide_swaps, transaction

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import URL, ColumnElement, Connection, Engine, Insert, Table

    from palaver.contract.clock import Clock
    from palaver.contract.record import Record
    from palaver_sql._dialects import Dialect
    from palaver_sql._statements import Swap

__all__ = ("SQLite",)

T = TypeVar("T")

DEFAULT_TIMEOUT: Final = 20.0

# They all name the same file; how it is opened is this module's business.
_NAMES: Final = frozenset({"sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"})
_MODES: Final = ("ro", "rw", "rwc")
_URL_OPTIONS: Final = ("mode", "timeout", "uri")

# https://www.sqlite.org/limits.html: a row has at most a thousand million bytes, and up to
# 1.1 KiB of them are not payload.
_MAX_PAYLOAD_BYTES: Final = 1_000_000_000 - 4096

# Every connection says what the store promises, whatever the library was built with: an acknowledged save is on the
# disk (https://www.sqlite.org/pragma.html#pragma_synchronous), on macOS too, where a plain fsync is not enough.
_PRAGMAS: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",
    # The log may grow to 16 MB, not 4, before it is copied into the database: what is saved again meanwhile, as the
    # sessions of busy conversations are, is copied once. With 32 MB, batches are a little faster still, but a small
    # volume may be full before. A log that has grown further behind a long read is cut back.
    "PRAGMA wal_autocheckpoint = 4000",
    f"PRAGMA journal_size_limit = {20 * 2**20}",
    # Each connection keeps up to 16 MB of pages, not 2.
    "PRAGMA cache_size = -16000",
)

# Without IMMEDIATE, what reads first and writes then fails at once when somebody else wrote in between.
_BEGIN: Final = "BEGIN IMMEDIATE"

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
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore a copy, or rescue what is left with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; move it away, or use another path",
}

_LASTING: Final = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
}


class SQLite:
    """A database in a file.

    Args:
        url: an SQLAlchemy URL, as in `sqlite:///bot.db`.

    Raises:
        InvalidOptionError: it names another driver, an unknown option, or a database in memory.
    """

    max_payload_bytes = _MAX_PAYLOAD_BYTES
    # More readers than this only wait for each other: Python runs one of them at a time. One writer at a time: that is
    # SQLite.
    readers = 4
    writers = 1
    quotes_data = False
    schema = None
    errors = ()

    def __init__(self, url: URL, engine: object, timeouts: Mapping[str, float], schema: str | None) -> None:
        if engine is not None:
            raise InvalidOptionError("an engine for SQLite cannot be used; give the URL of the file", option="url")
        if schema is not None:
            raise InvalidOptionError("a file of SQLite has no schemas; use table, or another file", option="schema")
        if "connect_timeout" in timeouts:
            raise InvalidOptionError("SQLite has no server to connect to; it has timeout", option="connect_timeout")
        if url.drivername.lower() not in _NAMES:
            raise InvalidOptionError(f"{url.drivername}: is not supported; write sqlite:", option="url")
        if url.host or url.port or url.username or url.password:
            raise InvalidOptionError("a file needs three slashes, as in sqlite:///bot.db", option="url")
        options = _checked_options(url)
        self._path = _path(url)
        self._mode = options.get("mode", "rwc")
        self._timeout = _seconds(timeouts.get("timeout", options.get("timeout", DEFAULT_TIMEOUT)))
        self.patience = self._timeout

    @property
    def location(self) -> str:
        """Where the file is."""
        return f"sqlite:///{self._path}"

    def connect(self) -> _Connections:
        size = self.readers + self.writers
        engine = create_engine(
            "sqlite+pysqlite://",
            creator=self._open,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            hide_parameters=True,
        )
        return _Connections(engine, size)

    def prepare(self, connection: Connection) -> None:
        """Switch to the write-ahead log, in which readers wait for nobody.

        The switch needs the file for itself and does not wait for it: others may be about to do the same.
        """
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            except OperationalError as error:
                if _code(error.orig) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            else:
                return
            time.sleep(random.uniform(0, pause))  # noqa: S311  # no secret
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _open(self) -> sqlite3.Connection:
        # Absolute from the first time on: the other connections must not wander when the process changes its folder.
        self._path = self._path.absolute()
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode={self._mode}",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,  # Python begins no transaction of its own: `begin_write` does
            check_same_thread=False,
        )
        try:
            _set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        with transaction(connection, _BEGIN):
            yield
        # The tables get their room in the file: on a full disk, the log can be emptied into the room that is there.
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()

    def statements(self, table: Table, namespace: str, clock: Clock) -> _Statements:
        return _Statements(self, table, namespace, clock)

    def may_repeat(self, error: Exception) -> bool:  # noqa: ARG002  # nothing is ever undone because of others
        return False

    def explain(self, error: BaseException | None) -> str:
        return _REASONS.get(_code(error)) or str(error)

    def is_lasting(self, error: BaseException | None) -> bool:
        return _code(error) in _LASTING


# Both as text: for each row of a batch, SQLAlchemy would take as long to put the parameters of a statement in order as
# SQLite takes to find the row. As JSON, the ids are one parameter, and the statement is the same for any number.
_SELECT: Final = """
SELECT session_id, payload, version, expires_at FROM "{table}"
WHERE namespace = ? AND session_id IN (SELECT value FROM json_each(?))
"""

_KEYS: Final = """
SELECT session_id, expires_at FROM "{table}" WHERE namespace = ? AND session_id {start}
ORDER BY session_id LIMIT {limit}
"""

# A row that is damaged is not replaced: a column of SQLite may hold values of any type. SQLite writes each index of
# which a column is set, be it to what it is: most rows keep their `due_at`, and for those it is not set.
_REPLACE_IF: Final = """
WHERE namespace = ? AND session_id = ? AND version = ? AND (expires_at IS NULL OR expires_at > ?)
    AND typeof(payload) = 'blob' AND (expires_at IS NULL OR typeof(expires_at) = 'integer')
"""
_SET: Final = 'UPDATE "{table}" SET payload = ?, version = ?, expires_at = ?'
_REPLACE: Final = f"{_SET} {_REPLACE_IF} AND due_at IS ?"
_REPLACE_AND_MARK: Final = f"{_SET}, due_at = ? {_REPLACE_IF} AND due_at IS NOT ?"


class _UndecidedError(Exception):
    """Raised when not every row of a batch was as its swap expects it: nothing of the batch may stay stored."""


class _Statements(Statements):
    """Decides what to store inside a transaction that nobody else can write in."""

    def __init__(self, dialect: Dialect, table: Table, namespace: str, clock: Clock) -> None:
        super().__init__(dialect.location, table, namespace, clock)
        self._dialect = dialect
        # The name of a table is checked: it has no quotes.
        self._select_listed = _SELECT.format(table=table.name)
        self._replace_listed = _REPLACE.format(table=table.name)
        self._replace_and_mark = _REPLACE_AND_MARK.format(table=table.name)
        # A damaged expiry has not expired, whatever SQLite makes of the comparison: only `clear` removes its row.
        is_expiry = func.typeof(table.c.expires_at).in_(["integer", "null"])
        self._remove_expired = self._remover(and_(self._expired, is_expiry))
        self._remove_live = self._remover(or_(self._live, ~is_expiry))
        self._first_keys = _KEYS.format(table=table.name, limit=PAGE_SIZE, start=">= CAST(? AS TEXT)")
        self._keys_after_text = _KEYS.format(table=table.name, limit=PAGE_SIZE, start="> CAST(? AS TEXT)")
        self._keys_after_blob = _KEYS.format(table=table.name, limit=PAGE_SIZE, start="> ?")

    def select(self, connection: Connection, session_ids: Iterable[str]) -> dict[str, Record]:
        wanted = list(session_ids)
        try:
            rows = connection.exec_driver_sql(self._select_listed, (self._namespace, json.dumps(wanted))).all()
        except DatabaseError as error:
            if _code(error.orig) != sqlite3.SQLITE_CORRUPT:
                raise
            return self._select_from_damaged_file(connection, wanted, error)
        return {row[0]: self._record(*row) for row in rows}

    def _select_from_damaged_file(
        self, connection: Connection, wanted: list[str], error: DatabaseError
    ) -> dict[str, Record]:
        """Look for each session by itself: a page of the file that is damaged has some of them, and others have not.

        Raises:
            StoreUnavailableError: about the first session that cannot be read.
        """
        if len(wanted) == 1:
            raise StoreUnavailableError(
                self._dialect.explain(error.orig),
                store=self._location,
                session_id=wanted[0],
                retryable=not self._dialect.is_lasting(error.orig),
            ) from error
        found: dict[str, Record] = {}
        for session_id in wanted:
            found |= self.select(connection, [session_id])
        return found

    def _is_healthy(self) -> ColumnElement[bool]:
        return true()  # a row is looked at before, under the lock

    def touch(self, connection: Connection, session_id: str, expires_at: int | None) -> bool:
        with transaction(connection, _BEGIN):
            is_there = bool(self.select(connection, [session_id]))  # raises if the row is damaged
            return is_there and super().touch(connection, session_id, expires_at)

    def remove(self, connection: Connection, session_id: str, expected: str) -> bool:
        with transaction(connection, _BEGIN):
            is_there = bool(self.select(connection, [session_id]))  # raises if the row is damaged
            return is_there and super().remove(connection, session_id, expected)

    def upsert(self, connection: Connection, records: Mapping[str, Record]) -> None:
        with transaction(connection, _BEGIN):
            self._store(connection, records)

    def swap(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool]:
        try:
            return self._swap(connection, swaps)
        except DatabaseError as error:
            if _code(error.orig) == sqlite3.SQLITE_CORRUPT:
                self.select(connection, [session_id for session_id, _, _ in swaps])  # raises the error of a session
            raise

    def _swap(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool]:
        if _are_replacements(swaps):
            with suppress(_UndecidedError), transaction(connection, _BEGIN):
                self._replace_all(connection, swaps)
                return [True] * len(swaps)
        with transaction(connection, _BEGIN):
            found = self.select(connection, [session_id for session_id, _, _ in swaps])
            answers, changed = decide_swaps(swaps, found, self._clock.now())
            self._store(connection, changed)
        return answers

    def _replace_all(self, connection: Connection, swaps: Sequence[Swap]) -> None:
        """Do what most batches come to: each row is there, and is as its swap expects it.

        Raises:
            _UndecidedError: some are not.
        """
        own, now = self._namespace, self._clock.now()
        rows = [
            ((new.payload, new.version, new.expires_at), due_at(new.expires_at, now), (own, session_id, old, now))
            for session_id, new, old in swaps
        ]
        kept = [(*values, *condition, due) for values, due, condition in rows]
        replaced = connection.exec_driver_sql(self._replace_listed, kept).rowcount
        if replaced < len(swaps):
            moved = [(*values, due, *condition, due) for values, due, condition in rows]
            replaced += connection.exec_driver_sql(self._replace_and_mark, moved).rowcount
        if replaced != len(swaps):
            raise _UndecidedError

    def _keys(self, connection: Connection, prefix: str, after: Any) -> Sequence[Any]:
        # As bytes, because damaged text cannot be bound as text; an id that is a BLOB comes after all text.
        if after is None:
            statement, start = self._first_keys, prefix.encode()
        elif isinstance(after, str):
            statement, start = self._keys_after_text, after.encode(errors="surrogateescape")
        else:
            statement, start = self._keys_after_blob, after
        return connection.exec_driver_sql(statement, (self._namespace, start)).all()

    def _remover(self, which: Any) -> Any:
        key = self._table.c.session_id
        # Nobody else writes meanwhile: with `which` once more, it might go through all such rows for each piece.
        piece = select(key).where(self._own, which).limit(PIECE)
        return delete(self._table).where(self._own, key.in_(piece))

    def _store(self, connection: Connection, records: Mapping[str, Record]) -> None:
        now = self._clock.now()
        rows = [self._row(*item, now) for item in records.items()]
        if rows:
            connection.execute(self._upsert, rows)

    @cached_property
    def _upsert(self) -> Insert:
        statement = insert(self._table)
        changed = {column.name: statement.excluded[column.name] for column in self._table.c if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=list(self._table.primary_key), set_=changed)

    def _row(self, session_id: str, record: Record, now: int) -> dict[str, Any]:
        return {
            "namespace": self._namespace,
            "session_id": session_id,
            "payload": record.payload,
            "version": record.version,
            "expires_at": record.expires_at,
            "due_at": due_at(record.expires_at, now),
        }


def _are_replacements(swaps: Sequence[Swap]) -> bool:
    """Tell whether each swap wants to put something new into a row of its own."""
    ids = {session_id for session_id, _, _ in swaps}
    return len(ids) == len(swaps) and all(expected not in {ABSENT, new.version} for _, new, expected in swaps)


class _Connections:
    """Connections that are used in threads, so that the event loop waits for no disk."""

    def __init__(self, engine: Engine, size: int) -> None:
        self._engine = engine
        self._threads = Threads(size, "palaver-sqlite")

    def run(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        return self._threads.start(self._run, work)

    async def close(self) -> None:
        try:
            await self._threads.run(self._engine.dispose)
        finally:
            await self._threads.close()

    def abandon(self) -> None:
        self._threads.abandon(self._engine.dispose)

    def _run(self, work: Callable[[Connection], T]) -> T:
        """Do `work`; if the disk is full, once more after the log has given back its room."""
        try:
            return self._run_once(work)
        except OperationalError as error:
            if not _is_disk_full(error):
                raise
        with suppress(OperationalError):  # the second try says what is wrong
            self._run_once(_empty_log)
        return self._run_once(work)

    def _run_once(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return work(connection)


def _empty_log(connection: Connection) -> None:
    """Copy the log into the database, and cut its file to nothing."""
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()


def _is_disk_full(error: OperationalError) -> bool:
    """Tell whether a file could not grow: the database and its log, or the index of the log."""
    code: int = getattr(error.orig, "sqlite_errorcode", 0)
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}


def _set_up(connection: sqlite3.Connection) -> None:
    # Text that is no UTF-8, put in by hand, must not fail with an error that quotes it.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _checked_options(url: URL) -> dict[str, Any]:
    for name, value in url.query.items():
        if name not in _URL_OPTIONS:
            raise unknown_option(name, ["table", *_URL_OPTIONS])
        if not isinstance(value, str):
            raise InvalidOptionError("it stands in the URL twice", option=name)
    options: dict[str, Any] = dict(url.query)
    if options.get("mode", "rwc") not in _MODES:
        raise InvalidOptionError(f"it is one of {', '.join(_MODES)}", option="mode")
    return options


def _seconds(given: float | str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise InvalidOptionError(f"{given!r} is not a number of seconds", option="timeout")
    try:
        seconds = float(given)
    except ValueError as error:
        raise InvalidOptionError(f"{given!r} is not a number of seconds", option="timeout") from error
    if not 0 <= seconds <= _LONGEST_TIMEOUT:
        raise InvalidOptionError(f"it is between 0 and {_LONGEST_TIMEOUT} seconds", option="timeout")
    return seconds


def _path(url: URL) -> Path:
    """Return the path of the file."""
    name = url.database or ""
    if name.startswith("file:") and "uri" in url.query:
        name = unquote(name.removeprefix("file:").partition("?")[0])
    if name in {"", ":memory:"}:
        raise InvalidOptionError(
            "a database in memory would end with the store; use memory://, or name a file", option="url"
        )
    return Path(name)


def _code(error: BaseException | None) -> int:
    """Return the primary result code of SQLite; 0 when the error is not SQLite's own."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
