"""Threads that a store works in, and that are gone when it is closed."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from palaver.toolkit.threads import Threads


async def test_a_job_runs_in_a_thread() -> None:
    """Its result and its errors come through."""
    threads = Threads(2, "test-threads")

    assert (await threads.run(lambda: threading.current_thread().name)).startswith("test-threads")
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda number: 1 // number, 0)
    await threads.close()


async def test_a_cancelled_caller_waits_for_its_job() -> None:
    """What the job does is done before the caller is cancelled, and not after."""
    threads, go_on, done = Threads(1, "test-threads"), threading.Event(), []

    def job() -> None:
        go_on.wait(timeout=10)
        done.append("job")

    caller = asyncio.create_task(threads.run(job))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller

    assert done == ["job"]
    await threads.close()


async def test_closing_leaves_no_thread() -> None:
    """Not even one that had to end a job first; the event loop goes on meanwhile."""
    threads = Threads(3, "test-threads-closing")
    jobs = [threads.start(time.sleep, 0.01) for _ in range(5)]
    await threads.close()

    assert [job.done() for job in jobs] == [True] * 5
    assert [thread.name for thread in threading.enumerate() if "test-threads-closing" in thread.name] == []
