"""PostgreSQL, through asyncpg or psycopg."""

from __future__ import annotations

import inspect
import select
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from sqlalchemy import bindparam, delete, func, text

from palaver.contract.batches import rounds
from palaver.contract.session_ids import MAX_ID_BYTES
from palaver.errors import InvalidOptionError, StoreUnavailableError
from palaver.toolkit.due import due_at
from palaver.toolkit.transports import drop_transport
from palaver_sql._options import count, flag, ports, take_options
from palaver_sql._schema import name_in_sql
from palaver_sql._server import (
    ServerConnections,
    ServerDialect,
    load_client,
    pieces,
    show,
)
from palaver_sql._statements import PIECE, Statements, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import URL, ColumnElement, Connection, Table, TextClause
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import AsyncEngine

    from palaver.contract.clock import Clock
    from palaver.contract.record import Record
    from palaver_sql._statements import Swap

__all__ = ("PostgreSQL",)

# The client library of each SQLAlchemy driver, and the extra that brings it.
_CLIENTS: Final = {"asyncpg": ("asyncpg", "postgresql"), "psycopg": ("psycopg", "psycopg")}

# A field has at most 1 GiB (https://www.postgresql.org/docs/current/limits.html), and is twice as long on its way in
# hexadecimal form; this leaves room for both.
_MAX_PAYLOAD_BYTES: Final = 2**28

_ROWS: Final = 1000
_BYTES: Final = 2**26

# A number that stands for Palaver's tables among the advisory locks of a database.
_SCHEMA_LOCK: Final = 0x70616C61766572

# Whatever the store asks is answered best by going along an index. A server that knows nothing of the table yet, or
# made its plan when there was little in it, would rather read a whole namespace for each page of a scan.
_SETTINGS: Final = {
    "default_transaction_isolation": "read committed",
    "standard_conforming_strings": "on",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}

# Deadlock and serialization failure, https://www.postgresql.org/docs/current/errcodes-appendix.html
_REPEATABLE: Final = frozenset({"40001", "40P01"})

_LOCKED: Final = "55P03"
_READ_ONLY: Final = "25006"

_REASONS: Final = {
    "25006": "it is read-only",
    "25P02": "its transaction was broken off",
    "28000": "the server does not let this user in from here, or not without TLS; see its pg_hba.conf",
    "28P01": "the user or the password is wrong",
    "3D000": "there is no such database on the server; create it",
    "3F000": "there is no such schema for the tables; create it, or see the option schema and search_path",
    "42501": "this user may not do that; it needs SELECT, INSERT, UPDATE and DELETE, and CREATE for the first time",
    "42P01": "its table is missing; close the store and open it again, which makes the table",
    "42703": "its table has other columns than Palaver's",
    "53100": "the disk of the server is full",
    "53200": "the server is out of memory",
    "53300": "the server has too many connections",
    "55P03": "somebody else has kept it locked for too long",
    "57014": "the server took longer than the timeout, and broke off",
    "57P01": "the server is shutting down",
    "57P02": "the server has crashed and is starting again",
    "57P03": "the server is starting up or shutting down",
}

_LASTING: Final = ("28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703")
# What libpq says of a connection comes without an SQLSTATE, in the server's language.
_LASTING_WORDS: Final = ("password authentication failed", "no pg_hba.conf entry", "does not exist")

# Errors of these classes are about data, and quote it.
_ABOUT_DATA: Final = ("22", "23")


