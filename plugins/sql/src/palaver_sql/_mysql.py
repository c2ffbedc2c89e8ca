"""MySQL and MariaDB, through asyncmy."""

from __future__ import annotations

import inspect
import ssl
from contextlib import contextmanager, suppress
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, select, text

from palaver.contract.record import ABSENT
from palaver.errors import InvalidOptionError, StoreUnavailableError
from palaver.toolkit.due import due_at
from palaver.toolkit.transports import drop_transport
from palaver_sql._options import count, flag_as_text, port, take_options
from palaver_sql._schema import name_in_sql
from palaver_sql._server import (
    ServerConnections,
    ServerDialect,
    load_client,
    pieces,
    show,
)
from palaver_sql._statements import PIECE, Statements, chunks, decide_swaps, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import URL, Connection, Table, TextClause
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import AsyncEngine

    from palaver.contract.clock import Clock
    from palaver.contract.record import Record
    from palaver_sql._statements import Swap

__all__ = ("MySQL",)

_NAMES: Final = frozenset(f"{name}{driver}" for name in ("mysql", "mariadb") for driver in ("", "+asyncmy"))

# A statement may be twice as long as what is in it, because of escapes, and must fit into the packet that every MariaDB
# takes unless it is told otherwise (MySQL takes more): 16 MiB.
_PACKET: Final = 2**24
_MAX_PAYLOAD_BYTES: Final = 2**23 - 2**14

_ROWS: Final = 500
_BYTES: Final = 2**22

# What an own connection begins with. Of the limits, one is MariaDB's; MySQL has another one, for reading only.
_ISOLATION: Final = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
_SETTINGS: Final = (
    "SET SESSION innodb_lock_wait_timeout = {locks}"
    " /*M!100101 , SESSION max_statement_time = {exact} */ /*!50708 , SESSION max_execution_time = {milliseconds} */"
)

# Set by asyncmy, before SQLAlchemy looks which quotes there are.
_SQL_MODE: Final = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"

# asyncmy writes values into statements, with backslashes before quotes. In these modes a value becomes another one, or
# ends early; in these character sets a backslash may be the second byte of a character.
_WRONG_MODES: Final = frozenset({"NO_BACKSLASH_ESCAPES", "EMPTY_STRING_IS_NULL"})
_WRONG_CHARSETS: Final = frozenset({"big5", "cp932", "gb18030", "gbk", "sjis"})
_CHARSETS: Final = frozenset({"utf8mb4", "utf8mb3", "utf8"})

# https://dev.mysql.com/doc/dev/mysql-server/latest/mysql__com_8h.html: SERVER_STATUS_NO_BACKSLASH_ESCAPES
_NO_BACKSLASH_ESCAPES: Final = 0x200

_READ_ONLY: Final = frozenset({1290, 1792, 1836})
_DUPLICATE: Final = 1062
_LOCKED: Final = 1205

# Deadlock. A duplicate key means that somebody else was first with a row that was not there.
_REPEATABLE: Final = frozenset({_DUPLICATE, 1213, 1020})

# https://mariadb.com/kb/en/mariadb-error-codes/
_REASONS: Final = {
    1021: "the disk of the server is full",
    1040: "the server has too many connections",
    1044: "this user may not use the database",
    1045: "the user or the password is wrong, or the server wants TLS (ssl_ca in the URL)",
    1046: "the URL names no database",
    1049: "there is no such database (or schema) on the server; create it",
    1054: "its table has other columns than Palaver's",
    1114: "the disk of the server is full",
    1142: "this user may not do that; it needs SELECT, INSERT, UPDATE and DELETE, and CREATE for the first time",
    1146: "its table is missing; close the store and open it again, which makes the table",
    1153: "the server takes shorter statements only; set its max_allowed_packet to at least 16M",
    1205: "somebody else has kept it locked for too long",
    1213: "others were at the same rows, again and again",
    1227: "this user may not do that",
    1290: "it is read-only",
    1665: "the server's binlog_format must be ROW or MIXED",
    1698: "the user or the password is wrong",
    1792: "it is read-only",
    1836: "it is read-only",
    1969: "the server took longer than the timeout, and broke off",
    2003: "nobody answers there",
    2006: "the connection was lost",
    2013: "the connection was lost",
    3024: "the server took longer than the timeout, and broke off",
    3159: "the server wants TLS; name its certificate authority with ssl_ca in the URL",
}

