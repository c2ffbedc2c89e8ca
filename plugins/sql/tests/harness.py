"""What the conformance kit needs to know of the SQL store."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from sqlalchemy import make_url, text

from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    from palaver import Clock

__all__ = ("MySQLHarness", "PostgreSQLHarness", "SQLiteHarness", "connected")

DRIVERS: Final = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy", "mariadb": "mysql+asyncmy"}


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    """Connect to a server with nothing of Palaver in between."""
    from sqlalchemy.ext.asyncio import create_async_engine

    parsed = make_url(url)
    if parsed.drivername in DRIVERS:
        parsed = parsed.set(drivername=DRIVERS[parsed.drivername])
    engine = create_async_engine(parsed, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


class SQLiteHarness:
    """A location is a database file in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SQLSessionStore:
        return SQLSessionStore(f"sqlite:///{self._folder / location}.db", clock=clock, namespace=namespace)

    async def remove(self, location: str) -> None:
        await asyncio.to_thread(self._remove, location)

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        # SQLite takes text where bytes should be.
        change = "UPDATE palaver_sessions SET payload = 'torn' WHERE namespace = ? AND session_id = ?"
        await asyncio.to_thread(self._execute, location, change, namespace, session_id)

    async def read_raw(self, location: str, namespace: str, session_id: str) -> bytes:
        query = "SELECT payload FROM palaver_sessions WHERE namespace = ? AND session_id = ?"
        rows = await asyncio.to_thread(self._execute, location, query, namespace, session_id)
        payload: bytes = rows[0][0]
        return payload

    def make_unusable(self, *, clock: Clock) -> SQLSessionStore:
        return SQLSessionStore(f"sqlite:///{self._folder / 'no such folder' / 'bot.db'}", clock=clock)

    def _execute(self, location: str, statement: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(self._folder / f"{location}.db", isolation_level=None)) as database:
            return database.execute(statement, values).fetchall()

    def _remove(self, location: str) -> None:
        for file in self._folder.glob(f"{location}.db*"):
            file.unlink(missing_ok=True)


class _ServerHarness:
    """A location is a table in a database on a server."""

    damaged_version = ""
    """An expression for a version that no store writes."""

    def __init__(self, url: str) -> None:
        self._url = url
        parsed = make_url(url)
        self.address = (str(parsed.host), int(parsed.port or 0))
        password = str(parsed.password)
        self.secrets = (password, quote_plus(password))

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SQLSessionStore:
        return self.make_at(self.address, location, clock=clock, namespace=namespace)

    def make_at(self, address: tuple[str, int], location: str, *, clock: Clock, namespace: str = "") -> SQLSessionStore:
        url = make_url(self._url).set(host=address[0], port=address[1])
        return SQLSessionStore(url, table=_table(location), clock=clock, namespace=namespace)

    def make_unusable(self, *, clock: Clock) -> SQLSessionStore:
        return SQLSessionStore(make_url(self._url).set(database="palaver_nowhere"), clock=clock)

    async def remove(self, location: str) -> None:
        await self.ask(f"DROP TABLE IF EXISTS {_table(location)}")
        await self.ask("DELETE FROM palaver_schema WHERE table_name = :name", name=_table(location))

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        change = f"UPDATE {_table(location)} SET version = {self.damaged_version}"
        await self.ask(
            f"{change} WHERE namespace = :namespace AND session_id = :id", namespace=namespace, id=session_id
        )

    async def read_raw(self, location: str, namespace: str, session_id: str) -> bytes:
        query = f"SELECT payload FROM {_table(location)} WHERE namespace = :namespace AND session_id = :id"
        rows = await self.ask(query, namespace=namespace, id=session_id)
        payload: bytes = rows[0][0]
        return payload

    async def fail(self, location: str) -> None:
        """Put another table in its place."""
        await self.ask(f"ALTER TABLE {_table(location)} RENAME TO {_table(location)}_away")
        await self.ask(f"CREATE TABLE {_table(location)} (other INTEGER)")

    async def mend(self, location: str) -> None:
        await self.ask(f"DROP TABLE {_table(location)}")
        await self.ask(f"ALTER TABLE {_table(location)}_away RENAME TO {_table(location)}")

    async def ask(self, statement: str, **values: str) -> list[Any]:
        async with connected(self._url) as connection:
            result = await connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []


class PostgreSQLHarness(_ServerHarness):
    """All of it on PostgreSQL."""

    damaged_version = "repeat('x', 600)"

    async def cut(self, location: str) -> None:
        await self.ask(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class MySQLHarness(_ServerHarness):
    """All of it on MySQL or MariaDB."""

    damaged_version = "x'ff'"

    async def cut(self, location: str) -> None:
        others = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        for (number,) in await self.ask(others):
            await self.ask(f"KILL CONNECTION {number}")


def _table(location: str) -> str:
    return location.replace("-", "_")