class PostgreSQL(ServerDialect):
    """A database on a PostgreSQL server.

    Takes what `ServerDialect` takes, with a URL as in `postgresql://user:password@host/database`.

    Raises:
        InvalidOptionError: the URL names another driver or an unknown option, or the client library is missing.
    """

    max_payload_bytes = _MAX_PAYLOAD_BYTES

    def __init__(self, url: URL, engine: AsyncEngine | None, timeouts: Mapping[str, float], schema: str | None) -> None:
        name = url.drivername.lower().partition("+")[2] or "asyncpg"
        if name not in _CLIENTS:
            raise InvalidOptionError(f"{url.drivername}: is not supported; write postgresql:", option="url")
        self._is_asyncpg = name == "asyncpg"
        self._client = load_client(*_CLIENTS[name])
        super().__init__(url.set(drivername=f"postgresql+{name}"), engine, timeouts, schema)
        if engine is None:
            self._take_options()

    @property
    def location(self) -> str:
        """Where the database is."""
        return show(self._url, "postgresql")

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        if self._is_asyncpg:
            return (self._client.PostgresError, self._client.InterfaceError)
        return (self._client.Error,)

    def connect(self) -> ServerConnections:
        client = _Asyncpg() if self._is_asyncpg else _Psycopg(self.location)
        milliseconds = round(self._timeouts.statement * 1000)
        # A little less for a lock, so that the error says that it was one.
        locks = max(1, milliseconds * 9 // 10)
        settings = {"statement_timeout": f"{milliseconds}ms", "lock_timeout": f"{locks}ms", **_SETTINGS}
        calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
        # Behind a pooler such as PgBouncer, the process that answers is not the one that greeted, and goes to another
        # program next, with our settings. There we set none: the server's own hold, as for a given engine.
        statement = f"SELECT {calls} WHERE pg_backend_pid() = "
        return self._connections(client, lambda raw: [statement + str(client.pid(raw))])

    def prepare(self, connection: Connection) -> None:
        """Refuse a database that cannot hold every id."""
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise StoreUnavailableError(
                f"its encoding is {encoding}; create the database with ENCODING 'UTF8'",
                store=self.location,
                retryable=False,
            )

    @contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        with transaction(connection):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
            yield

    def statements(self, table: Table, namespace: str, clock: Clock) -> _Statements:
        return _Statements(self.location, table, namespace, clock)

    def may_repeat(self, error: Exception) -> bool:
        return _state(getattr(error, "orig", None)) in _REPEATABLE

    def explain(self, error: BaseException | None) -> str:
        if isinstance(error, TimeoutError):
            return "the server did not answer in time"
        state = _state(error)
        if isinstance(error, OSError) or not state:
            return f"{type(error).__name__}: {error}".splitlines()[0]
        reason = _REASONS.get(state)
        if reason is None and not state.startswith(_ABOUT_DATA):
            reason = _message(error)
        return f"{reason or 'the server refused the data'} (SQLSTATE {state})"

    def is_lasting(self, error: BaseException | None) -> bool:
        if _state(error) or error is None:
            return _state(error) in _LASTING
        return any(words in str(error) for words in _LASTING_WORDS)

    def _take_options(self) -> None:
        """Check the options in the URL, and give those of libpq that SQLAlchemy does not know to asyncpg."""
        if not self._is_asyncpg:
            known = {option.keyword.decode() for option in self._client.pq.Conninfo.get_defaults()}
            kinds = dict.fromkeys(known - {"connect_timeout"}, str) | _PSYCOPG_OPTIONS
            self._url, self._arguments = take_options(self._url, kinds)
            return
        there = inspect.signature(self._client.connect).parameters
        kinds = {name: kind for name, kind in _ASYNCPG_ARGUMENTS.items() if name in there} | _ASYNCPG_OPTIONS
        self._url, self._arguments = take_options(self._url, kinds)
        of_libpq = {name: value for name, value in self._url.query.items() if name in _OF_LIBPQ}
        self._url = self._url.difference_update_query(of_libpq)
        if of_libpq:
            self._arguments["dsn"] = f"postgresql://?{urlencode(of_libpq, doseq=True)}"


class _PostgreSQLClient:
    """What both client libraries do alike."""

    def is_read_only(self, error: BaseException | None) -> bool:
        return _state(error) == _READ_ONLY


class _Asyncpg(_PostgreSQLClient):
    def check(self, connection: Any) -> None:
        """All values go beside the statements: no setting gives them another meaning."""

    def pid(self, connection: Any) -> int:
        return int(connection.get_server_pid())

    def is_ended(self, connection: Any) -> bool:
        return bool(connection.is_closed())

    def abort(self, connection: Any) -> None:
        connection.terminate()

    def drop(self, connection: Any) -> None:
        transport = connection._transport  # noqa: SLF001  # it has no other name
        with suppress(RuntimeError):  # it asks the event loop, after it has noted that it is closed
            connection.terminate()
        drop_transport(transport)


class _Psycopg(_PostgreSQLClient):
    """Nobody listens to a connection that is not in use: only its socket knows that it has ended."""

    def __init__(self, location: str) -> None:
        self._location = location

    def check(self, connection: Any) -> None:
        # Values go beside the statements, but libpq doubles the backslashes of bytes all the same. The server tells of
        # this setting whenever it changes.
        if connection.info.parameter_status("standard_conforming_strings") == "off":
            raise StoreUnavailableError(
                "its standard_conforming_strings is off, with which psycopg would store payloads wrong; set it to on"
                " for this database or user, or use asyncpg",
                store=self._location,
                retryable=False,
            )

    def pid(self, connection: Any) -> int:
        return int(connection.info.backend_pid)

    def is_ended(self, connection: Any) -> bool:
        if connection.closed:
            return True
        if not hasattr(select, "poll"):
            return bool(select.select([connection.fileno()], [], [], 0)[0])
        # Whatever there is to be read where nothing was asked, is the end or will soon be followed by it.
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def abort(self, connection: Any) -> None:
        if connection.closed:
            return
        shared = socket.socket(fileno=connection.fileno())
        try:
            shared.shutdown(socket.SHUT_RDWR)
        finally:
            shared.detach()

    def drop(self, connection: Any) -> None:
        connection.pgconn.finish()


_ASYNCPG_ARGUMENTS: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("database", "host", "passfile", "password", "service", "servicefile", "user"), str),
    **dict.fromkeys(("gsslib", "krbsrvname", "ssl", "target_session_attrs"), str),
    **dict.fromkeys(("max_cacheable_statement_size", "max_cached_statement_lifetime", "statement_cache_size"), count),
    "command_timeout": float,
    "direct_tls": flag,
    "port": ports,
}

