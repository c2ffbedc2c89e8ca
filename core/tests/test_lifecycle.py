"""Opening once, closing once, warning when nobody closes; and being open in one event loop of one process."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from palaver import StoreClosedError, StoreUnavailableError, WrongLoopError
from palaver.toolkit.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Door:
    """What is opened: it opens when the test says so, and counts."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.opened = self.closed = self.abandoned = 0

    async def open(self) -> str:
        self.opened += 1
        await asyncio.sleep(0)
        await self.may_open.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return f"number {self.opened}"

    async def close(self, _: str) -> None:
        await asyncio.sleep(0)
        self.closed += 1

    def abandon(self, _: str) -> None:
        self.abandoned += 1


def of(door: Door) -> Lifecycle[str]:
    return Lifecycle("<Store>", door.open, door.close, door.abandon)


async def test_however_many_open_it_it_is_opened_once() -> None:
    """Concurrent callers share one opening, and one closing."""
    door = Door()
    lifecycle = of(door)

    await asyncio.gather(*(lifecycle.open() for _ in range(10)))
    assert door.opened == 1
    assert lifecycle.here == await lifecycle.enter() == "number 1"

    await asyncio.gather(*(lifecycle.close() for _ in range(10)))
    assert door.closed == 1


async def test_before_and_after_nobody_may_use_it() -> None:
    """The error says which of the two it is."""
    door = Door()
    lifecycle = of(door)
    assert lifecycle.here is None
    with pytest.raises(StoreClosedError, match=r"^Store cannot be used: it is not open yet"):
        await lifecycle.enter()

    await lifecycle.close()
    assert door.closed == 0
    await lifecycle.open()
    await lifecycle.close()

    assert lifecycle.here is None
    with pytest.raises(StoreClosedError, match="it is closed"):
        await lifecycle.enter()


async def test_it_can_be_opened_again() -> None:
    """After a close, open opens."""
    door = Door()
    lifecycle = of(door)
    for number in (1, 2):
        await lifecycle.open()
        assert lifecycle.here == f"number {number}"
        await lifecycle.close()

    assert (door.opened, door.closed) == (2, 2)


async def test_a_failed_opening_leaves_it_closed() -> None:
    """The error comes through, and the next try is a new one."""
    lifecycle = of(Door(OSError("no disk")))

    with pytest.raises(OSError, match="no disk"):
        await lifecycle.open()
    with pytest.raises(StoreClosedError):
        await lifecycle.enter()

    await lifecycle.open()
    assert lifecycle.here
    await lifecycle.close()


async def test_those_who_wait_for_an_opening_share_its_failure() -> None:
    """One dead server is waited for once; each caller has an error of its own, and the next call tries again."""
    door = Door(StoreUnavailableError("no route"))
    lifecycle = of(door)
    door.may_open.clear()
    callers = [asyncio.create_task(lifecycle.open()) for _ in range(12)]
    await asyncio.sleep(0)
    door.may_open.set()
    errors = await asyncio.gather(*callers, return_exceptions=True)

    assert door.opened == 1
    assert {str(error) for error in errors} == {str(StoreUnavailableError("no route"))}
    assert len({id(error) for error in errors}) == 12

    await lifecycle.open()
    assert lifecycle.here
    await lifecycle.close()


async def test_another_caller_takes_over_from_one_that_is_cancelled() -> None:
    """Whoever opens, and whoever waits, may be cancelled without failing the others."""
    door = Door()
    lifecycle = of(door)
    door.may_open.clear()
    opener, waiter, *others = [asyncio.create_task(lifecycle.open()) for _ in range(5)]
    await asyncio.sleep(0)
    waiter.cancel()
    opener.cancel()
    gone = await asyncio.gather(opener, waiter, return_exceptions=True)
    door.may_open.set()
    await asyncio.gather(*others)

    assert [type(error) for error in gone] == [asyncio.CancelledError] * 2
    assert door.opened == 2
    assert lifecycle.here
    await lifecycle.close()


async def test_a_closing_waits_for_the_opening() -> None:
    """And what is opened after it is opened anew."""
    door = Door()
    lifecycle = of(door)
    door.may_open.clear()
    opening = asyncio.create_task(lifecycle.open())
    await asyncio.sleep(0)
    closing = asyncio.create_task(lifecycle.close())
    door.may_open.set()
    await asyncio.gather(opening, closing)
    assert door.closed == 1

    await lifecycle.open()
    assert door.opened == 2
    await lifecycle.close()


async def test_a_cancelled_closing_goes_on_to_its_end() -> None:
    """Otherwise half of it would stay open, and nobody could close it any more."""
    begun, go_on, steps = asyncio.Event(), asyncio.Event(), []

    async def close(_: str) -> None:
        begun.set()
        await go_on.wait()
        steps.append("closed")

    lifecycle = Lifecycle("<Store>", Door().open, close)
    await lifecycle.open()
    closing = asyncio.create_task(lifecycle.close())
    await begun.wait()
    closing.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await closing

    assert steps == ["closed"]


async def test_what_was_never_closed_warns() -> None:
    """A store that is collected while it holds something open says so; one that holds nothing does not."""
    opened = [of(Door()), Lifecycle("<Nothing>", Door().open)]
    await asyncio.gather(*(lifecycle.open() for lifecycle in opened))

    with pytest.warns(ResourceWarning, match="<Store> was never closed") as warned:
        _collect(opened)
    assert len(warned) == 1
    await asyncio.sleep(0)  # for what the event loop does with generators that nobody has any more


