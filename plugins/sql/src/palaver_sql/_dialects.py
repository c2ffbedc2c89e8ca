"""What one kind of database does in its own way, behind one small interface."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from palaver.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import URL, Connection, Insert, Table
    from sqlalchemy.exc import DBAPIError

__all__ = ("Connections", "Dialect", "choose_dialect")

T = TypeVar("T")

# The module of each dialect, imported only for a URL that needs it.
_DIALECTS: Final = {"sqlite": ("palaver_sql._sqlite", "SQLite")}


class Connections(Protocol):
    """The open connections to a database."""

    def run(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Do `work` with a connection that nobody else uses meanwhile; what it does not commit is rolled back.

        `work` is an ordinary function, so that it runs as it is in a thread or under SQLAlchemy's `run_sync`.
        """
        ...

    async def close(self) -> None:
        """Close all connections, once nothing is running any more."""
        ...


class Dialect(Protocol):
    """One database: where it is, and how to talk to it."""

    max_payload_bytes: int | None
    """The largest payload that the database can keep."""

    @property
    def location(self) -> str:
        """Where the database is, without any credential."""
        ...

    def connect(self, size: int) -> Connections:
        """Return up to `size` connections; nothing is connected yet."""
        ...

    def prepare(self, connection: Connection) -> None:
        """Bring the database itself into the state that the store's promises need."""
        ...

    def begin_write(self, connection: Connection) -> None:
        """Begin a transaction in which nobody else changes what this one reads."""
        ...

    def upsert(self, table: Table) -> Insert:
        """Return the statement that stores rows, whatever is there."""
        ...

    def explain(self, error: DBAPIError) -> str:
        """Say what is wrong and what to do, without any credential or payload."""
        ...


def choose_dialect(url: str | URL) -> Dialect:
    """Return the dialect of a database URL.

    Raises:
        InvalidOptionError: the URL cannot be read, or no store can be made for it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Without its cause: SQLAlchemy 2.0 quotes the text, and a password may be in it.
        raise InvalidOptionError("it is no database URL, as in sqlite:///bot.db", option="url") from None
    name = parsed.get_backend_name().lower()
    if name not in _DIALECTS:
        raise InvalidOptionError(f"{name!r} is not supported; there is {', '.join(sorted(_DIALECTS))}", option="url")
    module, attribute = _DIALECTS[name]
    make: Any = getattr(import_module(module), attribute)
    dialect: Dialect = make(parsed)
    return dialect
