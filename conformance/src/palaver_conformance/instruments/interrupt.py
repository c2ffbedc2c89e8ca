"""Cancelling a call at its k-th await."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

__all__ = ("Interrupted", "interrupt")


class Interrupted:
    """How a call ended that was cancelled at one of its awaits."""

    def __init__(self) -> None:
        self.was_cancelled = False
        """Whether it came as far as that await; if not, it has just ended."""
        self.error: BaseException | None = None
        self.answer: Any = None


async def interrupt(call: Awaitable[Any], at: int, patience: float) -> Interrupted:
    """Run a call in a task that is cancelled at the `at`-th await of the call, counted from 1.

    Raises:
        TimeoutError: it did not end within `patience` seconds.
    """
    outcome = Interrupted()
    task = asyncio.ensure_future(_drive(call, at, outcome))
    done, _ = await asyncio.wait([task], timeout=patience)
    if not done:
        task.cancel()
        raise TimeoutError
    if task.cancelled():
        outcome.error = asyncio.CancelledError()
    elif task.exception() is not None:
        outcome.error = task.exception()
    else:
        outcome.answer = task.result()
    return outcome


async def _drive(call: Awaitable[Any], at: int, outcome: Interrupted) -> Any:
    return await _Counted(call, at, outcome)


class _Counted:
    """An awaitable that passes everything through, and cancels the running task at the k-th pass."""

    def __init__(self, call: Awaitable[Any], at: int, outcome: Interrupted) -> None:
        self._call = call
        self._at = at
        self._outcome = outcome

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._call.__await__()
        passes = 0
        thrown: BaseException | None = None
        while True:
            try:
                waited_for = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return end.value
            passes += 1
            if passes == self._at:
                self._cancel()
            thrown = None
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001  # passed on to the call
                thrown = error

    def _cancel(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            # It takes effect at this very await: the task is still running.
            task.cancel()
            self._outcome.was_cancelled = True
