"""Litestar's stores, with JSON by msgspec as its own sessions have it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders._codec import count, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_file", "open_memory", "open_redis")


@asynccontextmanager
async def open_memory(job: Job) -> AsyncIterator[Turn]:
    """Open the store in memory."""
    async with _opened(import_module("litestar.stores.memory").MemoryStore(), job) as turn:
        yield turn


@asynccontextmanager
async def open_file(job: Job) -> AsyncIterator[Turn]:
    """Open the store in a folder."""
    async with _opened(import_module("litestar.stores.file").FileStore(Path(job.place)), job) as turn:
        yield turn


@asynccontextmanager
async def open_redis(job: Job) -> AsyncIterator[Turn]:
    """Open the store in Redis, with its default pool."""
    async with _opened(import_module("litestar.stores.redis").RedisStore.with_client(job.place), job) as turn:
        yield turn


@asynccontextmanager
async def _opened(store: Any, job: Job) -> AsyncIterator[Turn]:
    initial = encode(job.state)
    async with store:

        async def turn(session_id: str) -> int:
            state = decode(await store.get(session_id) or initial)
            counted = count(state)
            await store.set(session_id, encode(state))
            return counted

        yield turn
