"""What PostgreSQL and MySQL have in common: a server at the other end of a network, through SQLAlchemy's asyncio."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from palaver.errors import InvalidOptionError
from palaver.toolkit.options import check_seconds
from palaver_sql._options import check_address
from palaver_sql._schema import choose_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType

    from sqlalchemy import URL, Connection, Engine, ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from palaver.contract.record import Record

__all__ = (
    "Client",
    "ServerConnections",
    "ServerDialect",
    "load_client",
    "pieces",
    "show",
)

T = TypeVar("T")

_connected: Final[WeakKeyDictionary[Engine, WeakSet[Any]]] = WeakKeyDictionary()
"""The connections of the client library that each engine of ours has made."""

# Whoever has more work than this at the same time had better send it as batches, which the engine does.
READERS: Final = 5
WRITERS: Final = 5

CONNECT_TIMEOUT: Final = 4.0
STATEMENT_TIMEOUT: Final = 4.0
_LONGEST_TIMEOUT: Final = 3600

# The server itself ends what takes too long; only when it does not answer at all is the connection given up.
_GRACE: Final = 0.25

# How long a server may take to say goodbye.
_FAREWELL: Final = 0.5

# Seconds after which a connection is replaced: firewalls and proxies forget those that are older, and tell nobody.
_RECYCLE: Final = 600


class Timeouts:
    """How many seconds each part of a call may take.

    Args:
        given: those of `connect_timeout` and `timeout` that are given.

    Raises:
        InvalidOptionError: one is not a positive number of seconds.
    """

    def __init__(self, given: Mapping[str, float]) -> None:
        for name, seconds in given.items():
            check_seconds(seconds, name, most=_LONGEST_TIMEOUT)
        self.connect = given.get("connect_timeout", CONNECT_TIMEOUT)
        self.statement = given.get("timeout", STATEMENT_TIMEOUT)


class Client(Protocol):
    """What a client library does in its own way with one of its connections."""

    def check(self, connection: Any) -> None:
        """Refuse a connection on which statements would mean something else, as far as that is known without asking.

        Raises:
            StoreUnavailableError: its settings are wrong.
        """
        ...

    def is_ended(self, connection: Any) -> bool:
        """Tell whether the server has closed it, as far as that is known without asking."""
        ...

    def is_read_only(self, error: BaseException | None) -> bool:
        """Tell whether an error says that this connection may not write; another one may."""
        ...

    def abort(self, connection: Any) -> None:
        """Close it at once, so that whoever waits for an answer gets an error."""
        ...

    def drop(self, connection: Any) -> None:
        """Give back its descriptor: its event loop is closed."""
        ...


class ServerDialect:
    """What the dialects of both servers begin with.

    Args:
        url: an SQLAlchemy URL, with the client library in its scheme.
        engine: an engine to use instead of an own one; it is left open.
        timeouts: `connect_timeout` and `timeout`, in seconds, where given.
        schema: that of the tables, or None for that of the connection.

    Raises:
        InvalidOptionError: the host, a timeout or the schema cannot be.
    """

    readers = READERS
    writers = WRITERS
    quotes_data = True

    def __init__(self, url: URL, engine: AsyncEngine | None, timeouts: Mapping[str, float], schema: str | None) -> None:
        self._timeouts = Timeouts(timeouts)
        self.patience = self._timeouts.statement
        self.schema = choose_schema(schema, engine)
        self._url = url
        self._engine = engine
        self._arguments: dict[str, Any] = {}
        """What the client library is given besides the URL."""
        check_address(url)

    def _connections(
        self, client: Client, settings: Callable[[Any], Iterable[str]], **arguments: Any
    ) -> ServerConnections:
        """Return connections to the given engine, or to an own one that begins each with some settings."""
        if self._engine is not None:
            # The schema is translated already.
            engine = self._engine.execution_options(schema_translate_map=None)
            return ServerConnections(engine, self._timeouts, client, is_own=False)
        engine = open_engine(self._url, client, settings, **arguments, **self._arguments)
        return ServerConnections(engine, self._timeouts, client, is_own=True)


class ServerConnections:
    """The pool of an engine.

    Args:
        engine: the engine; each statement is a transaction of its own.
        timeouts: how long a call may take.
        client: what the client library does in its own way.
        is_own: whether the engine ends with the store.
    """

    def __init__(self, engine: AsyncEngine, timeouts: Timeouts, client: Client, *, is_own: bool) -> None:
        self._engine = engine
        self._timeouts = timeouts
        self._client = client
        self._is_own = is_own

    async def run(self, work: Callable[[Connection], T]) -> T:
        connection = await self._connect()
        limit = self._timeouts.statement + _GRACE
        # The connection is closed under the client library, which then ends at once: if it were cancelled, it would
        # first try, for seconds, to make peace with a server that does not answer.
        breaking = asyncio.get_running_loop().call_later(limit, self._client.abort, _raw(connection))
        try:
            self._client.check(_raw(connection))
            async with asyncio.timeout(limit + _GRACE):
                return await connection.run_sync(work)
        except DBAPIError as error:
            if not self._is_own and self._client.is_read_only(error.orig):
                await connection.invalidate()
            if error.connection_invalidated and asyncio.get_running_loop().time() >= breaking.when():
                raise TimeoutError from None
            raise
        finally:
            breaking.cancel()
            await connection.close()

    async def close(self) -> None:
        if not self._is_own:
            return
        # A connection whose server does not answer is given up, and the next one closed.
        for _ in range(READERS + WRITERS):
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._engine.dispose()
                return

    def abandon(self) -> None:
        if not self._is_own:
            return
        for raw in _connected.pop(self._engine.sync_engine, ()):
            self._client.drop(raw)
        self._engine.sync_engine.dispose(close=False)

    async def _connect(self) -> AsyncConnection:
        """Return a connection that is alive as far as can be known without asking the server."""
        async with asyncio.timeout(self._timeouts.connect):
            connection = await self._engine.connect()
            while self._client.is_ended(_raw(connection)) or not (self._is_own or await self._is_ready(connection)):
                await _drop(connection)
                connection = await self._engine.connect()
            return connection

    async def _is_ready(self, connection: AsyncConnection) -> bool:
        """Let each statement be a transaction of its own, until the connection is back in its pool.

        Not left to the engine: it would talk to a connection before anybody can see that the server has closed it.

        Returns:
            False when it is found out only now that the server has closed it.
        """
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
        except BaseException as error:
            if isinstance(error, DBAPIError) and (
                error.connection_invalidated or self._client.is_ended(_raw(connection))
            ):
                return False
            await _drop(connection)
            raise
        return True


async def _drop(connection: AsyncConnection) -> None:
    """Close a connection instead of giving it back to its pool."""
    await connection.invalidate()
    await connection.close()


def open_engine(url: URL, client: Client, settings: Callable[[Any], Iterable[str]], **connect_args: Any) -> AsyncEngine:
    """Return an engine whose connections begin with the settings for that connection; nothing is connected yet."""
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        url,
        connect_args=connect_args,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,  # nothing is open that would have to be rolled back with a trip to the server
        pool_size=READERS + WRITERS,
        max_overflow=0,
        pool_recycle=_RECYCLE,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def begin(connection: Any, _: object) -> None:
        _connected.setdefault(engine.sync_engine, WeakSet()).add(connection.driver_connection)
        cursor = connection.cursor()
        for setting in settings(connection.driver_connection):
            cursor.execute(setting)
        cursor.close()
        connection.commit()

    @event.listens_for(engine.sync_engine, "handle_error")
    def look(context: ExceptionContext) -> None:
        # What was connected while the server did not write may stay so when it does, as on a replica that became the
        # primary: the whole pool begins anew.
        if client.is_read_only(context.original_exception):
            context.is_disconnect = True

    return engine


def load_client(module: str, extra: str) -> ModuleType:
    """Import a client library, and what SQLAlchemy needs to use it.

    Raises:
        InvalidOptionError: it is not installed.
    """
    try:
        import_module("greenlet")
        return import_module(module)
    except ImportError as error:
        raise InvalidOptionError(
            f"its client library {module} is not installed: pip install 'palaver-sql[{extra}]'", option="url"
        ) from error


def show(url: URL, scheme: str) -> str:
    """Return where a server is, without user, password and options."""
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host or ""
    port = f":{url.port}" if url.port else ""
    return f"{scheme}://{host}{port}/{url.database or ''}"


def pieces(items: Iterable[tuple[str, Record, Any]], rows: int, size: int) -> Iterator[list[tuple[str, Record, Any]]]:
    """Cut records in order of their ids into pieces of at most so many rows and, if possible, so many bytes.

    All who write rows in the same order wait for each other, but never in a circle.
    """
    piece: list[tuple[str, Record, Any]] = []
    total = 0
    for item in sorted(items, key=lambda item: item[0]):
        total += len(item[1].payload)
        if piece and (len(piece) == rows or total > size):
            yield piece
            piece, total = [], len(item[1].payload)
        piece.append(item)
    if piece:
        yield piece


def _raw(connection: AsyncConnection) -> Any:
    """Return the connection of the client library."""
    return connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]
