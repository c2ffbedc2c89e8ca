"""Stores that do not bear to be cancelled."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from palaver.contract.record import SwapDecision, decide_swap
from palaver.errors import StoreUnavailableError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from palaver.contract.record import Absent, Record


@saboteur("cancel-half", law="CANCEL-01", words="900 bytes b'new")
class NewPayloadOldVersion(HonestStore):
    """A write that is cancelled leaves the new payload under the old version."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except asyncio.CancelledError:
            live = self.live(session_id)
            if live is not None:
                self.put(session_id, replace(live, payload=record.payload))
            raise


@saboteur("cancel-torn", law="CANCEL-01", words="450 bytes b'new")
class WritesHalf(HonestStore):
    """A write that is cancelled leaves half of the payload."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except asyncio.CancelledError:
            self.put(session_id, replace(record, payload=record.payload[: len(record.payload) // 2]))
            raise


@saboteur("cancel-loses-record", law="CANCEL-01", words="got:      None")
class RemovesFirst(HonestStore):
    """A write that is cancelled has removed the old record."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except asyncio.CancelledError:
            self.discard(session_id)
            raise


@saboteur("cancel-touches", law="CANCEL-01", words="expires_at None")
class TouchHalf(HonestStore):
    """A touch that is cancelled has removed the expiry."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        try:
            return await super().touch(session_id, expires_at)
        except asyncio.CancelledError:
            live = self.live(session_id)
            if live is not None:
                self.put(session_id, replace(live, expires_at=None))
            raise


@saboteur("cancel-poison", law="CANCEL-02", words="canary")
class OffByOne(HonestStore):
    """After a read was cancelled the next one gets its answer, and so on."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.unread: list[Record | None] = []

    async def read(self, session_id: str) -> Record | None:
        self.unread.append(self.live(session_id))
        await self.begin()
        return self.unread.pop(0)


@saboteur("cancel-keeps-lock", law="CANCEL-02", words="it hangs")
class KeepsLock(HonestStore):
    """A write that is cancelled keeps its lock."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lock = asyncio.Lock()

    async def write(self, session_id: str, record: Record) -> None:
        await self.lock.acquire()
        await super().write(session_id, record)
        self.lock.release()


@saboteur("cancel-keeps-lock-of-id", law="CANCEL-02", words="it hangs")
class KeepsLockOfId(HonestStore):
    """A destroy that is cancelled keeps the lock of its session."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.held: set[str] = set()

    async def begin_with(self, session_id: str) -> None:
        """Wait until nobody holds the session."""
        while session_id in self.held:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def write(self, session_id: str, record: Record) -> None:
        await self.begin_with(session_id)
        await super().write(session_id, record)

    async def destroy(self, session_id: str) -> None:
        await self.begin_with(session_id)
        self.held.add(session_id)
        await super().destroy(session_id)
        self.held.discard(session_id)


@saboteur("cancel-closes", law="CANCEL-02", words="StoreClosedError")
class ClosesWhenCancelled(HonestStore):
    """A call that is cancelled takes the connection with it, and the store is closed."""

    async def trip(self) -> None:
        try:
            await super().trip()
        except asyncio.CancelledError:
            self.is_open = False
            raise


@saboteur("cancel-late-effect", law="CANCEL-03", words="newer")
class TakesEffectLater(HonestStore):
    """A write that is cancelled takes effect a moment later."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_later(0.05, self.put, session_id, record)
            raise


@saboteur("timeout-orphan", law="CANCEL-03", words="expected: None (no live record)")
class GoesOn(HonestStore):
    """A write goes on when its caller has left."""

    async def write(self, session_id: str, record: Record) -> None:
        await self.begin()
        self.work = asyncio.ensure_future(self.finish(session_id, record))
        await asyncio.shield(self.work)

    async def finish(self, session_id: str, record: Record) -> None:
        """Store when some time has passed."""
        for _ in range(10):
            await self.trip()
        self.put(session_id, record)


@saboteur("resurrect-late-write", law="CANCEL-03", words="expected: None (no live record)")
class TouchRevives(HonestStore):
    """A touch that is cancelled puts the session back a moment later, destroyed or not."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        live = self.live(session_id)
        try:
            return await super().touch(session_id, expires_at)
        except asyncio.CancelledError:
            if live is not None:
                asyncio.get_running_loop().call_later(0.02, self.revive, session_id, live)
            raise

    def revive(self, session_id: str, record: Record) -> None:
        """Put a session back that is not there."""
        if self.get(session_id) is None:
            self.put(session_id, record)


