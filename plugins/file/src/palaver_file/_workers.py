"""The threads in which files are read and written.

An executor has a future, a condition and a chain of callbacks for each job, which shows beside the read of a small
file. Here a job is an entry in a queue, and its end one callback in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, TypeVarTuple

from palaver.cancellation import run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Workers",)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_POLL_SECONDS: Final = 0.001


class Workers:
    """The threads of one open store; they are called from its event loop alone.

    Args:
        count: how many jobs run at the same time.
        name: what the threads are called.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0

    def start(self, job: Callable[[*Ts], T], *arguments: *Ts) -> _Call[T]:
        """Start a job."""
        if self._under_way >= len(self._threads) < self._count:
            self._add_thread()
        self._under_way += 1
        call = _Call(functools.partial(job, *arguments), self._count_down)
        self._calls.put(call)
        return call

    async def run(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Do a job, to its end even when the caller is cancelled (law CANCEL-01)."""
        call = self.start(job, *arguments)
        try:
            return await call.answer
        except asyncio.CancelledError:
            if not call.has_ended:
                # Only the waiting has ended by that; the job goes on.
                await run_to_end(asyncio.wait([call.wait_again()]))
            raise

    async def close(self) -> None:
        """Wait for the jobs that run, and end the threads, without blocking the event loop."""
        self._dismiss()
        while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110  # nothing tells the end of a thread
            await asyncio.sleep(_POLL_SECONDS)
        self._threads.clear()

    def _add_thread(self) -> None:
        # They are daemons, so that a store that was never closed does not keep its program from ending.
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=_work, args=(self._calls,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _dismiss(self) -> None:
        for _ in self._threads:
            self._calls.put(None)

    def _count_down(self) -> None:
        self._under_way -= 1

    def __del__(self) -> None:
        self._dismiss()


class _Call(Generic[T]):
    """A job that was started, and its answer.

    Args:
        job: what to do.
        at_end: what to do in the event loop when the job has ended.
    """

    def __init__(self, job: Callable[[], T], at_end: Callable[[], None]) -> None:
        self._job = job
        self._at_end = at_end
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[T] = self._loop.create_future()
        self.has_ended = False

    def wait_again(self) -> asyncio.Future[T]:
        """Return a new future for the answer, after the former was cancelled; an error in it counts as seen."""
        self.answer = self._loop.create_future()
        self.answer.add_done_callback(asyncio.Future.exception)
        return self.answer

    def do(self) -> None:
        """Do the job, in a thread."""
        try:
            result = self._job()
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is the caller's
            self._tell(self._fail, error)
        else:
            self._tell(self._succeed, result)

    def _tell(self, settle: Callable[[Any], None], outcome: object) -> None:
        # A loop that has been closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(settle, outcome)

    def _succeed(self, result: T) -> None:
        self._end()
        if not self.answer.done():
            self.answer.set_result(result)

    def _fail(self, error: BaseException) -> None:
        self._end()
        if not self.answer.done():
            self.answer.set_exception(error)

    def _end(self) -> None:
        # Apart from `answer`, which may have been cancelled just before, when the caller was not told yet.
        self.has_ended = True
        self._at_end()


def _work(calls: SimpleQueue[_Call[Any] | None]) -> None:
    while (call := calls.get()) is not None:
        call.do()
        del call  # nothing of it is kept while there is nothing to do
