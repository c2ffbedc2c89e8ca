"""First in, first out: the turns of one session run one after another, in order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from palaver.errors import NestedTurnError, SessionBusyError, TurnDeadlockError, own_copy

__all__ = ("TurnQueue",)


class _Line:
    """Those who stand in line for one session; it exists only while somebody has or wants a turn."""

    __slots__ = ("owner", "waiting")

    def __init__(self, owner: asyncio.Task[Any] | None) -> None:
        self.owner = owner
        self.waiting: deque[asyncio.Future[None]] | None = None
        """Made for the first who has to wait: most turns find nobody before them."""


class TurnQueue:
    """Lets one turn of each session run at a time, in one event loop.

    A turn that is over is handed straight to the next in line, so that nobody who comes later can slip in between.

    Args:
        loop: the event loop, where it is known: to look it up takes longer than all else here.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._lines: dict[str, _Line] = {}
        self._loop = loop
        self._waits: dict[asyncio.Task[Any], str] = {}
        """For the turn of which session each task waits that has to."""

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def is_alone(self) -> bool:
        """Whether a single session has a turn now."""
        return len(self._lines) == 1

    async def enter(self, session_id: str, timeout: float | None = None) -> None:  # noqa: ASYNC109  # it has its error
        """Wait for the turn; whoever returns from here must call `leave`.

        Args:
            session_id: whose turn.
            timeout: for how many seconds to wait; None is for ever.

        Raises:
            NestedTurnError: the turn that runs is the caller's own.
            TurnDeadlockError: the turn that runs waits for one of the caller's own.
            SessionBusyError: the time is up.
        """
        if self.enter_at_once(session_id):
            return
        line = self._lines[session_id]
        task = asyncio.current_task()
        if line.owner is task:
            raise NestedTurnError(session_id)
        if task is None:
            await self._wait_in(line, session_id)
            return
        self._waits[task] = session_id
        try:
            self._refuse_circle(task, session_id)
            async with asyncio.timeout(timeout):
                await self._wait_in(line, session_id)
        except TimeoutError as error:
            raise SessionBusyError(session_id, timeout=timeout or 0) from error
        finally:
            del self._waits[task]
        line.owner = task

    def enter_at_once(self, session_id: str) -> bool:
        """Take the turn if nobody has it or waits for it, and tell whether the caller has it now."""
        if session_id in self._lines:
            return False
        self._lines[session_id] = _Line(asyncio.current_task(self._loop))
        return True

    def leave(self, session_id: str) -> None:
        """Hand the turn to the next in line."""
        line = self._lines[session_id]
        line.owner = None
        while line.waiting:
            next_turn = line.waiting.popleft()
            if not next_turn.done():
                next_turn.set_result(None)
                return
        del self._lines[session_id]

    def fail_waiting(self, session_id: str, error: Exception) -> None:
        """Let all who wait for the turn fail with copies of an error."""
        line = self._lines[session_id]
        while line.waiting:
            waiting = line.waiting.popleft()
            if not waiting.done():
                waiting.set_exception(own_copy(error))

    def _refuse_circle(self, task: asyncio.Task[Any], session_id: str) -> None:
        """Follow who waits for whom: a circle closes with the wait that begins now, or not at all."""
        circle = [(task.get_name(), session_id)]
        owner = self._lines[session_id].owner
        while owner is not None and owner is not task:
            waits_for = self._waits.get(owner)
            if waits_for is None:
                return
            circle.append((owner.get_name(), waits_for))
            owner = self._lines[waits_for].owner
        if owner is task:
            raise TurnDeadlockError(session_id, circle=tuple(circle))

    async def _wait_in(self, line: _Line, session_id: str) -> None:
        my_turn = asyncio.get_running_loop().create_future()
        if line.waiting is None:
            line.waiting = deque()
        line.waiting.append(my_turn)
        try:
            await my_turn
        except asyncio.CancelledError:
            # Cancelled while waiting, `leave` passes over the future. Cancelled in the moment between being handed
            # the turn and running, the turn is ours and must go to the next.
            if not my_turn.cancelled() and my_turn.exception() is None:
                self.leave(session_id)
            raise