# Those of libpq that asyncpg knows in an address only.
_OF_LIBPQ: Final = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "application_name", "options"),
)
_ASYNCPG_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "prepared_statement_cache_size": count,
    **dict.fromkeys(_OF_LIBPQ, str),
}


def _threshold(text: str) -> int | None:
    return None if text.lower() == "none" else count(text)


_PSYCOPG_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {"port": ports, "prepare_threshold": _threshold}

_COLUMNS: Final = "namespace, session_id, payload, version, expires_at, due_at"

_NEW: Final = """unnest(
    CAST(:ids AS text[]), CAST(:payloads AS bytea[]), CAST(:versions AS text[]), CAST(:expiries AS bigint[]),
    CAST(:dues AS bigint[]){more}
) AS new (session_id, payload, version, expires_at, due_at{names})"""

# Each row by itself, whatever the server knows of the table: for `= ANY` it may choose to go through a whole namespace,
# if it made its plan when there was little in it.
_SELECT: Final = """
SELECT old.session_id, old.payload, old.version, old.expires_at
FROM unnest(CAST(:ids AS text[])) AS wanted (session_id), LATERAL (
    SELECT * FROM {table} WHERE namespace = CAST(:namespace AS text) AND session_id = wanted.session_id OFFSET 0
) AS old
"""

_UPSERT: Final = """
INSERT INTO {table} ({columns}) SELECT CAST(:namespace AS text), new.* FROM {new}
ON CONFLICT (namespace, session_id) DO UPDATE
SET payload = excluded.payload, version = excluded.version, expires_at = excluded.expires_at, due_at = excluded.due_at
"""

