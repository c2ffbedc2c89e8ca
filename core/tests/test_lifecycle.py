"""Opening once, closing once, and warning when nobody closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from palaver import StoreClosedError, StoreUnavailableError
from palaver.toolkit.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Door:
    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0

    async def open(self) -> None:
        await asyncio.sleep(0)
        self.opened += 1

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


async def test_however_many_open_it_it_is_opened_once() -> None:
    """Concurrent callers share one opening, and one closing."""
    door, lifecycle = Door(), Lifecycle("<Store>")

    await asyncio.gather(*(lifecycle.open(door.open) for _ in range(10)))
    assert door.opened == 1
    lifecycle.require_open()

    await asyncio.gather(*(lifecycle.close(door.close) for _ in range(10)))
    assert door.closed == 1


async def test_before_and_after_nobody_may_use_it() -> None:
    """The error says which of the two it is."""
    door, lifecycle = Door(), Lifecycle("<Store>")
    with pytest.raises(StoreClosedError, match=r"^Store cannot be used: it is not open yet"):
        lifecycle.require_open()

    await lifecycle.close(door.close)
    assert door.closed == 0
    await lifecycle.open(door.open)
    await lifecycle.close(door.close)

    with pytest.raises(StoreClosedError, match="it is closed"):
        lifecycle.require_open()


async def test_it_can_be_opened_again() -> None:
    """After a close, open opens."""
    door, lifecycle = Door(), Lifecycle("<Store>")
    for _ in range(2):
        await lifecycle.open(door.open)
        lifecycle.require_open()
        await lifecycle.close(door.close)

    assert (door.opened, door.closed) == (2, 2)


def test_it_may_be_used_in_several_event_loops_one_after_another() -> None:
    """With many at once in each, who wait for each other."""
    door, lifecycle = Door(), Lifecycle("<Store>")

    async def use() -> None:
        await asyncio.gather(*(lifecycle.open(door.open) for _ in range(3)))
        await asyncio.gather(*(lifecycle.close(door.close) for _ in range(3)))

    for _ in range(2):
        asyncio.run(use())

    assert (door.opened, door.closed) == (2, 2)


async def test_a_failed_opening_leaves_it_closed() -> None:
    """The error comes through, and the next try is a new one."""
    door, lifecycle = Door(), Lifecycle("<Store>")

    async def fail() -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        await lifecycle.open(fail)
    with pytest.raises(StoreClosedError):
        lifecycle.require_open()

    await lifecycle.open(door.open)
    lifecycle.require_open()
    await lifecycle.close(door.close)


class Gate:
    """An opening that ends when the test says so."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.begun = 0
        self.may_end = asyncio.Event()

    async def open(self) -> None:
        self.begun += 1
        await self.may_end.wait()
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome


async def test_those_who_wait_for_an_opening_share_its_failure() -> None:
    """One dead server is waited for once; each caller has an error of its own, and the next call tries again."""
    gate, lifecycle = Gate(StoreUnavailableError("no route"), None), Lifecycle("<Store>")
    callers = [asyncio.create_task(lifecycle.open(gate.open)) for _ in range(12)]
    await asyncio.sleep(0)
    gate.may_end.set()
    errors = await asyncio.gather(*callers, return_exceptions=True)

    assert gate.begun == 1
    assert {str(error) for error in errors} == {str(StoreUnavailableError("no route"))}
    assert len({id(error) for error in errors}) == 12

    await lifecycle.open(gate.open)
    lifecycle.require_open()
    await lifecycle.close(Door().close)


async def test_another_caller_takes_over_from_one_that_is_cancelled() -> None:
    """Whoever opens, and whoever waits, may be cancelled without failing the others."""
    gate, lifecycle = Gate(None), Lifecycle("<Store>")
    opener, waiter, *others = [asyncio.create_task(lifecycle.open(gate.open)) for _ in range(5)]
    await asyncio.sleep(0)
    waiter.cancel()
    opener.cancel()
    gone = await asyncio.gather(opener, waiter, return_exceptions=True)
    gate.may_end.set()
    await asyncio.gather(*others)

    assert [type(error) for error in gone] == [asyncio.CancelledError] * 2
    assert gate.begun == 2
    lifecycle.require_open()
    await lifecycle.close(Door().close)


async def test_a_closing_waits_for_the_opening() -> None:
    """And what is opened after it is opened anew."""
    gate, door, lifecycle = Gate(None, None), Door(), Lifecycle("<Store>")
    opening = asyncio.create_task(lifecycle.open(gate.open))
    await asyncio.sleep(0)
    closing = asyncio.create_task(lifecycle.close(door.close))
    gate.may_end.set()
    await asyncio.gather(opening, closing)
    assert door.closed == 1

    await lifecycle.open(gate.open)
    assert gate.begun == 2
    await lifecycle.close(door.close)


def test_an_event_loop_that_ended_during_the_opening_is_left_behind() -> None:
    """The next loop opens anew, instead of waiting for what will never end."""
    gate, lifecycle = Gate(None), Lifecycle("<Store>")
    loop = asyncio.new_event_loop()
    abandoned = lifecycle.open(gate.open)
    loop.run_until_complete(_run_for_one_pass(abandoned))
    loop.close()

    async def use() -> None:
        door = Door()
        await lifecycle.open(door.open)
        await lifecycle.close(door.close)

    asyncio.run(use())
    assert gate.begun == 1


async def _run_for_one_pass(work: Coroutine[Any, Any, None]) -> None:
    work.send(None)


async def test_a_cancelled_closing_goes_on_to_its_end() -> None:
    """Otherwise half of it would stay open, and nobody could close it any more."""
    lifecycle, begun, go_on, steps = Lifecycle("<Store>"), asyncio.Event(), asyncio.Event(), []

    async def close() -> None:
        begun.set()
        await go_on.wait()
        steps.append("closed")

    await lifecycle.open(Door().open)
    closing = asyncio.create_task(lifecycle.close(close))
    await begun.wait()
    closing.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await closing

    assert steps == ["closed"]


async def test_what_was_never_closed_warns() -> None:
    """A store that is collected while it holds something open says so."""
    door, lifecycle = Door(), Lifecycle("<Store>")
    await lifecycle.open(door.open)

    with pytest.warns(ResourceWarning, match="<Store> was never closed"):
        del lifecycle
