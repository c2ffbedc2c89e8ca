"""Seeing that something blocks the event loop: by what it calls, and by how long the loop stands still."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

__all__ = ("blocking_calls", "longest_stall")

_EVENTS: Final = frozenset({
    "open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.truncate",
    "os.utime", "os.chmod", "fcntl.flock", "fcntl.lockf", "msvcrt.locking", "socket.connect", "socket.getaddrinfo",
    "socket.gethostbyname", "sqlite3.connect", "subprocess.Popen", "time.sleep", "shutil.rmtree", "tempfile.mkstemp",
})  # fmt: skip
"""Audit events of calls that wait for a disk, a lock, a name server or another process."""

_INNOCENT: Final = ("importlib", "linecache.py", "traceback.py", "logging/__init__.py", "warnings.py", "zipimport")
"""Who opens files on behalf of the interpreter, once."""


class _Watch:
    """An audit hook cannot be removed: there is one, and it does nothing unless a thread is watched."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.found: list[str] = []
        self._is_installed = False

    def install(self) -> None:
        if not self._is_installed:
            self._is_installed = True
            sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.thread is None or event not in _EVENTS or threading.get_ident() != self.thread:
            return
        if event == "socket.connect" and arguments[0].gettimeout() == 0:
            return
        self.note(event)

    def note(self, event: str) -> None:
        thread, self.thread = self.thread, None
        try:
            # A coroutine function cannot be told from an ordinary one here: what counts is that it is on the loop.
            where = _caller()
            if where is not None:
                self.found.append(f"{event} at {where}")
        finally:
            self.thread = thread


_watch: Final = _Watch()


@contextmanager
def blocking_calls() -> Iterator[list[str]]:
    """Collect the blocking calls that this thread makes."""
    _watch.install()
    _watch.found = []
    sleep = time.sleep
    time.sleep = _noticed(sleep)
    _watch.thread = threading.get_ident()
    try:
        yield _watch.found
    finally:
        _watch.thread = None
        time.sleep = sleep


def _noticed(sleep: Any) -> Any:
    # Python 3.13 has an audit event for it; before, it is noticed here.
    def noticed(seconds: float) -> None:
        if threading.get_ident() == _watch.thread and sys.version_info < (3, 13):
            _watch.note("time.sleep")
        sleep(seconds)

    return noticed


async def longest_stall(work: Awaitable[Any]) -> float:
    """Do some work and return for how many seconds at most it kept the event loop from going on.

    A computer that is busy with something else takes the processor away from this thread: that is not the work's fault.
    """
    task = asyncio.ensure_future(work)
    worst, last = 0.0, _Moment.now()
    while not task.done():
        await asyncio.sleep(0)
        now = _Moment.now()
        worst, last = max(worst, now.since(last)), now
    await task
    return worst


class _Moment(NamedTuple):
    """How far a thread has come."""

    wall: float
    processor: float
    waits: int
    """How often it has given the processor away by itself, to wait for something."""

    @classmethod
    def now(cls) -> Self:
        return cls(time.perf_counter(), time.thread_time(), _count_waits())

    def since(self, other: Self) -> float:
        """Return for how long the thread has worked since then, or waited; not for how long it had no processor."""
        has_waited = self.waits < 0 or self.waits > other.waits
        return self.wall - other.wall if has_waited else self.processor - other.processor


def _count_waits() -> int:
    """Return -1 where that cannot be known: then all that takes time counts."""
    try:
        import resource
    except ImportError:
        return -1
    thread = getattr(resource, "RUSAGE_THREAD", None)
    return -1 if thread is None else resource.getrusage(thread).ru_nvcsw


def _caller() -> str | None:
    stack = traceback.extract_stack()[:-3]
    if any(part in entry.filename for entry in stack for part in _INNOCENT):
        return None
    own = [
        entry
        for entry in stack
        if not entry.filename.startswith((_KIT, _LIBRARY, "<")) or "site-packages" in entry.filename
    ]
    entry = own[-1] if own else stack[-1]
    return f"{Path(entry.filename).name}:{entry.lineno}, in {entry.name}"


_KIT: Final = str(Path(__file__).parent)
_LIBRARY: Final = str(Path(threading.__file__).parent)
