"""Stores that keep the event loop from going on, or what they should have given back."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._honest_server import ServerStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from palaver.contract.record import Absent, Record


class _Leaky(HonestStore):
    """Can leak a pipe; what is leaked is given back with the medium, so that the laws can be tried on many."""

    def leak(self) -> None:
        """Open a pipe and forget it."""
        for descriptor in os.pipe():
            weakref.finalize(self.medium, os.close, descriptor)


def _busy(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


# LOOP


@saboteur("block-loop", law="LOOP-01", words="time.sleep")
class Sleeps(HonestStore):
    """Read waits on the event loop."""

    async def read(self, session_id: str) -> Record | None:
        time.sleep(0.03)  # noqa: ASYNC251
        return await super().read(session_id)


@saboteur("sync-file-io", law="LOOP-01", words="open at")
class OpensFile(HonestStore):
    """Write uses a file on the event loop."""

    async def write(self, session_id: str, record: Record) -> None:
        Path(__file__).read_bytes()  # noqa: ASYNC240
        await super().write(session_id, record)


@saboteur("sync-file-io-large", law="LOOP-01", words="open at")
class SpillsLarge(HonestStore):
    """A large payload is put into a file of its own, on the event loop."""

    async def write(self, session_id: str, record: Record) -> None:
        if len(record.payload) > 100_000:
            Path(__file__).read_bytes()  # noqa: ASYNC240
        await super().write(session_id, record)


@saboteur("sync-init", law="LOOP-01", words="os.mkdir at")
class MakesFolder(HonestStore):
    """Init makes a folder on the event loop."""

    async def init(self) -> Self:
        Path(__file__).parent.mkdir(exist_ok=True)
        return await super().init()


@saboteur("busy-in-verb", law="LOOP-02", words="the event loop to go on during")
class Computes(HonestStore):
    """Destroy computes for a while."""

    async def destroy(self, session_id: str) -> None:
        _busy(0.03)
        await super().destroy(session_id)


@saboteur("busy-now-and-then", law="LOOP-02", words="the event loop to go on during")
class ComputesNowAndThen(HonestStore):
    """Every twentieth call computes for a while."""

    calls = 0

    async def begin(self) -> None:
        self.calls += 1
        if self.calls % 20 == 0:
            _busy(0.04)
        await super().begin()


@saboteur("busy-in-init", law="LOOP-02", words="during close() and init()")
class ComputesAtFirst(HonestStore):
    """Init computes for a while."""

    async def init(self) -> Self:
        _busy(0.03)
        return await super().init()


@saboteur("lock-held-blocking", law="LOOP-02", words="it stood still")
class WaitsForThread(HonestStore):
    """Read waits, on the event loop, for a lock that a thread holds."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lock = threading.Lock()

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, record)
        holding = threading.Event()
        threading.Thread(target=self.hold, args=(holding,), daemon=True).start()
        while not holding.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def hold(self, holding: threading.Event) -> None:
        """Hold the lock for a moment."""
        with self.lock:
            holding.set()
            time.sleep(0.04)

    async def read(self, session_id: str) -> Record | None:
        with self.lock:
            pass
        return await super().read(session_id)


@saboteur("cpu-hog", law="LOOP-03", words="the event loop to go on during write()")
class ComputesLong(HonestStore):
    """To encode a large payload takes long, and is done on the event loop."""

    async def write(self, session_id: str, record: Record) -> None:
        _busy(len(record.payload) / 5_000_000)
        await super().write(session_id, record)


@saboteur("loop-bound", law="LOOP-04", words="attached to a different loop")
class BelongsToLoop(HonestStore):
    """A store belongs to the event loop in which it was opened first."""

    born_in: asyncio.AbstractEventLoop | None = None

    async def init(self) -> Self:
        self.born_in = self.born_in or asyncio.get_running_loop()
        return await super().init()

    async def trip(self) -> None:
        await super().trip()
        if self.born_in is not asyncio.get_running_loop():
            raise RuntimeError("Task got Future attached to a different loop")


# CLOSE and RESOURCE: what is left behind


@saboteur("task-leak", law="CLOSE-02", words="more tasks")
class LeavesTasks(HonestStore):
    """Each write begins a task that never ends."""

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, record)
        self.medium.notes["tasks"][session_id, record.version] = asyncio.ensure_future(asyncio.sleep(3_600))


@saboteur("timers-leak", law="RESOURCE-01", words="more timers")
class LeavesTimers(HonestStore):
    """Each write begins a timer for the expiry, which stays when the session is destroyed."""

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, record)
        asyncio.get_running_loop().call_later(3_600, self.is_live, session_id)