_LASTING: Final = {1044, 1045, 1046, 1049, 1054, 1142, 1146, 1153, 1227, 1665, 1698, 3159}


class MySQL(ServerDialect):
    """A database on a MySQL or MariaDB server.

    Takes what `ServerDialect` takes, with a URL as in `mysql://user:password@host/database`.

    Raises:
        InvalidOptionError: the URL names another driver or an unknown option, or the client library is missing.
    """

    max_payload_bytes = _MAX_PAYLOAD_BYTES

    def __init__(self, url: URL, engine: AsyncEngine | None, timeouts: Mapping[str, float], schema: str | None) -> None:
        if url.drivername.lower() not in _NAMES:
            raise InvalidOptionError(f"{url.drivername}: is not supported; write mysql: or mariadb:", option="url")
        self._client = load_client("asyncmy", "mysql")
        self._scheme = url.get_backend_name()
        # One SQLAlchemy dialect for both: it finds out which server it is, and what a table is made with is the same.
        super().__init__(url.set(drivername="mysql+asyncmy"), engine, timeouts, schema)
        if engine is None:
            self._url, self._arguments = take_options(self._url, self._kinds())

    @property
    def location(self) -> str:
        """Where the database is."""
        return show(self._url, self._scheme)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return (self._client.errors.MySQLError,)

    def connect(self) -> ServerConnections:
        seconds = self._timeouts.statement
        # Less for a lock, where whole seconds allow it, so that the error says that it was one.
        locks = max(1, ceil(seconds) - 1)
        settings = _SETTINGS.format(locks=locks, exact=seconds, milliseconds=ceil(seconds * 1000))
        arguments = {"binary_prefix": True, "init_command": _SQL_MODE}
        return self._connections(_Asyncmy(self.location), lambda _: [_ISOLATION, settings], **arguments)

    def prepare(self, connection: Connection) -> None:
        """Refuse connections on which values do not arrive as they are, and a server that takes small payloads only."""
        variables = "SELECT @@max_allowed_packet, @@sql_mode, @@character_set_client"
        packet, modes, charset = connection.exec_driver_sql(variables).one()
        wrong = sorted(_WRONG_MODES.intersection(modes.upper().split(",")))
        if wrong:
            raise _wrong_mode(wrong[0], self.location)
        if charset in _WRONG_CHARSETS:
            raise StoreUnavailableError(
                f"its connections use the character set {charset}; create the engine with charset=utf8mb4",
                store=self.location,
                retryable=False,
            )
        if packet < _PACKET:
            raise StoreUnavailableError(
                f"its max_allowed_packet is {packet}; set it to at least {_PACKET}",
                store=self.location,
                retryable=False,
            )

    @contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        # A table is made at once, whatever the transaction: the lock is one of the server's, with a name.
        database = "DATABASE()" if self.schema is None else f"'{self.schema}'"
        name = f"CONCAT('palaver-', MD5({database}))"
        got = connection.exec_driver_sql(f"SELECT GET_LOCK({name}, {ceil(self._timeouts.statement)})").scalar()
        if not got:
            raise StoreUnavailableError("somebody else has been making its tables for too long", store=self.location)
        try:
            yield
        finally:
            if not connection.invalidated:
                connection.exec_driver_sql(f"SELECT RELEASE_LOCK({name})")

    def statements(self, table: Table, namespace: str, clock: Clock) -> _Statements:
        return _Statements(self.location, table, namespace, clock)

    def may_repeat(self, error: Exception) -> bool:
        return _number(getattr(error, "orig", None)) in _REPEATABLE

    def explain(self, error: BaseException | None) -> str:
        if isinstance(error, TimeoutError):
            return "the server did not answer in time"
        if isinstance(error, OSError):
            return f"{type(error).__name__}: {error}"
        cause = None if error is None else error.__cause__
        if isinstance(cause, ssl.SSLError):
            return f"{type(cause).__name__}: {cause}"  # which the client library takes for a server that is not there
        number = _number(error)
        return f"{_REASONS.get(number, 'the server refused it')} (error {number})"

    def is_lasting(self, error: BaseException | None) -> bool:
        return _number(error) in _LASTING

    def _kinds(self) -> dict[str, Callable[[str], Any]]:
        there = inspect.signature(self._client.connect).parameters
        return {name: kind for name, kind in _ARGUMENTS.items() if name in there} | _TLS