@saboteur("cancel-swallowed", law="CANCEL-04", words="to raise CancelledError")
class SwallowsCancellation(HonestStore):
    """Read answers None when it is cancelled."""

    async def read(self, session_id: str) -> Record | None:
        try:
            return await super().read(session_id)
        except asyncio.CancelledError:
            return None


@saboteur("cancel-becomes-error", law="CANCEL-04", words="StoreUnavailableError")
class CancellationIsFailure(HonestStore):
    """To be cancelled is a failure of the medium."""

    async def trip(self) -> None:
        try:
            await super().trip()
        except asyncio.CancelledError as error:
            raise StoreUnavailableError("interrupted", store=repr(self)) from error


@saboteur("cancel-retried", law="CANCEL-04", words="to raise CancelledError")
class RetriesWhenCancelled(HonestStore):
    """A write that is cancelled tries again, and ends as if nothing had happened."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except asyncio.CancelledError:
            await super().write(session_id, record)


@saboteur("cancel-init-breaks", law="CANCEL-06", words="StoreClosedError")
class InitStaysHalf(HonestStore):
    """An init that was cancelled is taken for one that is still under way."""

    is_opening = False

    async def init(self) -> Self:
        if not self.is_opening:
            self.is_opening = True
            await super().init()
            self.is_opening = False
        return self


@saboteur("cancel-init-closes", law="CANCEL-06", words="StoreClosedError")
class InitCancelledCloses(HonestStore):
    """An open store whose init is called once more, and cancelled, is closed."""

    async def init(self) -> Self:
        try:
            return await super().init()
        except asyncio.CancelledError:
            self.is_open = False
            raise


@saboteur("cancel-close-breaks", law="CANCEL-06", words="it is being closed")
class CloseStaysHalf(HonestStore):
    """A close that was cancelled is taken for one that is still under way."""

    is_closing = False

    async def init(self) -> Self:
        if self.is_closing:
            raise StoreUnavailableError("it is being closed", store=repr(self))
        return await super().init()

    async def close(self) -> None:
        self.is_closing = True
        await asyncio.sleep(0)
        await super().close()
        self.is_closing = False


@saboteur("cancel-takes-others", law="CANCEL-07", words="the other calls to go on")
class SharesReads(HonestStore):
    """Reads of one session at once are one task, and to cancel one cancels all."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reads: dict[str, asyncio.Task[Record | None]] = {}

    async def read(self, session_id: str) -> Record | None:
        if session_id not in self.reads:
            self.reads[session_id] = asyncio.ensure_future(super().read(session_id))
            self.reads[session_id].add_done_callback(lambda _: self.reads.pop(session_id, None))
        return await self.reads[session_id]


@saboteur("cancel-fails-others", law="CANCEL-07", words="the other calls to go on")
class BreaksConnection(HonestStore):
    """A call that is cancelled breaks the connection that all calls at once have in common."""

    breaks = 0

    async def trip(self) -> None:
        before = self.breaks
        try:
            await super().trip()
        except asyncio.CancelledError:
            self.breaks += 1
            raise
        if self.breaks != before:
            raise StoreUnavailableError("the connection is broken", store=repr(self))


@saboteur("cancel-releases-lock", law="CANCEL-08", words="one order of all calls")
class ReleasesLockOfOthers(HonestStore):
    """A call that is cancelled while it waits for the lock releases it, whoever has it."""

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Have the lock of the location."""
        lock: asyncio.Lock = self.medium.notes["lock"].setdefault("all", asyncio.Lock())
        try:
            await lock.acquire()
            yield
        finally:
            if lock.locked():
                lock.release()

    async def begin(self) -> None:
        await super().begin()
        async with self.alone():
            return

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        await super().begin()
        async with self.alone():
            decision = decide_swap(self.live(session_id), record, expected)
            for _ in range(10):
                await self.trip()
            if decision is SwapDecision.STORE:
                self.put(session_id, record)
            return decision is not SwapDecision.REFUSE
