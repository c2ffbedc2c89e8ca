"""The stores of py-key-value."""

from __future__ import annotations

import copy
from contextlib import asynccontextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders._codec import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_disk", "open_memory", "open_redis")


@asynccontextmanager
async def open_memory(job: Job) -> AsyncIterator[Turn]:
    """Open the store in memory."""
    async with _opened(import_module("key_value.aio.stores.memory").MemoryStore(), job) as turn:
        yield turn


@asynccontextmanager
async def open_disk(job: Job) -> AsyncIterator[Turn]:
    """Open the store in a folder."""
    async with _opened(import_module("key_value.aio.stores.disk").DiskStore(directory=job.place), job) as turn:
        yield turn


@asynccontextmanager
async def open_redis(job: Job) -> AsyncIterator[Turn]:
    """Open the store in Redis, with its default pool."""
    async with _opened(import_module("key_value.aio.stores.redis").RedisStore(url=job.place), job) as turn:
        yield turn


@asynccontextmanager
async def _opened(store: Any, job: Job) -> AsyncIterator[Turn]:
    async def turn(session_id: str) -> int:
        state = await store.get(session_id) or copy.deepcopy(job.state)
        counted = count(state)
        await store.put(session_id, state)
        return counted

    # The store in memory has nothing to close.
    async with store if hasattr(store, "__aexit__") else nullcontext():
        yield turn
