"""First in, first out: the turns of one session run one after another, in order of arrival."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import monotonic
from typing import Any, Final

from palaver.errors import NestedTurnError, SessionBusyError, TurnDeadlockError, own_copy

__all__ = ("LONG_WAIT", "TurnQueue")

LONG_WAIT: Final = 10.0
"""After how many seconds a turn that waits says so in the log."""

_AFTER_CANCELLATION: Final = 5.0
"""For how many seconds turns that are cancelled may still clean up."""

_logger = logging.getLogger(__name__)


class _Line:
    """Those who stand in line for one session; it exists only while somebody has or wants a turn."""

    __slots__ = ("owner", "since", "waiting")

    def __init__(self, owner: asyncio.Task[Any] | None) -> None:
        self.owner = owner
        self.since = monotonic()
        """When the owner was given the turn, in seconds of this process's clock."""
        self.waiting: deque[asyncio.Future[None]] | None = None
        """Made for the first who has to wait: most turns find nobody before them."""


class TurnQueue:
    """Lets one turn of each session run at a time, in one event loop.

    A turn that is over is handed straight to the next in line, so that nobody who comes later can slip in between.

    Args:
        loop: the event loop, where it is known: to look it up takes longer than all else here.
        long_wait: after how many seconds a turn that waits says so in the log.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, long_wait: float = LONG_WAIT) -> None:
        self._lines: dict[str, _Line] = {}
        self._loop = loop
        self._waits: dict[asyncio.Task[Any], str] = {}
        """For the turn of which session each task waits that has to."""
        self._long_wait = long_wait
        self._watching: list[asyncio.Future[None]] = []
        """Done when a line comes to its end, for those who wait for that."""

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def is_alone(self) -> bool:
        """Whether a single session has a turn now."""
        return len(self._lines) == 1

    def is_in_a_turn(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether a task has the turn of any session."""
        return task is not None and any(line.owner is task for line in self._lines.values())

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
        line.owner, line.since = task, monotonic()

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
            if _wake(next_turn):
                return
        del self._lines[session_id]
        while self._watching:
            _wake(self._watching.pop())

    async def drain(self, seconds: float) -> None:
        """Wait until all turns have ended, those included that wait; cancel those that take too long.

        A turn of the caller's own task is not waited for.

        Args:
            seconds: for how long; 0 cancels them at once.
        """
        await self._until_ended(seconds)
        tasks = self._tasks()
        if not tasks:
            return
        shown = ", ".join(sorted(f"{session_id!r} (task {task.get_name()!r})" for task, session_id in tasks.items()))
        _logger.warning("%d turns did not end within %g s and are cancelled: %s", len(tasks), seconds, shown)
        for task in tasks:
            task.cancel()
        await self._until_ended(_AFTER_CANCELLATION)

    async def _until_ended(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        while self._tasks() and monotonic() < deadline:
            has_ended = asyncio.get_running_loop().create_future()
            self._watching.append(has_ended)
            await asyncio.wait([has_ended], timeout=deadline - monotonic())

    def _tasks(self) -> dict[asyncio.Task[Any], str]:
        """Return the tasks that have a turn or wait for one, but the current one, with the session of the turn."""
        owners = {line.owner: session_id for session_id, line in self._lines.items() if line.owner is not None}
        tasks = owners | self._waits
        current = asyncio.current_task()
        return {task: session_id for task, session_id in tasks.items() if task is not current}

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
        warning = my_turn.get_loop().call_later(self._long_wait, _warn, line, session_id, self._long_wait)
        try:
            await my_turn
        except asyncio.CancelledError:
            # Cancelled while waiting, `leave` passes over the future. Cancelled in the moment between being handed
            # the turn and running, the turn is ours and must go to the next.
            if not my_turn.cancelled() and my_turn.exception() is None:
                self.leave(session_id)
            raise
        finally:
            warning.cancel()


def _wake(waiting: asyncio.Future[None]) -> bool:
    """Let somebody go on, and tell whether they still wait."""
    if waiting.done():
        return False
    waiting.set_result(None)
    return True


def _warn(line: _Line, session_id: str, waited: float) -> None:
    holder = "another turn" if line.owner is None else f"task {line.owner.get_name()!r}"
    _logger.warning(
        "a turn of session %r has waited for %g s: %s has had it for %.1f s",
        session_id,
        waited,
        holder,
        monotonic() - line.since,
    )
