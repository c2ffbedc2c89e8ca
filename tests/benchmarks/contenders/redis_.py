"""redis-py, called once for each message."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from tests.benchmarks.contenders._codec import ABSENT, TTL_MS, LostUpdateError, count, decode, encode, new_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_redis",)

_VERSION_BYTES: Final = 32

_SWAP: Final = """\
if redis.call('GETRANGE', KEYS[1], 0, 31) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

_DEFAULT_CONNECTIONS: Final = 100
"""So many the default pool has; when it needs another one it fails, so that more conversations need one that waits."""


@asynccontextmanager
async def open_redis(job: Job) -> AsyncIterator[Turn]:
    """Get the value, its first bytes being the version, and swap it in a script that the server knows already."""
    initial = encode(job.state)
    async with Redis.from_pool(_pool(job)) as client:
        swap = client.register_script(_SWAP)

        async def turn(session_id: str) -> int:
            key = f"raw:{session_id}"
            value = await client.get(key)
            expected = ABSENT if value is None else value[:_VERSION_BYTES]
            state = decode(initial if value is None else value[_VERSION_BYTES:])
            counted = count(state)
            stored = await swap(keys=[key], args=[expected, new_version().encode() + encode(state), TTL_MS])
            if not stored:
                raise LostUpdateError
            return counted

        yield turn


def _pool(job: Job) -> ConnectionPool:
    if len(job.session_ids) <= _DEFAULT_CONNECTIONS:
        return ConnectionPool.from_url(job.place)
    return BlockingConnectionPool.from_url(job.place, max_connections=_DEFAULT_CONNECTIONS, timeout=None)
