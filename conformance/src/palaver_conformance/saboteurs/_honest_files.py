"""A store over files that keeps the whole contract among processes: what saboteurs of durability are made of."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, TypeVarTuple

import msgspec

from palaver.contract.record import Absent, Record
from palaver.contract.store import Capabilities
from palaver.errors import StoreUnavailableError
from palaver.toolkit.lifecycle import Lifecycle
from palaver.toolkit.threads import Threads
from palaver_conformance.saboteurs._honest import DAMAGED, HonestStore, Medium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from palaver.contract.clock import Clock

__all__ = ("FileHarness", "FileStore")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LOCK: Final = "lock"


class FileStore(HonestStore):
    """The contract, over a folder: a file for each record, and one lock for all.

    What `HonestStore` does in one step of the event loop is done here in a thread, under the lock.
    """

    capabilities = Capabilities(
        swap=True, batch=True, touch=True, scan=True, purge=True, clear=True, durable=True, shared=True
    )

    threads: Threads
    """There while the store is open."""

    def __init__(self, folder: Path, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(Medium(), clock=clock, namespace=namespace)
        self.folder = folder
        self.lifecycle: Lifecycle[bool] = Lifecycle(repr(self), self.begin_use, self.end_use)

    async def init(self) -> Self:
        await self.lifecycle.open()
        return self

    async def close(self) -> None:
        await self.lifecycle.close()

    async def begin_use(self) -> bool:
        await self.open()
        return True

    async def end_use(self, _: bool) -> None:
        await self.end()

    async def read(self, session_id: str) -> Record | None:
        return await self.work(self.live, session_id)

    async def write(self, session_id: str, record: Record) -> None:
        await self.work(self.put, session_id, record)

    async def destroy(self, session_id: str) -> None:
        await self.work(self.discard, session_id)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return await self.work(self.decide, session_id, record, expected)

    async def remove(self, session_id: str, expected: str) -> bool:
        return await self.work(self.decide_removal, session_id, expected)

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        return await self.work(lambda: [self.live(session_id) for session_id in session_ids])

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self.work(self.put_all, items)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        return await self.work(lambda: [self.decide(*item) for item in items])

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        return await self.work(self.move_expiry, session_id, expires_at)

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        for session_id in await self.work(self.live_ids):
            if session_id.startswith(prefix):
                yield session_id

    async def purge(self) -> int:
        return await self.work(self.remove_expired)

    async def clear(self) -> int:
        return await self.work(self.remove_all)

    # The steps of the event loop.

    async def open(self) -> None:
        self.threads = Threads(4, "palaver-honest-files")
        try:
            await self.threads.run(self.guarded, self.prepare)
        except BaseException:
            await self.threads.close()
            raise

    async def end(self) -> None:
        await self.threads.close()

    async def work(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        await self.lifecycle.enter()
        return await self.threads.run(self.locked, job, *arguments)

    # The steps of a thread.

    def prepare(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    def locked(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return self.guarded(self.alone, job, *arguments)

    def guarded(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        try:
            return job(*arguments)
        except OSError as error:
            raise StoreUnavailableError(str(error), store=repr(self)) from error

    def alone(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        with _locked(self.folder / _LOCK):
            return job(*arguments)

    @property
    def home(self) -> Path:
        """Where the files of this namespace are."""
        return self.folder / _digest(self.namespace)

    def key(self, session_id: str) -> Path:
        return self.home / f"{_digest(session_id)}.session"

    def get(self, session_id: str) -> Any:
        found = self.load(self.key(session_id))
        return found[1] if isinstance(found, tuple) else found

    def put(self, session_id: str, record: Record) -> None:
        content = msgspec.msgpack.encode((session_id, record))
        self.save(self.key(session_id), content)

    def discard(self, session_id: str) -> None:
        self.key(session_id).unlink(missing_ok=True)

    def own_ids(self) -> list[str]:
        found = [self.load(path) for path in self.home.glob("*.session")]
        return [each[0] for each in found if isinstance(each, tuple)]

    def load(self, path: Path) -> Any:
        """Return id and record of a file, None if there is none, or DAMAGED."""
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=tuple[str, Record])
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            return DAMAGED

    def save(self, path: Path, content: bytes) -> None:
        """Write beside, bring to safety, and rename: there is the old file or the new one."""
        beside = path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def put_all(self, items: Sequence[tuple[str, Record]]) -> None:
        for session_id, record in items:
            self.put(session_id, record)

    def live_ids(self) -> list[str]:
        return [session_id for session_id in self.own_ids() if self.is_live(session_id)]

    def move_expiry(self, session_id: str, expires_at: int | None) -> bool:
        live = self.live(session_id)
        if live is None:
            return False
        self.put(session_id, replace(live, expires_at=expires_at))
        return True

    def remove_expired(self) -> int:
        gone = [session_id for session_id in self.own_ids() if not self.is_live(session_id)]
        for session_id in gone:
            self.discard(session_id)
        return len(gone)

    def remove_all(self) -> int:
        live = self.live_ids()
        for path in self.home.glob("*.session"):
            path.unlink()
        return len(live)


class FileHarness:
    """Makes stores over files in a folder of its own, which is gone with the process; another one can make the same."""

    store: type[FileStore] = FileStore

    def __init__(self) -> None:
        self.root = tempfile.mkdtemp(prefix="palaver-honest-")
        # Not when it is collected: that may be while an event loop runs, which must not be blocked.
        atexit.register(shutil.rmtree, self.root, ignore_errors=True)

    def folder(self, location: str) -> Path:
        return Path(self.root, location)

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> FileStore:
        return self.store(self.folder(location), clock=clock, namespace=namespace)

    async def remove(self, location: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder(location), ignore_errors=True)

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        store = self.make(location, clock=_NO_CLOCK, namespace=namespace)
        await asyncio.to_thread(_cut_in_half, FileStore.key(store, session_id))

    async def fail(self, location: str) -> None:
        await asyncio.to_thread(_replace_by_file, self.folder(location))

    async def mend(self, location: str) -> None:
        await asyncio.to_thread(_put_back, self.folder(location))

    def make_unusable(self, *, clock: Clock) -> FileStore:
        file = self.folder("a-file")
        file.touch()
        return self.store(file / "below", clock=clock)


class _NoClock:
    def now(self) -> int:
        return 0


_NO_CLOCK: Final = _NoClock()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _replace_by_file(folder: Path) -> None:
    folder.rename(folder.with_suffix(".away"))
    folder.touch()


def _put_back(folder: Path) -> None:
    folder.unlink()
    folder.with_suffix(".away").rename(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Be alone among all threads and processes; the system frees the lock of a process that dies."""
    with path.open("ab") as file:
        _lock(file.fileno())
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
