"""Stores that are right for one caller at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from palaver.contract.record import ABSENT, Absent, Record, SwapDecision, decide_swap
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class _Slow(HonestStore):
    """Can decide a swap by what was there a moment ago."""

    async def swap_slowly(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        """Look, wait for the medium, and store."""
        decision = decide_swap(self.live(session_id), record, expected)
        await self.trip()
        if decision is SwapDecision.STORE:
            self.put(session_id, record)
        return decision is not SwapDecision.REFUSE


@saboteur("cas-toctou", law="CONCURRENT-05", words="the counter to be")
class LooksThenStores(_Slow):
    """Swap looks first and stores later."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        await self.begin()
        return await self.swap_slowly(session_id, record, expected)


@saboteur("cas-absent-race", law="CONCURRENT-04", words="this many of 8 swaps at once to store")
class MakesTwice(_Slow):
    """Swap from ABSENT looks first and stores later."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        if expected is not ABSENT:
            return await super().swap(session_id, record, expected)
        await self.begin()
        return await self.swap_slowly(session_id, record, expected)


@saboteur("cas-two-winners", law="CONCURRENT-04", words="this many of 8 swaps at once to store")
class SwapsManyLater(_Slow):
    """A batch of swaps looks first and stores later."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self.begin()
        return [await self.swap_slowly(*item) for item in items]


@saboteur("lost-update", law="CONCURRENT-01", words="one order of all calls")
class StoresTwice(HonestStore):
    """A swap that has stored its record stores it once more a moment later."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        stores = await super().swap(session_id, record, expected)
        for _ in range(5):
            await self.trip()
        if stores:
            self.put(session_id, record)
        return stores


@saboteur("touch-toctou", law="CONCURRENT-01", words="one order of all calls")
class TouchLater(HonestStore):
    """Touch reads the record, and writes it back later with another expiry."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        live = self.live(session_id)
        await self.trip()
        if live is not None:
            self.put(session_id, replace(live, expires_at=expires_at))
        return live is not None


@saboteur("destroy-late", law="CONCURRENT-01", words="one order of all calls")
class DestroysLater(HonestStore):
    """Destroy answers first and removes later."""

    async def destroy(self, session_id: str) -> None:
        await self.begin()
        self.medium.notes["tasks"][session_id] = asyncio.ensure_future(self.remove_later(session_id))

    async def remove_later(self, session_id: str) -> None:
        """Remove a session when some time has passed."""
        for _ in range(3):
            await self.trip()
        self.discard(session_id)


@saboteur("read-stale", law="CONCURRENT-01", words="one order of all calls")
class SharesOldReads(HonestStore):
    """A read gets the answer of one that was begun before it, if there is one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reads: dict[str, Record | None] = {}

    async def read(self, session_id: str) -> Record | None:
        if session_id in self.reads:
            await self.begin()
            return self.reads.get(session_id, self.live(session_id))
        self.reads[session_id] = self.live(session_id) if self.is_open else None
        try:
            for _ in range(4):
                await self.begin()
            return self.live(session_id)
        finally:
            del self.reads[session_id]


@saboteur("torn-read", law="CONCURRENT-06", words="payloads differ")
class ReadsInParts(HonestStore):
    """A large payload is read in two parts, with others in between."""

    async def read(self, session_id: str) -> Record | None:
        first = await super().read(session_id)
        if first is None or len(first.payload) < 1_000:
            return first
        await self.trip()
        second = self.live(session_id) or first
        return replace(first, payload=first.payload[:500] + second.payload[500:])


@saboteur("torn-write", law="CONCURRENT-06", words="payloads differ")
class WritesInParts(HonestStore):
    """A large payload is written in two parts, with others in between."""

    async def write(self, session_id: str, record: Record) -> None:
        if len(record.payload) >= 1_000:
            await self.begin()
            self.put(session_id, replace(record, payload=record.payload[:500]))
        await super().write(session_id, record)


@saboteur("lost-write-beside", law="CONCURRENT-07", words="None (no live record)")
class OneFileForSome(HonestStore):
    """Sessions whose ids are alike are kept together, and are read and written back together."""

    async def write(self, session_id: str, record: Record) -> None:
        await self.begin()
        beside = {each: self.get(each) for each in self.own_ids() if len(each) == len(session_id)}
        await self.trip()
        for each in self.own_ids():
            if len(each) == len(session_id) and each not in beside:
                self.discard(each)
        self.put(session_id, record)


@saboteur("one-file-for-all", law="CONCURRENT-07", words="None (no live record)")
class OneFileForAll(HonestStore):
    """All sessions are read, one is changed, and all are written back."""

    async def write(self, session_id: str, record: Record) -> None:
        await self.begin()
        everything = {**self.medium.records, self.key(session_id): record}
        await self.trip()
        self.medium.records = everything


@saboteur("cas-instance-lock", law="CONCURRENT-02", words="one order of all calls")
class LocksItself(_Slow):
    """Each store has a lock of its own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lock = asyncio.Lock()

    async def begin(self) -> None:
        await super().begin()
        async with self.lock:
            return

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        await super().begin()
        async with self.lock:
            return await self.swap_slowly(session_id, record, expected)


