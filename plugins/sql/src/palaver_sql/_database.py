"""The connections to a database: readers side by side, writers one after another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from palaver.cancellation import run_to_end
from palaver.errors import StoreClosedError
from palaver_sql._errors import mapped_errors
from palaver_sql._schema import create_tables, has_tables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

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
        self._engine = dialect.create_engine(pool_size=READERS + 1, max_overflow=0, hide_parameters=True)
        self._reading = asyncio.Semaphore(READERS)
        # A writer of this process who waits here does not poll the database for its lock.
        self._writing = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._is_closing = False

    async def prepare(self, table: Table) -> None:
        """Make the database ready, and create the tables unless they are there."""
        location = self._dialect.location
        await self.read(self._dialect.prepare)
        if not await self.read(lambda connection: connection.run_sync(has_tables, table, location)):
            await self.write(lambda connection: connection.run_sync(create_tables, table, location))

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work`, each statement by itself."""
        async with self._reading:
            return await self._run_to_end(self._connected(work))

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work` in one transaction, all of it or nothing."""
        async with self._writing:
            return await self._run_to_end(self._connected(self._in_transaction(work)))

    async def close(self) -> None:
        """Wait for what is running, and close all connections."""
        self._is_closing = True
        await run_to_end(self._close())

    async def _close(self) -> None:
        while self._running:
            await asyncio.wait(self._running)
        with mapped_errors(self._dialect):
            await self._engine.dispose()

    async def _run_to_end(self, work: Coroutine[Any, Any, T]) -> T:
        if self._is_closing:
            work.close()
            raise StoreClosedError(self._dialect.location)
        running = asyncio.ensure_future(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await run_to_end(running)

    async def _connected(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with mapped_errors(self._dialect):
            async with self._engine.connect() as connection:
                return await work(connection)

    def _in_transaction(
        self, work: Callable[[AsyncConnection], Awaitable[T]]
    ) -> Callable[[AsyncConnection], Awaitable[T]]:
        async def transaction(connection: AsyncConnection) -> T:
            await self._dialect.begin_write(connection)
            result = await work(connection)
            await connection.commit()
            return result

        return transaction
