"""A turn of several sessions."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from palaver.engine.turn import Turn
from palaver.toolkit.cancellation import run_to_end

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from palaver.engine.session import Session
    from palaver.engine.turn import Engine

__all__ = ("JointTurn",)


class JointTurn:
    """The turns of several sessions, begun and ended together.

    They are entered one after another in the order of their ids, which is the same everywhere: so no two of them wait
    for each other. They are loaded and saved at the same time, and each by itself.

    Args:
        engine: what all turns share.
        session_ids: whose turns; each once.
        timeout: for how many seconds to wait for all of them together; None is for ever.
    """

    def __init__(self, engine: Engine, session_ids: Sequence[str], timeout: float | None) -> None:
        self._turns = {session_id: Turn(engine, session_id) for session_id in session_ids}
        self._timeout = timeout

    async def __aenter__(self) -> tuple[Session, ...]:
        await self._enter()
        loading = [asyncio.ensure_future(turn.load()) for turn in self._turns.values()]
        try:
            await _all_end(loading)
            return tuple(task.result() for task in loading)
        except BaseException as error:
            for turn, task in zip(self._turns.values(), loading, strict=True):
                if not task.cancelled() and task.exception() is None:  # else it has left already
                    turn.abandon(error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        saving = [asyncio.ensure_future(turn.__aexit__(kind, error, trace)) for turn in self._turns.values()]
        await _all_end(saving)
        failures = [failure for task in saving if (failure := task.exception()) is not None]
        if not failures:
            return
        for other in failures[1:]:
            failures[0].add_note(f"another session of this turn was not saved either: {other}")
        raise failures[0]

    async def _enter(self) -> None:
        until = None if self._timeout is None else monotonic() + self._timeout
        entered: list[Turn] = []
        try:
            for session_id in sorted(self._turns):
                await self._turns[session_id].enter(None if until is None else max(0, until - monotonic()))
                entered.append(self._turns[session_id])
        except BaseException as error:
            for turn in entered:
                turn.leave(error)
            raise


async def _all_end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Wait until all have ended; if the caller is cancelled, so are they, and they have ended then, too."""
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        await run_to_end(_cancel(tasks))
        raise


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    # A task that is cancelled before it has begun would never get to what it does at its end.
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