def _collect(things: list[Any]) -> None:
    things.clear()
    gc.collect()


# In one event loop.


def test_several_event_loops_one_after_another() -> None:
    """Each time it is opened in the loop and closed with it, without anybody asking for it."""
    door = Door()
    lifecycle = of(door)

    async def use() -> str:
        return await lifecycle.enter()

    asyncio.run(lifecycle.open())
    assert (door.opened, door.closed) == (1, 1)
    assert [asyncio.run(use()) for _ in range(3)] == ["number 2", "number 3", "number 4"]
    assert (door.opened, door.closed, door.abandoned) == (4, 4, 0)

    asyncio.run(lifecycle.close())
    with pytest.raises(StoreClosedError):
        asyncio.run(use())


def test_an_event_loop_that_was_just_closed() -> None:
    """Nothing can be closed in it any more: what was opened there is dropped."""
    door = Door()
    lifecycle = of(door)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(lifecycle.open())
    loop.close()

    async def use() -> str:
        found = await lifecycle.enter()
        await lifecycle.close()
        return found

    assert asyncio.run(use()) == "number 2"
    assert (door.opened, door.closed, door.abandoned) == (2, 1, 1)


def test_many_at_once_in_a_new_event_loop() -> None:
    """They share one opening there, too; and its failure, after which the next one tries again."""
    door = Door(None, StoreUnavailableError("no route"))
    lifecycle = of(door)
    asyncio.run(lifecycle.open())

    async def use() -> list[Any]:
        return await asyncio.gather(*(lifecycle.enter() for _ in range(5)), return_exceptions=True)

    assert [type(error) for error in asyncio.run(use())] == [StoreUnavailableError] * 5
    assert asyncio.run(use()) == ["number 3"] * 5
    assert door.opened == 3


def test_a_store_that_is_being_closed_is_not_opened_again_by_its_use() -> None:
    """Not in a new event loop either, where its use would open it."""
    door = Door()
    lifecycle = of(door)
    asyncio.run(lifecycle.open())

    async def close_and_use() -> list[Any]:
        door.may_open.clear()
        first = asyncio.create_task(lifecycle.enter())
        await asyncio.sleep(0)
        closing = asyncio.create_task(lifecycle.close())
        await asyncio.sleep(0)
        second = asyncio.create_task(lifecycle.enter())
        door.may_open.set()
        return list(await asyncio.gather(first, closing, second, return_exceptions=True))

    first, closed, _ = asyncio.run(close_and_use())
    assert (first, closed) == ("number 2", None)
    assert (door.opened, door.closed) == (2, 2)

    async def use() -> None:
        await lifecycle.enter()

    with pytest.raises(StoreClosedError):
        asyncio.run(use())


def test_an_event_loop_that_ended_during_the_opening_is_left_behind() -> None:
    """The next loop opens anew, instead of waiting for what will never end."""
    door = Door()
    lifecycle = of(door)
    loop = asyncio.new_event_loop()
    abandoned = lifecycle.open()
    loop.run_until_complete(_run_for_one_pass(abandoned))
    loop.close()

    async def use() -> None:
        await lifecycle.open()
        await lifecycle.close()

    asyncio.run(use())
    assert door.opened == 2


async def _run_for_one_pass(work: Coroutine[Any, Any, None]) -> None:
    work.send(None)


def test_a_second_event_loop_while_the_first_one_runs() -> None:
    """It is told so at once, whatever it wants; the first is not disturbed."""
    door = Door()
    lifecycle = of(door)
    is_open, may_end = threading.Event(), threading.Event()
    found: list[str | None] = []

    async def first() -> None:
        await lifecycle.open()
        is_open.set()
        await asyncio.to_thread(may_end.wait)
        found.append(lifecycle.here)
        await lifecycle.close()

    thread = threading.Thread(target=lambda: asyncio.run(first()))
    thread.start()
    try:
        assert is_open.wait(10)
        for call in (lifecycle.enter, lifecycle.open, lifecycle.close):
            with pytest.raises(WrongLoopError, match="Store is open in another event loop, which still runs"):
                asyncio.run(call())
    finally:
        may_end.set()
        thread.join()

    assert found == ["number 1"]
    asyncio.run(lifecycle.open())
    assert (door.opened, door.closed) == (2, 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_a_forked_process_opens_its_own() -> None:
    """The child opens anew, and neither closes nor drops what the parent has; the parent goes on."""
    door = Door()
    lifecycle = of(door)
    await lifecycle.open()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there may be threads: that is what is tried
        pid = os.fork()
    if pid == 0:
        os._exit(_is_right_in_the_child(door, lifecycle))
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert lifecycle.here == "number 1"
    await lifecycle.close()
    assert (door.opened, door.closed) == (1, 1)


def _is_right_in_the_child(door: Door, lifecycle: Lifecycle[str]) -> int:
    """Return the exit code: nothing else may come back into the tests of the parent."""
    try:
        asyncio.events._set_running_loop(None)
        found = asyncio.new_event_loop().run_until_complete(lifecycle.enter())
    except BaseException:  # noqa: BLE001  # see above
        return 2
    return 0 if (found, door.opened, door.closed, door.abandoned) == ("number 2", 2, 0, 0) else 1