def _wrong_mode(mode: str, location: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"its sql_mode has {mode}, with which values would be stored wrong; remove it on the server, or for the engine:"
        " connect_args={'init_command': \"SET SESSION sql_mode = 'STRICT_TRANS_TABLES'\"}",
        store=location,
        retryable=False,
    )


class _Asyncmy:
    def __init__(self, location: str) -> None:
        self._location = location

    def check(self, connection: Any) -> None:
        # The server tells it with each answer, so that a connection made later, or changed by others, is found out.
        if connection.server_status & _NO_BACKSLASH_ESCAPES:
            raise _wrong_mode("NO_BACKSLASH_ESCAPES", self._location)

    def is_ended(self, connection: Any) -> bool:
        # The second is not documented: without it, a connection that the server has closed is found out by its use.
        return not connection.connected or bool(getattr(connection, "_stream_broken", False))

    def is_read_only(self, error: BaseException | None) -> bool:
        return _number(error) in _READ_ONLY

    def abort(self, connection: Any) -> None:
        connection.close()

    def drop(self, connection: Any) -> None:
        transport = connection._transport  # noqa: SLF001  # it has no other name
        with suppress(RuntimeError):  # it asks the event loop, after it has noted that it is closed
            connection.close()
        drop_transport(transport)


def _charset(text: str) -> str:
    if text.lower() not in _CHARSETS:
        raise ValueError(text)
    return text


# What the client library knows in a URL, and is not the store's business; those of TLS as SQLAlchemy calls them.
_TLS: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("ssl_ca", "ssl_capath", "ssl_cert", "ssl_cipher", "ssl_key"), str),
    "ssl_check_hostname": flag_as_text,
}
_ARGUMENTS: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("database", "host", "password", "program_name", "user"), str),
    **dict.fromkeys(("read_default_file", "read_default_group", "server_public_key", "unix_socket"), str),
    "charset": _charset,
    "local_infile": flag_as_text,
    "use_unicode": flag_as_text,
    "max_allowed_packet": count,
    "port": port,
    "read_timeout": float,
    "stmt_cache_size": count,
}

_INSERT: Final = "INSERT INTO {table} (namespace, session_id, payload, version, expires_at, due_at) VALUES "
_ROW: Final = "(%s, %s, %s, %s, %s, %s)"
_REPLACE: Final = (
    " ON DUPLICATE KEY UPDATE payload = VALUES(payload), version = VALUES(version), expires_at = VALUES(expires_at),"
    " due_at = VALUES(due_at)"
)


# Servers that are older wait.
_FREE: Final = "FOR UPDATE /*!80001 SKIP LOCKED */ /*M!100600 SKIP LOCKED */"

# UTF-8 without U+0000 (https://www.rfc-editor.org/rfc/rfc3629#section-4), in hexadecimal: in an UPDATE, a conversion to
# text would fail at the first damaged row.
_TAIL: Final = "[89AB][0-9A-F]"
_HEALTHY: Final = text(
    "HEX(version) REGEXP '^("
    f"0[1-9A-F]|[1-7][0-9A-F]|(C[2-9A-F]|D[0-9A-F]){_TAIL}"
    f"|E0[AB][0-9A-F]{_TAIL}|E[1-9ABCEF]({_TAIL}){{2}}|ED[89][0-9A-F]{_TAIL}"
    f"|F0[9AB][0-9A-F]({_TAIL}){{2}}|F[123]({_TAIL}){{3}}|F48[0-9A-F]({_TAIL}){{2}}"
    ")+$'"
)


