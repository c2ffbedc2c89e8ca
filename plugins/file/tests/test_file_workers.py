"""The threads of a store: every job comes to its end, and its caller never before it."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest

from palaver_file._workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "test-workers"


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(NAME)]


@pytest.fixture
async def one() -> AsyncIterator[Workers]:
    """One thread."""
    workers = Workers(1, NAME)
    yield workers
    await workers.close()


async def test_answers_and_errors_come_through(one: Workers) -> None:
    """From a thread with the name that was given."""
    assert (await one.run(lambda: threading.current_thread().name)).startswith(NAME)
    with pytest.raises(ZeroDivisionError):
        await one.run(lambda number: 1 // number, 0)


@pytest.mark.parametrize("divisor", [1, 0], ids=["succeeds", "fails"])
async def test_a_cancelled_caller_waits_for_its_job(one: Workers, divisor: int) -> None:
    """However often it is cancelled, and whether the job succeeds or fails."""
    go_on, done = threading.Event(), []

    def job() -> None:
        go_on.wait(timeout=10)
        done.append("job")
        divmod(1, divisor)

    caller = asyncio.create_task(one.run(job))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["job"]


async def test_cancelled_when_the_job_has_just_ended(one: Workers) -> None:
    """A caller that is cancelled before it was told of the end is not kept waiting for it."""
    later: list[str] = []
    caller = asyncio.create_task(one.run(str))
    await asyncio.sleep(0)
    one.start(later.append, "the thread has told of the first")
    while not later:
        pass  # without the event loop, which would pass it on
    caller.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await caller


async def test_as_many_threads_as_there_is_to_do() -> None:
    """One for jobs one after another, and never more than the count; closing ends them after their jobs."""
    workers, go_on = Workers(3, NAME), threading.Event()
    for _ in range(5):
        await workers.run(str)
    assert len(threads()) == 1
    calls = [workers.start(go_on.wait, 10) for _ in range(7)]
    assert len(threads()) == 3
    go_on.set()
    await workers.close()
    assert [call.answer.result() for call in calls] == [True] * 7
    assert threads() == []


async def test_a_stuck_job_whose_caller_is_cancelled_keeps_its_thread() -> None:
    """Those that come after it find another thread, while there are some."""
    workers, go_on = Workers(2, NAME), threading.Event()
    caller = asyncio.create_task(workers.run(go_on.wait, 10))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    assert await workers.run(str) == ""
    go_on.set()
    await asyncio.gather(caller, return_exceptions=True)
    await workers.close()


async def test_threads_end_when_nobody_has_closed_them() -> None:
    """A store that is forgotten leaves none behind."""
    workers = Workers(1, NAME)
    await workers.run(str)
    (thread,) = threads()
    del workers
    gc.collect()
    async with asyncio.timeout(10):
        while thread.is_alive():  # noqa: ASYNC110  # nothing tells the end of a thread
            await asyncio.sleep(0.001)
