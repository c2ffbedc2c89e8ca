"""Work that cannot be stopped half-way: once begun, it ends before its caller is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ("run_to_end",)

T = TypeVar("T")


async def run_to_end(work: Awaitable[T]) -> T:
    """Await `work` to its end, even when the caller is cancelled; then let the cancellation through.

    For work that goes on whether or not anybody waits, like a call in a thread: if the caller left at once, the work
    could still take effect after something newer (law CANCEL-01). The work must be bounded in time.
    """
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            await _wait_through_cancellation(running)
        if not running.cancelled():
            running.exception()  # seen: the cancellation is what the caller gets
        raise


async def _wait_through_cancellation(running: asyncio.Future[T]) -> None:
    try:
        await asyncio.wait([running])
    except asyncio.CancelledError:
        return
