"""Sessions in files: for bots on one computer, in as many processes as there are."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar, TypeVarTuple, Unpack

from palaver.contract.store import Capabilities, SessionStore
from palaver.errors import InvalidOptionError, StoreUnavailableError
from palaver.toolkit.cancellation import run_to_end
from palaver.toolkit.lifecycle import Lifecycle
from palaver.toolkit.options import check_seconds
from palaver.toolkit.threads import Threads
from palaver_file._files import SessionFiles, explain, is_lasting
from palaver_file._names import address_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from palaver.contract.record import Absent, Record
    from palaver.contract.store import StoreOptions

__all__ = ("FileSessionStore",)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
PartT = TypeVar("PartT")
ItemT = TypeVar("ItemT", bound="tuple[str, Record] | tuple[str, Record, str | Absent]")

DEFAULT_LOCK_TIMEOUT: Final = 10.0

_THREADS: Final = 16
"""Threads mostly wait for the disk, which brings many small files to safety at once as fast as one."""

_READS_AT_ONCE: Final = 32
"""A file that was used lately is read faster than a thread is called, so one thread reads several; others are read from
the disk one after another, so not too many."""

_SAVES_AT_ONCE: Final = 8
"""In so many threads at most is a batch saved, in two folders each: while some wait for the disk, others make files."""


_TOO_MANY_FILES: Final = (errno.EMFILE, errno.ENFILE)
_PAUSE_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the verbs need, in one event loop of one process."""

    files: SessionFiles
    threads: Threads
    gates: dict[str, asyncio.Lock] = field(default_factory=dict)
    """One for each shard that was changed."""


