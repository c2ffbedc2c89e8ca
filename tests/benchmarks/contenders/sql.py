"""SQLAlchemy, called once for each message; each statement is a transaction of its own."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, event, insert, make_url, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tests.benchmarks.contenders._codec import TTL_MS, LostUpdateError, count, decode, encode, new_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_server", "open_sqlite")

_CLIENTS: Final = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}

# Seconds that a writer waits for another one, and that a turn waits for a connection of the pool.
_BUSY_TIMEOUT: Final = 30.0

_SESSIONS: Final = Table(
    "raw_sessions",
    MetaData(),
    Column("id", String(512), primary_key=True),
    Column("version", String(32), nullable=False),
    Column("expires_at", BigInteger, index=True),
    Column("payload", LargeBinary(2**24 - 1), nullable=False),
)


@asynccontextmanager
async def open_server(job: Job) -> AsyncIterator[Turn]:
    """Open PostgreSQL through asyncpg, MySQL through asyncmy."""
    url = make_url(job.place).set(drivername=_CLIENTS[job.driver])
    async with _opened(create_async_engine(url, isolation_level="AUTOCOMMIT"), job) as turn:
        yield turn


@asynccontextmanager
async def open_sqlite(job: Job) -> AsyncIterator[Turn]:
    """Open a file of SQLite through aiosqlite; what it acknowledges is on the disk."""
    url = f"sqlite+aiosqlite:///{Path(job.place, 'raw.db').as_posix()}"
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", connect_args={"timeout": _BUSY_TIMEOUT})
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    async with _opened(engine, job) as turn:
        yield turn


@asynccontextmanager
async def _opened(engine: AsyncEngine, job: Job) -> AsyncIterator[Turn]:
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_SESSIONS.metadata.create_all)
        yield _turn(engine, encode(job.state))
    finally:
        await engine.dispose()


def _turn(engine: AsyncEngine, initial: bytes) -> Turn:
    find = select(_SESSIONS.c.version, _SESSIONS.c.payload)

    async def turn(session_id: str) -> int:
        # The connection goes back while the handler works, which with a real bot takes a while.
        async with engine.connect() as connection:
            found = (await connection.execute(find.where(_SESSIONS.c.id == session_id))).first()
        state = decode(initial if found is None else found.payload)
        counted = count(state)
        expires_at = time.time_ns() // 1_000_000 + TTL_MS
        values = {"version": new_version(), "expires_at": expires_at, "payload": encode(state)}
        async with engine.connect() as connection:
            if found is None:
                await connection.execute(insert(_SESSIONS).values(id=session_id, **values))
                return counted
            is_same = (_SESSIONS.c.id == session_id) & (_SESSIONS.c.version == found.version)
            answer = await connection.execute(update(_SESSIONS).where(is_same).values(**values))
        if not answer.rowcount:
            raise LostUpdateError
        return counted

    return turn


def _set_up_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()
