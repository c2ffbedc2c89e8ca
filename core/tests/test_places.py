"""So many calls at a time, and what becomes of those who wait."""

from __future__ import annotations

import asyncio
from functools import partial

from palaver import StoreUnavailableError
from palaver.toolkit.places import Places

FOREVER = 3600.0


async def test_so_many_run_at_a_time_and_the_others_in_order() -> None:
    """A place that is free goes to whoever has waited longest."""
    places = Places(2, patience=FOREVER, store="somewhere")
    running, most, order = 0, 0, []

    async def call(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(number)
        await asyncio.sleep(0)
        running -= 1
        return number

    answers = await asyncio.gather(*(places.run(partial(call, number)) for number in range(7)))

    assert answers == order == list(range(7))
    assert most == 2


async def test_whoever_waits_for_a_silent_medium_fails_with_the_first_call() -> None:
    """All who have waited as long as a call may take share its failure, instead of waiting one after the other."""
    places = Places(1, patience=0, store="somewhere")
    hangs, calls = asyncio.Event(), 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        await hangs.wait()
        raise StoreUnavailableError("no answer", store="somewhere")

    waiting = [asyncio.ensure_future(places.run(call)) for _ in range(10)]
    await asyncio.sleep(0.01)  # so that their patience, which is none, is at its end
    hangs.set()
    failures = await asyncio.gather(*waiting, return_exceptions=True)

    assert calls == 1
    assert [type(failure) for failure in failures] == [StoreUnavailableError] * 10
    assert "the call before this one failed" in str(failures[-1])


async def test_a_slow_medium_is_waited_for() -> None:
    """As long as calls are answered nobody fails, however long it takes; nor by what concerns one session."""
    places = Places(1, patience=0, store="somewhere")

    async def call(number: int) -> None:
        await asyncio.sleep(0.002)
        if number % 2:
            raise StoreUnavailableError("locked", store="somewhere", session_id="a")

    failures = await asyncio.gather(*(places.run(partial(call, number)) for number in range(6)), return_exceptions=True)

    assert [getattr(failure, "session_id", None) for failure in failures] == [None, "a"] * 3


async def test_a_waiter_that_is_cancelled_takes_no_place() -> None:
    """Neither while it waits nor in the moment in which it was given one."""
    places = Places(1, patience=FOREVER, store="somewhere")
    ends = asyncio.Event()

    async def leave() -> None:
        await ends.wait()
        # This comes between the moment in which the next one is given the place, and its going on.
        asyncio.get_running_loop().call_soon(second.cancel)

    first = asyncio.ensure_future(places.run(leave))
    second, third = (asyncio.ensure_future(places.run(_nothing)) for _ in range(2))
    await asyncio.sleep(0)
    third.cancel()
    ends.set()
    await asyncio.wait([first, second, third])

    assert second.cancelled()
    assert third.cancelled()
    async with asyncio.timeout(10):
        await places.run(_nothing)


async def test_drain_waits_for_the_calls_that_run() -> None:
    """Then nobody uses the medium any more."""
    places = Places(3, patience=0, store="somewhere")
    ended = []

    async def call() -> None:
        await asyncio.sleep(0.002)
        ended.append(1)

    calls = [asyncio.ensure_future(places.run(call)) for _ in range(5)]
    await asyncio.sleep(0)
    await places.drain()

    assert len(ended) == 5
    await asyncio.gather(*calls)


async def _nothing() -> None:
    return None