@saboteur("thread-leak", law="CLOSE-02", words="more threads")
class LeavesThreads(HonestStore):
    """Each init begins a thread that close does not end."""

    async def init(self) -> Self:
        if not self.is_open:
            thread = threading.Timer(5.0, self.own_ids)
            thread.daemon = True
            thread.start()
        return await super().init()


@saboteur("task-leak-on-close", law="CLOSE-02", words="more tasks")
class LeavesSweeper(HonestStore):
    """Init begins a task that purges now and then, and close does not end it."""

    sweeper: asyncio.Task[None] | None = None

    async def init(self) -> Self:
        await super().init()
        if self.sweeper is None:
            self.sweeper = asyncio.ensure_future(asyncio.sleep(3_600))
        return self


@saboteur("fd-leak-on-close", law="CLOSE-02", words="more file descriptors")
class LeavesPipe(_Leaky):
    """Close leaves descriptors open that init has opened."""

    async def init(self) -> Self:
        if not self.is_open:
            self.leak()
        return await super().init()


@saboteur("fd-leak", law="RESOURCE-01", words="more file descriptors")
class LeavesPipes(_Leaky):
    """Each read leaves descriptors open."""

    async def read(self, session_id: str) -> Record | None:
        self.leak()
        return await super().read(session_id)


@saboteur("conn-per-call", law="RESOURCE-01", words="more file descriptors")
class NewConnections(ServerStore):
    """Each read has a new connection, and all are closed with the store."""

    async def read(self, session_id: str) -> Record | None:
        idle, self.idle = self.idle, []
        try:
            return await super().read(session_id)
        finally:
            self.idle += idle


@saboteur("memory-growth", law="RESOURCE-02", words="bytes more")
class RemembersDestroyed(HonestStore):
    """A record that is destroyed is moved to a graveyard."""

    def discard(self, session_id: str) -> None:
        record = self.get(session_id)
        if record is not None:
            self.medium.notes["graveyard"][session_id] = record
        super().discard(session_id)


@saboteur("keeps-history", law="RESOURCE-02", words="bytes more")
class RemembersOverwritten(HonestStore):
    """All records that a session has had are kept until it is destroyed."""

    def put(self, session_id: str, record: Record) -> None:
        self.medium.notes["history"].setdefault(session_id, []).append(record)
        super().put(session_id, record)

    def discard(self, session_id: str) -> None:
        self.medium.notes["history"].pop(session_id, None)
        super().discard(session_id)


@saboteur("lock-per-id", law="RESOURCE-03", words="bytes more", profile="ci")
class LockForEach(HonestStore):
    """Each id that is asked for has a lock for ever."""

    async def read(self, session_id: str) -> Record | None:
        async with self.medium.notes["locks"].setdefault(session_id, asyncio.Lock()):
            return await super().read(session_id)


@saboteur("read-creates-in-memory", law="RESOURCE-03", words="bytes more", profile="ci")
class RemembersMissing(HonestStore):
    """Which ids are not there is remembered."""

    def get(self, session_id: str) -> Any:
        found = super().get(session_id)
        if found is None:
            self.medium.notes["missing"][session_id] = True
        return found


@saboteur("leak-on-error", law="RESOURCE-04", words="more file descriptors")
class LeaksOnDamage(_Leaky):
    """A record that cannot be understood leaves descriptors open."""

    def live(self, session_id: str) -> Record | None:
        try:
            return super().live(session_id)
        except CorruptSessionError:
            self.leak()
            raise


@saboteur("leak-on-failure", law="RESOURCE-04", words="more file descriptors")
class LeaksOnFailure(_Leaky):
    """A call on a medium that fails leaves descriptors open."""

    async def trip(self) -> None:
        try:
            await super().trip()
        except StoreUnavailableError:
            self.leak()
            raise


@saboteur("leak-on-refusal", law="RESOURCE-04", words="more file descriptors")
class LeaksOnRefusal(_Leaky):
    """A swap that is refused leaves descriptors open."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        stores = super().decide(session_id, record, expected)
        if not stores:
            self.leak()
        return stores


@saboteur("leak-on-cancel", law="RESOURCE-04", words="more file descriptors")
class LeaksOnCancel(_Leaky):
    """A call that is cancelled leaves descriptors open."""

    async def trip(self) -> None:
        try:
            await super().trip()
        except asyncio.CancelledError:
            self.leak()
            raise


@saboteur("leak-on-init", law="RESOURCE-04", words="more tasks")
class LeaksOnInit(HonestStore):
    """An init that fails leaves the task that it has begun."""

    sweeper: asyncio.Task[None] | None = None

    async def init(self) -> Self:
        self.sweeper = self.sweeper or asyncio.ensure_future(asyncio.sleep(3_600))
        return await super().init()

    async def close(self) -> None:
        if self.sweeper is not None:
            self.sweeper.cancel()
        self.sweeper = None
        await super().close()
