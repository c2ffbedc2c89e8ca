"""Shared round trips in front of every store: whoever looks through them sees a store that keeps the laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import pytest

from palaver import SessionStore
from palaver.engine.round_trips import RoundTrips
from palaver_conformance import Harness, check_store
from palaver_conformance.laws import all_laws
from palaver_conformance.targets import store_url as harness_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from palaver import Absent, Clock, Record

KINDS: Final = {"READ", "SWAP", "CONCURRENT", "CANCEL"}
LAWS: Final = [law.id for law in all_laws() if law.id.partition("-")[0] in KINDS]


class SharingStore(SessionStore):
    """A store whose reads and swaps go the way that the engine's go, each as if others were there."""

    def __init__(self, store: SessionStore) -> None:
        super().__init__(ttl=store.ttl, namespace=store.namespace, clock=store.clock)
        # Where a store says that sharing gains nothing, it is shared all the same.
        store.batches_in_flight = max(1, store.batches_in_flight)
        self.capabilities = store.capabilities
        self._store = store
        self._round_trips = RoundTrips(store)

    async def init(self) -> Self:
        await self._store.init()
        return self

    async def close(self) -> None:
        await self._store.close()

    async def read(self, session_id: str) -> Record | None:
        return await self._round_trips.read(session_id, is_alone=False)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return await self._round_trips.swap(session_id, record, expected, is_alone=False)

    async def remove(self, session_id: str, expected: str) -> bool:
        return await self._store.remove(session_id, expected)

    async def write(self, session_id: str, record: Record) -> None:
        await self._store.write(session_id, record)

    async def destroy(self, session_id: str) -> None:
        await self._store.destroy(session_id)

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        return await self._store.read_many(session_ids)

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self._store.write_many(items)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        return await self._store.swap_many(items)

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        return await self._store.touch(session_id, expires_at)

    def scan(self, prefix: str = "") -> AsyncIterator[str]:
        return self._store.scan(prefix)

    async def purge(self) -> int:
        return await self._store.purge()

    async def clear(self) -> int:
        return await self._store.clear()


class SharingHarness:
    """A harness whose stores share their round trips."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SharingStore:
        return SharingStore(self._harness.make(location, clock=clock, namespace=namespace))


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_store_behind_shared_round_trips_keeps_the_laws(store_url: str) -> None:
    """Compare-and-swap, linearizability and cancellation among them."""
    report = check_store(SharingHarness(harness_of(store_url)), profile="smoke", laws=LAWS)

    assert {result.law.id.partition("-")[0] for result in report.results if result.verdict == "passed"} == KINDS
