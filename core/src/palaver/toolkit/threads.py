"""Threads for what would block the event loop: files, and client libraries that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from palaver.toolkit.cancellation import run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Threads",)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """The threads of one open store.

    Args:
        count: how many jobs run at the same time; with 1, jobs run in order.
        name: what the threads are called.
    """

    def __init__(self, count: int, name: str) -> None:
        self._name = name
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    def start(self, job: Callable[[*Ts], T], *arguments: *Ts) -> asyncio.Future[T]:
        """Start a job; whoever is cancelled has to see to it that it is awaited to its end."""
        return asyncio.get_running_loop().run_in_executor(self._pool, job, *arguments)

    async def run(self, job: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Do a job, to its end even when the caller is cancelled (law CANCEL-01)."""
        return await run_to_end(self.start(job, *arguments))

    def abandon(self, last: Callable[[], None] | None = None) -> None:
        """End the threads once they have done what they do now, and `last`, without waiting: the event loop is gone."""
        if last is not None:
            self._pool.submit(last)
        self._pool.shutdown(wait=False)

    async def close(self) -> None:
        """Wait for the jobs that run, and end the threads, without blocking the event loop."""
        # Waiting for threads blocks, so one more thread does it; that one is waited for, too.
        closer = threading.Thread(target=self._pool.shutdown, name=f"{self._name}-close")
        closer.start()
        while closer.is_alive():  # noqa: ASYNC110  # a thread has no event to wait for that is later than its end
            await asyncio.sleep(0.001)
