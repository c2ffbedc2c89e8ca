"""Work that ends before its caller is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from palaver.toolkit.cancellation import run_to_end


async def test_the_result_comes_through() -> None:
    """Without cancellation it is an ordinary await."""

    async def work() -> int:
        await asyncio.sleep(0)
        return 5

    assert await run_to_end(work()) == 5


async def test_a_failure_comes_through() -> None:
    """What the work raises, the caller gets."""

    async def work() -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await run_to_end(work())


@pytest.mark.parametrize("cancellations", [1, 3])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_caller_waits_for_the_end(cancellations: int, fails: bool) -> None:
    """However often it is cancelled, the caller ends cancelled, after the work and not before."""
    go_on = asyncio.Event()
    steps = []

    async def work() -> None:
        await go_on.wait()
        steps.append("worked")
        if fails:
            raise OSError("broken")

    async def caller() -> None:
        try:
            await run_to_end(work())
        finally:
            steps.append("left")

    task = asyncio.create_task(caller())
    for _ in range(cancellations):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert steps == []
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["worked", "left"]
