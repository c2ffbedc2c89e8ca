"""How many bytes the sessions of a store take on its medium."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ("footprint",)


def footprint(driver: str, url: str, folder: Path) -> Callable[[], Awaitable[int]]:
    """Return what measures the bytes of a driver's medium.

    Args:
        driver: which.
        url: where its sessions are.
        folder: where they are when the driver has no server.
    """
    measure = _MEASURES[driver]
    return lambda: measure(url, folder)


async def _process(_: str, __: Path) -> int:
    return int(psutil.Process().memory_info().rss)


async def _folder(_: str, folder: Path) -> int:
    return await asyncio.to_thread(_disk_use, folder)


def _disk_use(folder: Path) -> int:
    # A file takes whole blocks of the disk.
    return sum(Path(at, name).lstat().st_blocks * 512 for at, _, names in os.walk(folder) for name in names)


async def _redis(url: str, _: Path) -> int:
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        return int((await client.info("memory"))["used_memory"])


async def _mongo(url: str, _: Path) -> int:
    from pymongo import AsyncMongoClient

    async with AsyncMongoClient[dict[str, Any]](url) as client:
        await client.admin.command({"fsync": 1})  # so that the sizes of the files are those of what is in them
        told = await client["palaver"].command({"collStats": "sessions"})
        return int(told["storageSize"] + told["totalIndexSize"])


async def _postgresql(url: str, _: Path) -> int:
    return await _ask_database(url, "postgresql+asyncpg", "SELECT pg_total_relation_size('palaver_sessions')")


async def _mysql(url: str, _: Path) -> int:
    sizes = "SELECT data_length + index_length FROM information_schema.tables WHERE table_name = 'palaver_sessions'"
    await _ask_database(url, "mysql+asyncmy", "ANALYZE TABLE palaver_sessions")
    return await _ask_database(url, "mysql+asyncmy", sizes)


async def _ask_database(url: str, client: str, statement: str) -> int:
    """Return the first number of a table, if there is one."""
    from sqlalchemy import make_url
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(make_url(url).set(drivername=client), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        found = (await connection.exec_driver_sql(statement)).scalar_one()
    await engine.dispose()
    return int(found) if isinstance(found, int) or str(found).isdigit() else 0


_MEASURES: dict[str, Callable[[str, Path], Awaitable[int]]] = {
    "memory": _process,
    "file": _folder,
    "sqlite": _folder,
    "redis": _redis,
    "mongo": _mongo,
    "postgresql": _postgresql,
    "mysql": _mysql,
}
