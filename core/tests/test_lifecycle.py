"""Opening once, closing once, and warning when nobody closes."""

from __future__ import annotations

import asyncio

import pytest

from palaver import StoreClosedError
from palaver.lifecycle import Lifecycle


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
    with pytest.raises(StoreClosedError, match="<Store> cannot be used: it is not open yet"):
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