@saboteur("write-skew-order", law="CONCURRENT-02", words="one order of all calls")
class CountsItself(HonestStore):
    """A write takes effect only if its store has written no less often than the one that wrote before."""

    writes = 0

    async def write(self, session_id: str, record: Record) -> None:
        self.writes += 1
        mine, before = self.writes, self.medium.notes["writes"].get(session_id, 0)
        await self.begin()
        if mine >= before or self.live(session_id) is None:
            self.medium.notes["writes"][session_id] = mine
            self.put(session_id, record)


@saboteur("batch-atomic-lie", law="CONCURRENT-03", words="one order of all calls")
class BatchInSteps(HonestStore):
    """A batch of swaps stores all payloads first, and the versions later."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self.begin()
        for session_id, record, expected in items:
            live = self.live(session_id)
            if live is not None and live.version == expected:
                self.put(session_id, replace(live, payload=record.payload))
        await self.trip()
        return [self.decide(*item) for item in items]


@saboteur("batch-lost-update", law="CONCURRENT-03", words="one order of all calls")
class BatchBySnapshot(_Slow):
    """A batch of swaps is decided by what was there when it began."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self.begin()
        return list(await asyncio.gather(*(self.swap_slowly(*item) for item in items)))


@saboteur("scan-raises-on-change", law="CONCURRENT-08", words="dictionary")
class ScansTheLiving(HonestStore):
    """A scan goes through the sessions as they are, and trips over one that comes or goes."""

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self.begin()
        for namespace, session_id in self.medium.records:
            if namespace == self.namespace and session_id.startswith(prefix) and self.is_live(session_id):
                yield session_id
                await self.begin()


@saboteur("scan-by-offset", law="CONCURRENT-08", words="this many times")
class ScansByOffset(HonestStore):
    """A scan goes through the sorted ids by their number, which changes when others come and go."""

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self.begin()
        number = 0
        while number < len(own := sorted(self.own_ids())):
            if own[number].startswith(prefix) and self.is_live(own[number]):
                yield own[number]
            number += 1
            await self.begin()


@saboteur("purge-race", law="CONCURRENT-09", words="None (no live record)")
class PurgesLater(HonestStore):
    """Purge looks for what has expired, and removes it later."""

    async def purge(self) -> int:
        await self.begin()
        gone = [each for each in self.own_ids() if isinstance(self.get(each), Record) and not self.is_live(each)]
        await self.trip()
        await self.trip()
        for session_id in gone:
            self.discard(session_id)
        return len(gone)


@saboteur("purge-removes-rewritten", law="CONCURRENT-09", words="None (no live record)")
class PurgesByOldIndex(HonestStore):
    """Purge goes by an index of expiries, which keeps those of former records."""

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, record)
        if record.expires_at is not None:
            self.medium.notes["deadlines"][self.key(session_id)] = record.expires_at

    async def purge(self) -> int:
        await self.begin()
        deadlines = self.medium.notes["deadlines"]
        gone = [
            each for each in self.own_ids() if deadlines.get(self.key(each), self.clock.now() + 1) <= self.clock.now()
        ]
        for session_id in gone:
            self.discard(session_id)
            del deadlines[self.key(session_id)]
        return len(gone)
