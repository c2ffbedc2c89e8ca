"""Scans while keys come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import pytest

from palaver import Record
from palaver_redis import RedisSessionStore, _store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.server

RECORD = Record(b"x", "v1", None)


@pytest.mark.parametrize("remembered", [1_000_000, 5000])
async def test_each_once_while_others_go(
    redis_url: str, namespace: str, remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays is seen once while most other keys are removed, also where not all keys can be remembered."""
    monkeypatch.setattr(_store, "_REMEMBERED", remembered)
    staying = {f"stay {n}" for n in range(3000)}
    leaving = [f"leave {n}" for n in range(12000)]
    async with RedisSessionStore(redis_url, namespace=namespace) as store:
        await store.write_many([(session_id, RECORD) for session_id in [*staying, *leaving]])
        seen: Counter[str] = Counter()
        async for session_id in store.scan():
            seen[session_id] += 1
            if len(seen) % 100 == 0 and leaving:
                gone, leaving = leaving[:2000], leaving[2000:]
                await asyncio.gather(*(store.destroy(one) for one in gone))
        assert set(seen.values()) == {1}
        assert staying <= seen.keys()
        assert await store.clear() == 3000


async def test_left_early(any_url: str, namespace: str) -> None:
    """A scan that is left early holds no connection and no task."""
    async with RedisSessionStore(any_url, namespace=namespace) as store:
        await store.write_many([(f"{n}", RECORD) for n in range(2000)])
        async with aclosing(cast("AsyncGenerator[str, None]", store.scan())) as scan:
            await anext(scan)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert await store.clear() == 2000