class FileSessionStore(SessionStore):
    """Keeps each session in a file of its own, for all processes on one computer.

    Args:
        path: the folder; it is made, only for this user, when it is missing. A relative path is relative to the
            working directory of the first `init`.
        lock_timeout: how many seconds a change waits for another process that changes the same part of the folder.
        **options: `ttl`, `namespace` and `clock`, as for every store.

    Raises:
        InvalidOptionError: an option cannot be used.
    """

    capabilities = Capabilities(
        swap=True, batch=True, touch=True, scan=True, purge=True, clear=True, durable=True, shared=True
    )

    def __init__(
        self,
        path: str | os.PathLike[str] = ".sessions",
        *,
        lock_timeout: float = DEFAULT_LOCK_TIMEOUT,
        **options: Unpack[StoreOptions],
    ) -> None:
        super().__init__(**options)
        self._path = _parse_path(path)
        self._lock_timeout = check_seconds(lock_timeout, "lock_timeout", most=threading.TIMEOUT_MAX)
        # Absolute from the first time on: the store must not wander when the process changes its folder.
        self._root = Path(self._path)
        self._lifecycle = Lifecycle(repr(self), self._open, _close, _abandon)

    def __repr__(self) -> str:
        return f"<FileSessionStore {self._path!r}>"

    async def init(self) -> Self:
        await self._lifecycle.open()
        return self

    async def close(self) -> None:
        await self._lifecycle.close()

    async def read(self, session_id: str) -> Record | None:
        return (await self._run(SessionFiles.read, [session_id]))[0]

    async def write(self, session_id: str, record: Record) -> None:
        await self._change(session_id, SessionFiles.write, [(session_id, record)])

    async def destroy(self, session_id: str) -> None:
        await self._change(session_id, SessionFiles.destroy, session_id)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return (await self._change(session_id, SessionFiles.swap, [(session_id, record, expected)]))[0]

    async def remove(self, session_id: str, expected: str) -> bool:
        return await self._change(session_id, SessionFiles.remove, session_id, expected)

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        starts = range(0, len(session_ids), _READS_AT_ONCE)
        parts = await self._run_all(SessionFiles.read, [session_ids[at : at + _READS_AT_ONCE] for at in starts])
        return [record for part in parts for record in part]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self._run_by_shard(SessionFiles.write, items)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        return await self._run_by_shard(SessionFiles.swap, items)

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        return await self._change(session_id, SessionFiles.touch, session_id, expires_at)

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        for shard in await self._run(SessionFiles.shards):
            for session_id in await self._run(SessionFiles.live_ids, shard):
                if session_id.startswith(prefix):
                    yield session_id

    async def purge(self) -> int:
        # One hour, and below one shard, at a time, so that the turns of users find free threads.
        await self._run(SessionFiles.sweep)
        return sum([await self._run(SessionFiles.purge, hour) for hour in await self._run(SessionFiles.due_hours)])

    async def clear(self) -> int:
        """Remove every session of this namespace, those whose file is damaged included."""
        return sum([await self._run(SessionFiles.clear, shard) for shard in await self._run(SessionFiles.shards)])

    async def _open(self) -> _Opened:
        files = SessionFiles(self._root, self.namespace, self.clock, self._lock_timeout)
        opened = _Opened(files, Threads(_THREADS, "palaver-file"))
        try:
            await opened.threads.run(self._explain_errors, opened, SessionFiles.prepare)
        except BaseException:
            await run_to_end(_close(opened))
            raise
        self._root = files.root
        return opened

    async def _run(self, job: Callable[[SessionFiles, *Ts], T], *arguments: *Ts) -> T:
        """Do a job in a thread, to its end."""
        opened = self._lifecycle.here or await self._lifecycle.enter()
        return await opened.threads.run(self._explain_errors, opened, job, *arguments)

    async def _change(self, session_id: str, job: Callable[[SessionFiles, *Ts], T], *arguments: *Ts) -> T:
        """Change one session in a thread; of those that want one shard, one at a time has a thread to wait in."""
        opened = self._lifecycle.here or await self._lifecycle.enter()
        gate = opened.gates.setdefault(address_of(session_id).shard, asyncio.Lock())
        if gate.locked():
            await self._wait_for(gate, session_id)
        else:
            await gate.acquire()
        try:
            return await self._run(job, *arguments)
        finally:
            gate.release()

    async def _wait_for(self, gate: asyncio.Lock, session_id: str) -> None:
        try:
            async with asyncio.timeout(self._lock_timeout):
                await gate.acquire()
        except TimeoutError as error:
            reason = f"others have waited {self._lock_timeout:g} s before it for the same part of {self._path!r}"
            raise StoreUnavailableError(reason, session_id=session_id) from error

    async def _run_all(self, job: Callable[[SessionFiles, PartT], list[T]], parts: Sequence[PartT]) -> list[list[T]]:
        """Do a job for several parts at the same time, each in a thread and all to their end."""
        if len(parts) == 1:
            return [await self._run(job, parts[0])]
        opened = self._lifecycle.here or await self._lifecycle.enter()
        calls = [opened.threads.start(self._explain_errors, opened, job, part) for part in parts]
        answers = await run_to_end(asyncio.gather(*calls, return_exceptions=True))
        return [_answer(answer) for answer in answers]

    async def _run_by_shard(
        self, job: Callable[[SessionFiles, Sequence[ItemT]], list[T]], items: Sequence[ItemT]
    ) -> list[T]:
        """Do a job for items in a few parts: the items of a shard, and so those of a session, in one and in order."""
        shards: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            shards.setdefault(address_of(item[0]).shard, []).append(place)
        groups = list(shards.values())
        places = [list(_flat(groups[start::_SAVES_AT_ONCE])) for start in range(min(_SAVES_AT_ONCE, len(groups)))]
        parts = await self._run_all(job, [[items[place] for place in part] for part in places])
        answers = dict(zip(_flat(places), _flat(parts), strict=True))
        return [answers[place] for place in range(len(items))]

    def _explain_errors(self, opened: _Opened, job: Callable[[SessionFiles, *Ts], T], *arguments: *Ts) -> T:
        """Do a job; the one place where the errors of the file system become those of the contract."""
        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                return job(opened.files, *arguments)
            except OSError as error:
                # The process may have few files left to open, and most of them are soon closed again.
                if error.errno not in _TOO_MANY_FILES or time.monotonic() >= deadline:
                    retryable = not is_lasting(error)
                    raise StoreUnavailableError(explain(error), store=repr(self), retryable=retryable) from error
            opened.files.open_fewer_files()
            time.sleep(_PAUSE_SECONDS)


async def _close(opened: _Opened) -> None:
    await opened.threads.close()


def _abandon(opened: _Opened) -> None:
    opened.threads.abandon()


def _answer(answer: T | BaseException) -> T:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _flat(parts: Iterable[Iterable[T]]) -> Iterator[T]:
    return itertools.chain.from_iterable(parts)


def _parse_path(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(text, str):
        raise InvalidOptionError(f"it is of type {type(text).__name__}, not a path of text", option="path")
    if not text or "\0" in text:
        raise InvalidOptionError(
            "it is empty or contains the character U+0000; give the path of a folder", option="path"
        )
    return text
