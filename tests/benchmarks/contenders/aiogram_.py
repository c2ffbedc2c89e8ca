"""aiogram's storages, as `FSMContext` uses them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from hashlib import blake2b
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders._codec import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_memory", "open_redis")


@asynccontextmanager
async def open_memory(job: Job) -> AsyncIterator[Turn]:
    """Open the storage that is its default."""
    async with _opened(import_module("aiogram.fsm.storage.memory").MemoryStorage(), job) as turn:
        yield turn


@asynccontextmanager
async def open_redis(job: Job) -> AsyncIterator[Turn]:
    """Open the storage in Redis, with its default pool."""
    async with _opened(import_module("aiogram.fsm.storage.redis").RedisStorage.from_url(job.place), job) as turn:
        yield turn


@asynccontextmanager
async def _opened(storage: Any, job: Job) -> AsyncIterator[Turn]:
    key = import_module("aiogram.fsm.storage.base").StorageKey
    # Its keys are made of numbers.
    numbers = {each: int.from_bytes(blake2b(each.encode(), digest_size=6).digest()) for each in job.session_ids}
    keys = {each: key(bot_id=1, chat_id=number, user_id=number) for each, number in numbers.items()}

    async def turn(session_id: str) -> int:
        place = keys[session_id]
        state = await storage.get_data(place) or {**job.state}
        counted = count(state)
        await storage.set_data(place, state)
        return counted

    try:
        yield turn
    finally:
        await storage.close()
