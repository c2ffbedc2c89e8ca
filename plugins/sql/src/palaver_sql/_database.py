"""An open database: how many use it at the same time, and what becomes of those who fail, leave or come too late."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy.exc import DBAPIError

from palaver.errors import StoreClosedError
from palaver.toolkit.cancellation import run_to_end
from palaver.toolkit.places import Places
from palaver_sql._errors import mapped_errors
from palaver_sql._schema import create_tables, has_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Table

    from palaver_sql._dialects import Dialect

__all__ = ("Database",)

T = TypeVar("T")

_ATTEMPTS: Final = 10
_FIRST_PAUSE: Final = 0.005


class Database:
    """An open database, in one event loop.

    Args:
        dialect: which database.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._connections = dialect.connect()
        self._reading = Places(dialect.readers, patience=dialect.patience, store=dialect.location)
        # A writer of this process who waits here does not wait in the database, where a wait has its limit.
        self._writing = Places(dialect.writers, patience=dialect.patience, store=dialect.location)
        self._running: set[asyncio.Future[Any]] = set()
        self._is_closing = False

    async def prepare(self, table: Table) -> None:
        """Make the database ready, and bring the tables to the present version unless they are."""
        location = self._dialect.location
        await self.read(self._dialect.prepare)
        if not await self.read(lambda connection: has_tables(connection, table, location)):
            await self.write(lambda connection: self._create(connection, table))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work` that changes nothing; once more, when the connection was lost."""
        return await self._reading.run(
            lambda: mapped_errors(self._persist(work, lambda error: error.connection_invalidated), self._dialect)
        )

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work`; again, when the database undid it because of others."""
        return await self._writing.run(
            lambda: mapped_errors(self._persist(work, self._dialect.may_repeat), self._dialect)
        )

    async def close(self) -> None:
        """Wait for what is running, and close all connections."""
        self._is_closing = True
        await run_to_end(mapped_errors(self._close(), self._dialect))

    def abandon(self) -> None:
        """Drop all connections: their event loop is closed."""
        self._connections.abandon()

    async def _close(self) -> None:
        while self._running:
            await asyncio.wait(self._running)
        await self._connections.close()

    async def _persist(self, work: Callable[[Connection], T], may_repeat: Callable[[DBAPIError], bool]) -> T:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._run(work)
            except DBAPIError as error:
                if not may_repeat(error):
                    raise
            # Of those who met, one has gone on, so that not all meet again.
            await asyncio.sleep(random.uniform(0, _FIRST_PAUSE * 2**attempt))  # noqa: S311  # no secret
        return await self._run(work)

    async def _run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` to its end, even when the caller is cancelled: it could not be stopped, and must not be late."""
        if self._is_closing:
            raise StoreClosedError(self._dialect.location)
        running = asyncio.ensure_future(self._connections.run(work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await run_to_end(running)

    def _create(self, connection: Connection, table: Table) -> None:
        with self._dialect.schema_lock(connection):
            create_tables(connection, table, self._dialect.location)
