"""What the conformance kit needs to know of the SQL store."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from pathlib import Path

    from palaver import Clock

__all__ = ("SQLiteHarness",)


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