class _Statements(Statements):
    """Swaps a batch in one transaction, of as many statements whatever its size: lock, decide, insert, replace."""

    def __init__(self, location: str, table: Table, namespace: str, clock: Clock) -> None:
        super().__init__(location, table, namespace, clock)
        column = table.c
        # In order of the key: all who lock rows in one order wait for each other, but never in a circle.
        self._lock = (
            select(column.session_id, column.version, column.expires_at)
            .where(self._own, column.session_id.in_(bindparam("keys", expanding=True)))
            .order_by(column.session_id)
        )
        self._lock_free = self._lock.suffix_with(text(_FREE))
        self._lock = self._lock.with_for_update()
        self._seen = select(column.session_id).where(
            self._own, column.session_id.in_(bindparam("keys", expanding=True))
        )

    def _is_healthy(self) -> TextClause:
        return _HEALTHY

    def upsert(self, connection: Connection, records: Mapping[str, Record]) -> None:
        self._insert(connection, records, _REPLACE)

    def swap(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool]:
        if len(swaps) == 1 and self.swap_at_once(connection, *swaps[0]):
            return [True]
        with transaction(connection):
            found = self._find_and_lock(connection, self._lock, [session_id for session_id, _, _ in swaps])
            return self._decide(connection, swaps, found)

    def swap_free(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool | None]:
        with transaction(connection):
            found = self._find_and_lock(connection, self._lock_free, [session_id for session_id, _, _ in swaps])
            # Only what was there before may be locked: no further trip for new sessions.
            missed = {key for key, _, expected in swaps if key not in found and expected is not ABSENT}
            locked = self._see(connection, missed)
            answers = iter(self._decide(connection, [swap for swap in swaps if swap[0] not in locked], found))
        return [None if session_id in locked else next(answers) for session_id, _, _ in swaps]

    def _decide(self, connection: Connection, swaps: Sequence[Swap], found: Mapping[str, Record]) -> list[bool]:
        answers, changed = decide_swaps(swaps, found, self._clock.now())
        # Without REPLACE: what was not there could not be locked, and may have come since. Then all is done again.
        self._insert(connection, {key: record for key, record in changed.items() if key not in found}, "")
        self._insert(connection, {key: record for key, record in changed.items() if key in found}, _REPLACE)
        return answers

    def _find_and_lock(self, connection: Connection, lock: Any, session_ids: Iterable[str]) -> dict[str, Record]:
        """Return the records of those ids that have one, without their payloads."""
        found = {}
        for keys in chunks(sorted(set(session_ids)), _ROWS):
            for session_id, version, expires_at in connection.execute(lock, {"keys": keys}):
                found[session_id] = self._record(session_id, b"", version, expires_at)
        return found

    def _see(self, connection: Connection, session_ids: Iterable[str]) -> set[str]:
        """Return which ids have a row, locked or not."""
        seen: set[str] = set()
        for keys in chunks(sorted(session_ids), _ROWS):
            seen.update(connection.execute(self._seen, {"keys": keys}).scalars())
        return seen

    def _is_locked(self, error: DBAPIError) -> bool:
        return _number(error.orig) == _LOCKED

    def _insert(self, connection: Connection, records: Mapping[str, Record], ending: str) -> None:
        now = self._clock.now()
        for piece in pieces(((*item, None) for item in records.items()), _ROWS, _BYTES):
            statement = _INSERT.format(table=name_in_sql(self._table, "`")) + ", ".join([_ROW] * len(piece)) + ending
            connection.exec_driver_sql(statement, tuple(value for item in piece for value in self._row(*item[:2], now)))

    def _row(self, session_id: str, record: Record, now: int) -> tuple[Any, ...]:
        namespace, key, version = self._namespace.encode(), session_id.encode(), record.version.encode()
        return (namespace, key, record.payload, version, record.expires_at, due_at(record.expires_at, now))

    def _remover(self, which: Any) -> Any:
        # MySQL has no limit in a subquery, but one for removing.
        return delete(self._table).where(self._own, which).with_dialect_options(mysql_limit=PIECE, mariadb_limit=PIECE)


def _number(error: BaseException | None) -> int:
    arguments = getattr(error, "args", None) or (0,)
    return arguments[0] if isinstance(arguments[0], int) else 0
