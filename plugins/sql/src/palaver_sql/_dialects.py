"""What one kind of database does in its own way, behind one small interface."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from palaver.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from palaver.contract.clock import Clock
    from palaver_sql._statements import Statements

__all__ = ("Connections", "Dialect", "choose_dialect")

T = TypeVar("T")

# The module of each dialect, imported only for a URL that needs it.
_DIALECTS: Final = {
    "sqlite": ("palaver_sql._sqlite", "SQLite"),
    "postgresql": ("palaver_sql._postgresql", "PostgreSQL"),
    "postgres": ("palaver_sql._postgresql", "PostgreSQL"),  # as many hosting pages write it
    "mysql": ("palaver_sql._mysql", "MySQL"),
    "mariadb": ("palaver_sql._mysql", "MySQL"),
}


class Connections(Protocol):
    """The open connections to a database."""

    def run(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Do `work` with a connection that nobody else uses meanwhile.

        `work` is an ordinary function, so that it runs as it is in a thread or under SQLAlchemy's `run_sync`.
        """
        ...

    async def close(self) -> None:
        """Close all connections, once nothing is running any more."""
        ...

    def abandon(self) -> None:
        """Drop all connections without waiting: their event loop is closed."""
        ...


class Dialect(Protocol):
    """One database: where it is, and how to talk to it. Each statement is a transaction of its own, unless told."""

    max_payload_bytes: int
    """The largest payload that the database can keep."""

    readers: int
    """How many units of work may read at the same time."""

    writers: int
    """How many units of work may write at the same time."""

    patience: float
    """For how many seconds an answer may be waited for."""

    quotes_data: bool
    """Whether the errors of the database may quote what is stored."""

    @property
    def schema(self) -> str | None:
        """The schema of the tables; None is that of the connection."""
        ...

    @property
    def location(self) -> str:
        """Where the database is, without any credential."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its client library raises besides SQLAlchemy's own errors."""
        ...

    def connect(self) -> Connections:
        """Return connections for all readers and writers; nothing is connected yet."""
        ...

    def prepare(self, connection: Connection) -> None:
        """Bring the database itself into the state that the store's promises need, or refuse it."""
        ...

    def schema_lock(self, connection: Connection) -> AbstractContextManager[None]:
        """Keep all others from making tables meanwhile."""
        ...

    def statements(self, table: Table, namespace: str, clock: Clock) -> Statements:
        """Return the statements on a table of sessions."""
        ...

    def may_repeat(self, error: Exception) -> bool:
        """Tell whether the database undid the work only because others were at the same rows."""
        ...

    def explain(self, error: BaseException | None) -> str:
        """Say what is wrong and what to do, without any credential or payload."""
        ...

    def is_lasting(self, error: BaseException | None) -> bool:
        """Tell whether an error does not pass by itself, as a wrong password, so that nobody needs to try again."""
        ...


def choose_dialect(
    database: str | URL | AsyncEngine, timeouts: Mapping[str, float], schema: str | None = None
) -> Dialect:
    """Return the dialect of a database.

    Args:
        database: its URL, or an engine that is connected to it.
        timeouts: those of `connect_timeout` and `timeout` that are given.
        schema: that of the tables, if one is given.

    Raises:
        InvalidOptionError: the URL cannot be read, or no store can be made for it.
    """
    engine = None if isinstance(database, str | URL) else _checked_engine(database)
    url = _parse(database) if isinstance(database, str | URL) else database.url
    name = url.get_backend_name().lower()
    if name not in _DIALECTS:
        raise InvalidOptionError(f"{name!r} is not supported; there is {', '.join(sorted(_DIALECTS))}", option="url")
    module, attribute = _DIALECTS[name]
    make: Any = getattr(import_module(module), attribute)
    dialect: Dialect = make(url, engine, timeouts, schema)
    return dialect


def _checked_engine(database: object) -> AsyncEngine:
    from sqlalchemy.ext.asyncio import AsyncEngine

    if isinstance(database, AsyncEngine):
        return database
    remedy = "give a URL, or the AsyncEngine that create_async_engine() returns"
    if isinstance(database, Engine):
        raise InvalidOptionError(f"it is a synchronous engine; {remedy}", option="url")
    raise InvalidOptionError(f"it is of type {type(database).__name__}; {remedy}", option="url")


def _parse(url: str | URL) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Without its cause: SQLAlchemy 2.0 quotes the text, and a password may be in it.
        raise InvalidOptionError(_what_is_wrong(str(url)), option="url") from None


def _what_is_wrong(url: str) -> str:
    if "," in urlsplit(url).netloc.rpartition("@")[2]:
        return "several hosts are written as in postgresql://user:password@/database?host=one,two&port=5432,5432"
    return "it is no database URL, as in sqlite:///bot.db"