# One statement for all. The rows that are there are locked, in one order, so that batches do not wait for each other in
# a circle, and are decided on as they are then. A row that comes in between meets the condition at the end: it is
# overwritten only when it has expired, and counts as stored when it is the very record (its answer was lost). While
# one of them cannot be understood, none is stored.
_SWAP: Final = """
WITH new AS MATERIALIZED (SELECT * FROM {new}),
locked AS MATERIALIZED (
    SELECT old.session_id, old.version, (old.expires_at > CAST(:now AS bigint)) IS NOT FALSE AS is_live,
        octet_length(old.version) NOT BETWEEN 1 AND {longest} AS is_damaged
    FROM new, LATERAL (
        SELECT * FROM {table} WHERE namespace = CAST(:namespace AS text) AND session_id = new.session_id {lock}
    ) AS old
),
left_out AS MATERIALIZED ({left_out}),
decided AS MATERIALIZED (
    SELECT new.*, COALESCE(locked.is_live AND locked.version = new.version, false) AS is_there
    FROM new LEFT JOIN locked USING (session_id)
    WHERE CASE WHEN locked.is_live THEN locked.version IN (new.expected, new.version) ELSE new.expected IS NULL END
        AND NOT EXISTS (SELECT FROM locked WHERE is_damaged)
        AND new.session_id NOT IN (SELECT session_id FROM left_out)
),
stored AS (
    INSERT INTO {table} AS old ({columns})
    SELECT CAST(:namespace AS text), session_id, payload, version, expires_at, due_at FROM decided WHERE NOT is_there
    ON CONFLICT (namespace, session_id) DO UPDATE
    SET payload = excluded.payload, version = excluded.version, expires_at = excluded.expires_at,
        due_at = excluded.due_at
    WHERE old.expires_at <= CAST(:now AS bigint) OR old.version = excluded.version
        OR (excluded.session_id, old.version) IN (SELECT session_id, version FROM locked)
    RETURNING session_id
)
SELECT session_id, 'stored' FROM stored UNION ALL SELECT session_id, 'stored' FROM decided WHERE is_there
UNION ALL SELECT session_id, 'damaged' FROM locked WHERE is_damaged
UNION ALL SELECT session_id, 'locked' FROM left_out
"""

_NOTHING_LEFT_OUT: Final = "SELECT CAST(NULL AS text) AS session_id WHERE false"

# What is there, and could not be locked.
_LEFT_OUT: Final = """
    SELECT new.session_id FROM new, LATERAL (
        SELECT FROM {table} WHERE namespace = CAST(:namespace AS text) AND session_id = new.session_id OFFSET 0
    ) AS old WHERE new.session_id NOT IN (SELECT session_id FROM locked)
"""

