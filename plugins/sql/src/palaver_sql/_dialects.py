"""What one kind of database does in its own way, behind one small interface."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from palaver.errors import InvalidOptionError

if TYPE_CHECKING:
    from sqlalchemy import URL, Insert, Table
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ("Dialect", "choose_dialect")

# The module of each dialect, imported only for a URL that needs it.
_DIALECTS: Final = {"sqlite": ("palaver_sql._sqlite", "SQLite")}


class Dialect(Protocol):
    """One database: where it is, and how to talk to it."""

    max_payload_bytes: int | None
    """The largest payload that the database can keep."""

    location: str
    """Where the database is, without any credential."""

    def create_engine(self, **options: Any) -> AsyncEngine:
        """Make an engine with the given SQLAlchemy options; nothing is connected yet."""
        ...

    async def prepare(self, connection: AsyncConnection) -> None:
        """Bring the database itself into the state that the store's promises need."""
        ...

    async def begin_write(self, connection: AsyncConnection) -> None:
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
    except (ArgumentError, ValueError) as error:
        raise InvalidOptionError("it is no database URL, as in sqlite:///bot.db", option="url") from error
    name = parsed.get_backend_name()
    if name not in _DIALECTS:
        raise InvalidOptionError(f"{name!r} is not supported; there is {', '.join(sorted(_DIALECTS))}", option="url")
    module, attribute = _DIALECTS[name]
    make: Any = getattr(import_module(module), attribute)
    dialect: Dialect = make(parsed)
    return dialect
