"""Stores that are odd but right must pass: a law must not ask for more than the contract does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Self, Unpack

import pytest

from palaver.contract.record import Record
from palaver.contract.store import Capabilities, SessionStore
from palaver.errors import SessionTooLargeError
from palaver.toolkit.lifecycle import Lifecycle
from palaver_conformance import check_store
from palaver_conformance.laws import all_laws
from palaver_conformance.saboteurs._honest import HonestHarness, HonestStore
from palaver_memory import MemorySessionStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver.contract.record import Absent
    from palaver.contract.store import StoreOptions
    from palaver_conformance.harness import HarnessLike


class FourMethods(SessionStore):
    """Declares nothing."""

    def __init__(self, _location: str, **options: Unpack[StoreOptions]) -> None:
        super().__init__(**options)
        self._records: dict[str, Record] = {}
        self._lifecycle = Lifecycle(repr(self), self._open)

    async def init(self) -> Self:
        await self._lifecycle.open()
        return self

    async def close(self) -> None:
        await self._lifecycle.close()

    async def read(self, session_id: str) -> Record | None:
        await self._lifecycle.enter()
        record = self._records.get(session_id)
        return None if record is None or record.is_expired(self.clock.now()) else record

    async def write(self, session_id: str, record: Record) -> None:
        await self._lifecycle.enter()
        self._records[session_id] = record

    async def destroy(self, session_id: str) -> None:
        await self._lifecycle.enter()
        self._records.pop(session_id, None)

    async def _open(self) -> bool:
        return True


class Slow(MemorySessionStore):
    """Takes its time for each call, without blocking anybody."""

    async def read(self, session_id: str) -> Record | None:
        await asyncio.sleep(0.001)
        return await super().read(session_id)

    async def write(self, session_id: str, record: Record) -> None:
        await self._lifecycle.enter()
        await asyncio.sleep(0.001)
        await super().write(session_id, record)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        await self._lifecycle.enter()
        await asyncio.sleep(0.001)
        return await super().swap(session_id, record, expected)


class Coarse(MemorySessionStore):
    """Keeps expiries in whole seconds, as it declares."""

    def __init__(self, name: str, **options: Unpack[StoreOptions]) -> None:
        super().__init__(name, **options)
        self.capabilities = replace(self.capabilities, expiry_granularity_ms=1000)

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, self._rounded(record))

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return await super().swap(session_id, self._rounded(record), expected)

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await super().write_many([(session_id, self._rounded(record)) for session_id, record in items])

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        return await super().swap_many([(each, self._rounded(record), expected) for each, record, expected in items])

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        return await super().touch(session_id, _up(expires_at))

    def _rounded(self, record: Record) -> Record:
        return replace(record, expires_at=_up(record.expires_at))


def _up(expires_at: int | None) -> int | None:
    return None if expires_at is None else -(-expires_at // 1000) * 1000


class Tiny(MemorySessionStore):
    """Accepts little, as it declares."""

    def __init__(self, name: str, **options: Unpack[StoreOptions]) -> None:
        super().__init__(name, **options)
        self.capabilities = replace(self.capabilities, max_payload_bytes=64, max_id_bytes=20)

    async def write(self, session_id: str, record: Record) -> None:
        await self.write_many([(session_id, record)])

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return (await self.swap_many([(session_id, record, expected)]))[0]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self._refuse_large(items)
        await super().write_many(items)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self._refuse_large(items)
        return await super().swap_many(items)

    async def _refuse_large(self, items: Sequence[tuple[str, Record] | tuple[str, Record, str | Absent]]) -> None:
        await self._lifecycle.enter()
        for session_id, record, *_ in items:
            assert len(session_id.encode()) <= 20
            if len(record.payload) > 64:
                raise SessionTooLargeError(session_id, size=len(record.payload), limit=64)


class Reordering(MemorySessionStore):
    """Writes the items of a batch in another order, the last one of each id."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self._lifecycle.enter()
        for session_id, record in sorted(dict(items).items()):
            await asyncio.sleep(0)
            await super().write(session_id, record)


class Restless(HonestHarness):
    """Waits for any number of turns of the loop, lists in any order, copies, and removes what it finds expired."""

    class store(HonestStore):  # noqa: N801
        chance = Random(1)

        async def trip(self) -> None:
            for _ in range(self.chance.randrange(6)):
                await asyncio.sleep(0)
            await super().trip()

        def own_ids(self) -> list[str]:
            ids = super().own_ids()
            self.chance.shuffle(ids)
            return ids

        def live(self, session_id: str) -> Record | None:
            record = super().live(session_id)
            if record is None:
                self.discard(session_id)
                return None
            return Record(bytes(bytearray(record.payload)), "".join([*record.version]), record.expires_at)


class Collecting(HonestHarness):
    """Has a medium that drops what has expired at odd moments, before anybody purges."""

    class store(HonestStore):  # noqa: N801
        chance = Random(1)

        async def trip(self) -> None:
            if self.chance.random() < 0.5:
                self.collect()
            await super().trip()

        def collect(self) -> None:
            for session_id in self.own_ids():
                record = self.get(session_id)
                if isinstance(record, Record) and self.is_gone(record):
                    self.discard(session_id)


class VerySlow(HonestHarness):
    """Takes ten milliseconds for each call."""

    class store(HonestStore):  # noqa: N801
        async def trip(self) -> None:
            await asyncio.sleep(0.01)
            await super().trip()


def test_a_very_slow_store_keeps_the_laws_of_time() -> None:
    """Where calls overlap, are cancelled or closed upon, a slow store is not a wrong one."""
    families = ("LIFECYCLE", "INIT", "CLOSE", "CANCEL", "LOOP", "SWAP")
    report = check_store(VerySlow, profile="smoke", laws=[law.id for law in all_laws() if law.family in families])

    assert report.broken == ()


@pytest.mark.parametrize("store", [FourMethods, Slow, Coarse, Tiny, Reordering, Restless, Collecting])
def test_an_odd_but_right_store_conforms(store: HarnessLike) -> None:
    """The store conforms, with whatever it does not declare shown as such."""
    report = check_store(store, profile="smoke")

    assert report.broken == ()


def test_four_methods_conform_with_all_else_not_declared() -> None:
    """A driver need not do more than the four verbs, and the report says what it leaves out."""
    report = check_store(FourMethods, profile="smoke")

    not_declared = {need for result in report.results if result.verdict == "not declared" for need in result.law.needs}
    assert not_declared == {name for name, value in vars(Capabilities()).items() if value is False}
