"""The connections to a database: readers side by side, writers one after another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from palaver.cancellation import run_to_end
from palaver.errors import StoreClosedError
from palaver_sql._errors import mapped_errors
from palaver_sql._schema import create_tables, has_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Table

    from palaver_sql._dialects import Dialect

__all__ = ("Database",)

T = TypeVar("T")

# More readers than this only wait for each other: Python runs one of them at a time.
READERS: Final = 4


class Database:
    """An open database, in one event loop.

    Args:
        dialect: which database.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._connections = dialect.connect(READERS + 1)
        self._reading = asyncio.Semaphore(READERS)
        # A writer of this process who waits here does not poll the database for its lock.
        self._writing = asyncio.Lock()
        self._running: set[asyncio.Future[Any]] = set()
        self._is_closing = False

    async def prepare(self, table: Table) -> None:
        """Make the database ready, and create the tables unless they are there."""
        location = self._dialect.location
        await self.read(self._dialect.prepare)
        if not await self.read(lambda connection: has_tables(connection, table, location)):
            await self.write(lambda connection: create_tables(connection, table, location))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, each statement by itself."""
        async with self._reading:
            return await self._run(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in one transaction, all of it or nothing."""

        def transaction(connection: Connection) -> T:
            self._dialect.begin_write(connection)
            result = work(connection)
            connection.commit()
            return result

        async with self._writing:
            return await self._run(transaction)

    async def close(self) -> None:
        """Wait for what is running, and close all connections."""
        self._is_closing = True
        await run_to_end(self._close())

    async def _close(self) -> None:
        while self._running:
            await asyncio.wait(self._running)
        with mapped_errors(self._dialect):
            await self._connections.close()

    async def _run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` to its end, even when the caller is cancelled: it could not be stopped, and must not be late."""
        if self._is_closing:
            raise StoreClosedError(self._dialect.location)
        running = asyncio.ensure_future(self._connections.run(work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        with mapped_errors(self._dialect):
            return await run_to_end(running)
