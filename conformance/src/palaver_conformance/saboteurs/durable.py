"""Stores over files that forget, or that other processes do not see."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, TypeVarTuple

from palaver.errors import StoreUnavailableError
from palaver_conformance.saboteurs._honest_files import FileStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from palaver.contract.record import Absent, Record

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOMENT: Final = 0.005


class _Buffered(FileStore):
    """Keeps in memory what has to be saved; the files are for this store alone."""

    capabilities = replace(FileStore.capabilities, shared=False)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.unsaved: dict[Path, bytes] = {}

    def save(self, path: Path, content: bytes) -> None:
        self.unsaved[path] = content

    def load(self, path: Path) -> Any:
        self.flush()
        return super().load(path)

    def discard(self, session_id: str) -> None:
        self.flush()
        super().discard(session_id)

    def flush(self) -> None:
        """Save what is not yet saved."""
        while self.unsaved:
            super().save(*self.unsaved.popitem())


@saboteur("not-durable-close", law="DURABLE-01", words="the touched session to live")
class CloseForgetsTheLast(_Buffered):
    """What was written last is not yet saved when the store is closed, and is lost."""

    async def end(self) -> None:
        self.unsaved.clear()
        await super().end()


@saboteur("destroy-not-durable", law="DURABLE-01", words="expected: None (no live record)")
class DestroyHides(FileStore):
    """Destroy hides a session for as long as the store is open."""

    capabilities = replace(FileStore.capabilities, shared=False)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.hidden: set[str] = set()

    def put(self, session_id: str, record: Record) -> None:
        self.hidden.discard(session_id)
        super().put(session_id, record)

    def discard(self, session_id: str) -> None:
        self.hidden.add(session_id)

    def get(self, session_id: str) -> Any:
        return None if session_id in self.hidden else super().get(session_id)


@saboteur("touch-not-durable", law="DURABLE-01", words="the touched session to live")
class TouchInMemory(FileStore):
    """Touch is remembered for as long as the store is open."""

    capabilities = replace(FileStore.capabilities, shared=False)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.touched: dict[tuple[str, str], int | None] = {}

    def move_expiry(self, session_id: str, expires_at: int | None) -> bool:
        live = self.live(session_id)
        if live is not None:
            self.touched[session_id, live.version] = expires_at
        return live is not None

    def get(self, session_id: str) -> Any:
        found = super().get(session_id)
        key = session_id, getattr(found, "version", "")
        return replace(found, expires_at=self.touched[key]) if key in self.touched else found


@saboteur("not-durable-kill", law="DURABLE-02", words="the record of change")
class SavesAtClose(_Buffered):
    """What is written is saved with the next call, or when the store is closed."""

    async def end(self) -> None:
        await self.threads.run(self.guarded, self.flush)
        await super().end()


@saboteur("write-behind", law="DURABLE-02", words="the record of change")
class SavesLater(_Buffered):
    """What is written is saved a moment later, by a thread that nobody waits for."""

    def save(self, path: Path, content: bytes) -> None:
        super().save(path, content)
        threading.Timer(_MOMENT, self.flush_later).start()

    def flush_later(self) -> None:
        """Save, unless the folder is gone already."""
        with suppress(StoreUnavailableError):
            self.locked(self.flush)

    async def end(self) -> None:
        await self.threads.run(self.guarded, self.flush)
        await super().end()


@saboteur("one-thread-behind", law="DURABLE-03", words="called write, and ended")
class SavesBehindOneThread(FileStore):
    """Write does not wait for the only thread, and whoever asks next stands behind it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.line = ThreadPoolExecutor(1)
        weakref.finalize(self, self.line.shutdown)

    async def work(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        await self.lifecycle.enter()
        return await asyncio.wrap_future(self.line.submit(partial(self.locked, job, *arguments)))

    async def write(self, session_id: str, record: Record) -> None:
        await self.lifecycle.enter()
        self.line.submit(partial(self.locked, self.put, session_id, record))


@saboteur("torn-file", law="DURABLE-02", words="CorruptSessionError")
class WritesInPlace(FileStore):
    """A record is written over the former one, on a slow disk."""

    def save(self, path: Path, content: bytes) -> None:
        with path.open("wb", buffering=0) as file:
            file.write(content[:20])
            time.sleep(_MOMENT)
            file.write(content[20:])


@saboteur("lock-litter", law="DURABLE-02", words="it is locked")
class LocksWithFile(FileStore):
    """The lock is a file that is there: who is killed leaves it behind."""

    def alone(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        lock = self.folder / "locked"
        self.wait_for(lock)
        try:
            time.sleep(_MOMENT / 5)
            return job(*arguments)
        finally:
            lock.unlink()

    def wait_for(self, lock: Path) -> None:
        """Make the file of the lock, when it is not there any more."""
        for _ in range(300):
            try:
                return lock.touch(exist_ok=False)
            except FileExistsError:
                time.sleep(0.001)
        raise StoreUnavailableError("it is locked", store=repr(self))


@saboteur("temporary-shown", law="DURABLE-02", words="scan to show")
class ShowsTemporary(FileStore):
    """A scan shows files that are not yet renamed, and those of the dead stay."""

    def save(self, path: Path, content: bytes) -> None:
        beside = path.with_suffix(f".{time.monotonic_ns()}.new")
        beside.write_bytes(content)
        time.sleep(_MOMENT)
        beside.replace(path)

    def own_ids(self) -> list[str]:
        found = [self.load(path) for path in self.home.iterdir()]
        return [each[0] for each in found if isinstance(each, tuple)]


@saboteur("cas-process-local", law="CONCURRENT-10", words="one order of all calls")
class LocksThreads(FileStore):
    """The lock is one of this process only."""

    lock: ClassVar[threading.Lock] = threading.Lock()

    def alone(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        with self.lock:
            return job(*arguments)

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        self.live(session_id)
        decided = super().decide(session_id, record, expected)
        time.sleep(_MOMENT / 5)
        return decided

    def save(self, path: Path, content: bytes) -> None:
        beside = path.with_suffix(f".{threading.get_ident()}.new")
        beside.write_bytes(content)
        time.sleep(_MOMENT / 5)
        beside.replace(path)


@saboteur("process-cache", law="CONCURRENT-10", words="one order of all calls")
class CachesInProcess(FileStore):
    """What this process has read or written once it does not read again."""

    cache: ClassVar[dict[Path, Any]] = {}

    def load(self, path: Path) -> Any:
        if path not in self.cache:
            self.cache[path] = super().load(path)
        return self.cache[path]

    def save(self, path: Path, content: bytes) -> None:
        super().save(path, content)
        self.cache.pop(path, None)

    def discard(self, session_id: str) -> None:
        super().discard(session_id)
        self.cache.pop(self.key(session_id), None)
