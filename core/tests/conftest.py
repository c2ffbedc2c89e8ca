"""Stores for the tests of the core, which depends on no driver: the smallest that a driver author could write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import pytest

from palaver import Absent, Capabilities, ManualClock, Record, SessionStore, StoreOptions
from palaver.contract.record import SwapDecision, decide_swap

if TYPE_CHECKING:
    from typing import Unpack


class FourMethodStore(SessionStore):
    """A complete driver: the four verbs, over a dict."""

    def __init__(self, **options: Unpack[StoreOptions]) -> None:
        super().__init__(**options)
        self.records: dict[str, Record] = {}
        self.calls: list[str] = []

    async def init(self) -> Self:
        self.calls.append("init")
        return self

    async def read(self, session_id: str) -> Record | None:
        self.calls.append("read")
        record = self.records.get(session_id)
        return None if record is None or record.is_expired(self.clock.now()) else record

    async def write(self, session_id: str, record: Record) -> None:
        self.calls.append("write")
        self.records[session_id] = record

    async def destroy(self, session_id: str) -> None:
        self.calls.append("destroy")
        self.records.pop(session_id, None)

    async def close(self) -> None:
        self.calls.append("close")


class SwapStore(FourMethodStore):
    """The same with compare-and-swap and touch."""

    capabilities = Capabilities(swap=True, touch=True)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        self.calls.append("swap")
        live = self.records.get(session_id)
        if live is not None and live.is_expired(self.clock.now()):
            live = None
        decision = decide_swap(live, record, expected)
        if decision is SwapDecision.STORE:
            self.records[session_id] = record
        return decision is not SwapDecision.REFUSE

    async def remove(self, session_id: str, expected: str) -> bool:
        self.calls.append("remove")
        live = self.records.get(session_id)
        if live is None or live.is_expired(self.clock.now()) or live.version != expected:
            return False
        del self.records[session_id]
        return True

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        self.calls.append("touch")
        live = self.records.get(session_id)
        if live is None or live.is_expired(self.clock.now()):
            return False
        self.records[session_id] = Record(live.payload, live.version, expires_at)
        return True


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> SwapStore:
    return SwapStore(ttl=100, clock=clock)


@pytest.fixture
def four_method_store(clock: ManualClock) -> FourMethodStore:
    return FourMethodStore(ttl=100, clock=clock)
