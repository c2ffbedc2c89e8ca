"""States in a dict, and in a cache."""

from __future__ import annotations

import copy
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders._codec import count, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_cachetools", "open_dict")


@asynccontextmanager
async def open_dict(job: Job) -> AsyncIterator[Turn]:
    """Keep encoded states in a dict: nobody shares an object with anybody."""
    initial, sessions = encode(job.state), dict[str, bytes]()

    async def turn(session_id: str) -> int:
        state = decode(sessions.get(session_id, initial))
        counted = count(state)
        sessions[session_id] = encode(state)
        return counted

    yield turn


@asynccontextmanager
async def open_cachetools(job: Job) -> AsyncIterator[Turn]:
    """Keep states in a cache that forgets who was away longest, copied in and out."""
    sessions: Any = import_module("cachetools").LRUCache(maxsize=100_000)

    async def turn(session_id: str) -> int:
        state = copy.deepcopy(sessions.get(session_id, job.state))
        counted = count(state)
        sessions[session_id] = copy.deepcopy(state)
        return counted

    yield turn
