"""Several stores at the same rows at the same time."""

from __future__ import annotations

import asyncio
import random

from palaver.contract.clock import ManualClock
from palaver.contract.record import ABSENT, Record, new_version
from palaver_sql import SQLSessionStore


def make(payload: bytes = b"{}", expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


async def test_batches_from_absence_in_different_orders(url: str) -> None:
    """Of batches that all expect absence, each id is won once, and nobody is told that there was a deadlock."""
    ids = [f"{number}" for number in range(20)]
    stores = [SQLSessionStore(url) for _ in range(4)]
    dice = random.Random(4)
    for store in stores:
        await store.init()
    try:
        for _ in range(5):
            batches = [[(session_id, make(), ABSENT) for session_id in dice.sample(ids, 20)] for _ in stores]
            answers = await asyncio.gather(
                *(store.swap_many(batch) for store, batch in zip(stores, batches, strict=True))
            )
            won = [
                (session_id, record)
                for batch, outcome in zip(batches, answers, strict=True)
                for (session_id, record, _), is_stored in zip(batch, outcome, strict=True)
                if is_stored
            ]
            assert sorted(session_id for session_id, _ in won) == sorted(ids)
            assert await stores[0].read_many([session_id for session_id, _ in won]) == [record for _, record in won]
            await stores[0].clear()
    finally:
        for store in stores:
            await store.close()


async def test_mixed_batches_lose_nothing(url: str) -> None:
    """Batches that change, make and end sessions in different orders count every success, and only those."""
    ids = [f"{number}" for number in range(8)]
    counted = dict.fromkeys(ids, 0)

    async def count(store: SQLSessionStore, dice: random.Random) -> None:
        for _ in range(10):
            chosen = dice.sample(ids, 5)
            live = await store.read_many(chosen)
            swaps = [
                (session_id, make(b"%d" % (int(old.payload) + 1 if old else 1)), old.version if old else ABSENT)
                for session_id, old in zip(chosen, live, strict=True)
            ]
            for session_id, is_stored in zip(chosen, await store.swap_many(swaps), strict=True):
                counted[session_id] += is_stored

    async with SQLSessionStore(url) as one, SQLSessionStore(url) as other:
        await asyncio.gather(*(count((one, other)[number % 2], random.Random(number)) for number in range(6)))
        for session_id, record in zip(ids, await one.read_many(ids), strict=True):
            assert counted[session_id] == (int(record.payload) if record else 0)


async def test_expired_row_is_won_once(url: str) -> None:
    """Of many who replace what has expired, one stores."""
    clock = ManualClock()
    async with SQLSessionStore(url, clock=clock) as one, SQLSessionStore(url, clock=clock) as other:
        await one.write("a", make(b"old", clock.now()))
        records = [make(b"%d" % number) for number in range(12)]
        swaps = ((one, other)[number % 2].swap("a", record, ABSENT) for number, record in enumerate(records))
        answers = await asyncio.gather(*swaps)
        assert answers.count(True) == 1
        assert await one.read("a") == records[answers.index(True)]


async def test_purge_spares_what_is_renewed_meanwhile(url: str) -> None:
    """A session that is written again while others purge stays."""
    clock = ManualClock()
    async with SQLSessionStore(url, clock=clock) as store, SQLSessionStore(url, clock=clock) as sweeper:
        for _ in range(5):
            await store.write_many([(f"{number}", make(b"", clock.now())) for number in range(50)])
            renewed = [(f"{number}", make()) for number in range(0, 50, 2)]
            await asyncio.gather(
                sweeper.purge(), *(store.write(session_id, record) for session_id, record in renewed), sweeper.purge()
            )
            assert await store.read_many([session_id for session_id, _ in renewed]) == [r for _, r in renewed]
            await store.clear()


async def test_repeated_swap_after_a_touch(url: str) -> None:
    """A swap that is repeated answers True, and leaves an expiry alone that was moved since."""
    async with SQLSessionStore(url) as store:
        record, later = make(), 4_102_444_800_000
        assert await store.swap_many([("a", record, ABSENT), ("b", record, ABSENT)]) == [True, True]
        assert await store.touch("a", later)
        assert await store.swap_many([("a", record, ABSENT), ("b", record, "x")]) == [True, True]
        stored = await store.read("a")
        assert stored is not None
        assert stored.expires_at == later
