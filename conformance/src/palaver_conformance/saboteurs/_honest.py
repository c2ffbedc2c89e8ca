"""A store that keeps the whole contract, simple enough to be believed: what saboteurs are made of."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

from palaver.contract.record import ABSENT, Absent, Record
from palaver.contract.store import Capabilities, SessionStore
from palaver.errors import CorruptSessionError, StoreClosedError, StoreUnavailableError, WrongLoopError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from palaver.contract.clock import Clock

__all__ = ("HonestHarness", "HonestStore", "Medium")

DAMAGED: Final = object()
"""What stands in the medium in place of a record that cannot be understood."""


class Medium:
    """Where the records of one location are: what a disk or a server would be."""

    def __init__(self) -> None:
        self.records: dict[Any, Any] = {}
        self.notes: defaultdict[str, dict[Any, Any]] = defaultdict(dict)
        """What a wrong store keeps besides, by what it is."""
        self.is_away = False


class HonestStore(SessionStore):
    """The contract, over a dict.

    The verbs are split in small steps (`key`, `get`, `put`, `discard`, `is_gone`), so that a saboteur changes one.
    Between the check that it is open and its effect, each verb lets the event loop run once, as a real store would;
    the effect itself is one step.
    """

    capabilities = Capabilities(
        swap=True, batch=True, touch=True, scan=True, purge=True, clear=True, shared=True, max_payload_bytes=None
    )

    def __init__(self, medium: Medium, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(clock=clock, namespace=namespace)
        self.medium = medium
        self.is_open = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.pid = os.getpid()

    async def init(self) -> Self:
        self.stay_here()
        await self.trip()
        self.is_open = True
        return self

    async def close(self) -> None:
        self.is_open = False

    async def read(self, session_id: str) -> Record | None:
        await self.begin()
        return self.live(session_id)

    async def write(self, session_id: str, record: Record) -> None:
        await self.begin()
        self.put(session_id, record)

    async def destroy(self, session_id: str) -> None:
        await self.begin()
        self.discard(session_id)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        await self.begin()
        return self.decide(session_id, record, expected)

    async def remove(self, session_id: str, expected: str) -> bool:
        await self.begin()
        return self.decide_removal(session_id, expected)

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        await self.begin()
        return [self.live(session_id) for session_id in session_ids]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self.begin()
        for session_id, record in items:
            self.put(session_id, record)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self.begin()
        return [self.decide(*item) for item in items]

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        live = self.live(session_id)
        if live is None:
            return False
        self.put(session_id, replace(live, expires_at=expires_at))
        return True

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self.begin()
        for session_id in self.own_ids():
            if session_id.startswith(prefix) and self.is_live(session_id):
                yield session_id
                await self.begin()

    async def purge(self) -> int:
        await self.begin()
        gone = [each for each in self.own_ids() if isinstance(self.get(each), Record) and self.is_gone(self.get(each))]
        for session_id in gone:
            self.discard(session_id)
        return len(gone)

    async def clear(self) -> int:
        await self.begin()
        live = [session_id for session_id in self.own_ids() if self.is_live(session_id)]
        for session_id in self.own_ids():
            self.discard(session_id)
        return len(live)

    # The steps.

    def stay_here(self) -> None:
        """Be open in the running event loop, unless another one has it that still runs."""
        loop = asyncio.get_running_loop()
        is_elsewhere = self.is_open and self.loop is not None and self.loop is not loop and self.pid == os.getpid()
        if is_elsewhere and self.loop is not None and self.loop.is_running():
            raise WrongLoopError(repr(self))
        self.loop, self.pid = loop, os.getpid()

    async def begin(self) -> None:
        """Do what comes before every verb but `init` and `close`."""
        if not self.is_open:
            raise StoreClosedError(repr(self))
        self.stay_here()
        await self.trip()

    async def trip(self) -> None:
        """Go to the medium: the only place where a verb waits."""
        await asyncio.sleep(0)
        if self.medium.is_away:
            raise StoreUnavailableError("the medium is away", store=repr(self))

    def key(self, session_id: str) -> Any:
        return self.room(), session_id

    def room(self) -> str:
        """Name the namespace as the medium has it."""
        return self.namespace

    def get(self, session_id: str) -> Any:
        return self.medium.records.get(self.key(session_id))

    def put(self, session_id: str, record: Record) -> None:
        self.medium.records[self.key(session_id)] = record

    def decide_removal(self, session_id: str, expected: str) -> bool:
        live = self.live(session_id)
        if live is None or live.version != expected:
            return False
        self.discard(session_id)
        return True

    def discard(self, session_id: str) -> None:
        self.medium.records.pop(self.key(session_id), None)

    def is_gone(self, record: Record) -> bool:
        return record.expires_at is not None and record.expires_at <= self.clock.now()

    def live(self, session_id: str) -> Record | None:
        record = self.get(session_id)
        if record is DAMAGED:
            raise CorruptSessionError("it is damaged", session_id=session_id)
        return None if record is None or self.is_gone(record) else record

    def is_live(self, session_id: str) -> bool:
        record = self.get(session_id)
        return isinstance(record, Record) and not self.is_gone(record)

    def own_ids(self) -> list[str]:
        return [session_id for namespace, session_id in list(self.medium.records) if namespace == self.room()]

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        if live is not None and live.version == record.version:
            return True
        if (ABSENT if live is None else live.version) != expected:
            return False
        self.put(session_id, record)
        return True


class HonestHarness:
    """Makes honest stores, with every hook that a dict can have; a saboteur names another `store`."""

    store: type[HonestStore] = HonestStore

    def __init__(self) -> None:
        self.media: dict[str, Medium] = {}

    def __reduce__(self) -> str:
        raise TypeError("its media are in this process: no other can make the same stores")

    def medium(self, location: str) -> Medium:
        return self.media.setdefault(location, Medium())

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        return self.store(self.medium(location), clock=clock, namespace=namespace)

    async def remove(self, location: str) -> None:
        self.media.pop(location, None)

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        self.medium(location).records[namespace, session_id] = DAMAGED

    async def fail(self, location: str) -> None:
        self.medium(location).is_away = True

    async def mend(self, location: str) -> None:
        self.medium(location).is_away = False

    def make_unusable(self, *, clock: Clock) -> SessionStore:
        medium = Medium()
        medium.is_away = True
        return self.store(medium, clock=clock)