# By its place in the table a row is found at once. Who holds a row is about to replace it: it is none of the purge's.
_PURGE: Final = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table}
    WHERE namespace = CAST(:namespace AS text) AND due_at <= CAST(:now AS bigint) AND expires_at <= CAST(:now AS bigint)
    LIMIT {piece} FOR UPDATE SKIP LOCKED
))
"""


class _Statements(Statements):
    """Takes a whole batch as one statement, with an array for each column."""

    def __init__(self, location: str, table: Table, namespace: str, clock: Clock) -> None:
        super().__init__(location, table, namespace, clock)
        new = _NEW.format(more="", names="")
        swapped = _NEW.format(more=", CAST(:expected AS text[])", names=", expected")
        self._fetch = self._text(_SELECT)
        self._upsert = self._text(_UPSERT, new=new)
        parts = {"new": swapped, "longest": MAX_ID_BYTES}
        left_out = _LEFT_OUT.format(table=name_in_sql(table, '"'))
        self._swap = self._text(_SWAP, lock="FOR UPDATE", left_out=_NOTHING_LEFT_OUT, **parts)
        self._swap_free = self._text(_SWAP, lock="FOR UPDATE SKIP LOCKED", left_out=left_out, **parts)
        self._remove_expired = self._text(_PURGE, piece=PIECE)

    def _is_healthy(self) -> ColumnElement[bool]:
        return func.octet_length(self._table.c.version).between(1, MAX_ID_BYTES)

    def select(self, connection: Connection, session_ids: Iterable[str]) -> dict[str, Record]:
        wanted = list(dict.fromkeys(session_ids))
        if len(wanted) == 1:
            return super().select(connection, wanted)
        rows = connection.execute(self._fetch, {"ids": wanted}).all()
        return {row[0]: self._record(*row) for row in rows}

    def upsert(self, connection: Connection, records: Mapping[str, Record]) -> None:
        for piece in pieces(((*item, None) for item in records.items()), _ROWS, _BYTES):
            connection.execute(self._upsert, _arrays(piece, self._clock.now()))

    def swap(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool]:
        if len(swaps) == 1 and self.swap_at_once(connection, *swaps[0]):
            return [True]
        return [bool(answer) for answer in self._swap_rounds(connection, self._swap, swaps)]

    def swap_free(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool | None]:
        return self._swap_rounds(connection, self._swap_free, swaps)

    def _is_locked(self, error: DBAPIError) -> bool:
        return _state(error.orig) == _LOCKED

    def _swap_rounds(self, connection: Connection, statement: TextClause, swaps: Sequence[Swap]) -> list[bool | None]:
        answers: list[bool | None] = [None] * len(swaps)
        locked: set[str] = set()
        for this_round in rounds(swaps):
            free = {place: swap for place, swap in this_round.items() if swap[0] not in locked}
            found = self._swap_round(connection, statement, free.values())
            locked.update(session_id for session_id, outcome in found.items() if outcome == "locked")
            for place, (session_id, _, _) in free.items():
                answers[place] = None if session_id in locked else found.get(session_id) == "stored"
        return answers

    def _remover(self, which: Any) -> Any:
        # From the first key on: rows are locked in the order in which swaps lock them, and one that changes meanwhile
        # is looked at again.
        key = self._table.c.session_id
        piece = self._table.select().with_only_columns(key).where(self._own, which).order_by(key).limit(PIECE)
        last = func.max(piece.subquery().c.session_id).select()
        return delete(self._table).where(self._own, which, key <= last.scalar_subquery())

    def _swap_round(self, connection: Connection, statement: TextClause, swaps: Iterable[Swap]) -> dict[str, str]:
        """Swap, where no id is twice; return the ids of those that are stored or locked, with which it is."""
        found: dict[str, str] = {}
        for piece in pieces(swaps, _ROWS, _BYTES):
            expected = [version if isinstance(version, str) else None for _, _, version in piece]
            now = self._clock.now()
            values = _arrays(piece, now) | {"expected": expected, "now": now}
            for session_id, outcome in connection.execute(statement, values).all():
                if outcome == "damaged":
                    raise self._damaged_version(session_id)
                found[session_id] = outcome
        return found

    def _text(self, template: str, **parts: Any) -> TextClause:
        statement = template.format(table=name_in_sql(self._table, '"'), columns=_COLUMNS, **parts)
        return text(statement).bindparams(bindparam("namespace", self._namespace))


def _arrays(piece: Sequence[tuple[str, Record, Any]], now: int) -> dict[str, Any]:
    return {
        "ids": [session_id for session_id, _, _ in piece],
        "payloads": [record.payload for _, record, _ in piece],
        "versions": [record.version for _, record, _ in piece],
        "expiries": [record.expires_at for _, record, _ in piece],
        "dues": [due_at(record.expires_at, now) for _, record, _ in piece],
    }


def _state(error: BaseException | None) -> str:
    return getattr(error, "sqlstate", None) or ""


def _message(error: BaseException | None) -> str:
    """Return the first line of what the server says: its further lines may quote rows."""
    return str(error).rpartition("'>: ")[2].splitlines()[0]
