"""Keeps a session alive while its turn runs, so that a slow handler never finds its session expired."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from palaver.errors import PalaverError
from palaver.toolkit.cancellation import run_to_end

if TYPE_CHECKING:
    from palaver.contract.store import SessionStore

__all__ = ("HORIZON", "KeepAlive")

HORIZON: Final = 3_600_000
"""Only what expires within an hour, in milliseconds, is kept alive: no handler takes longer."""

_SHORTEST_PAUSE: Final = 0.005

_logger = logging.getLogger(__name__)


class KeepAlive:
    """Moves the expiry of one session each time when half of its life has passed.

    Args:
        store: where the session is; it has the capability `touch`.
        session_id: which session.
        expires_at: when it expires, in Unix milliseconds.
    """

    __slots__ = ("_has_warned", "_is_stopped", "_session_id", "_store", "_task", "_timer", "expires_at", "is_lost")

    def __init__(self, store: SessionStore, session_id: str, expires_at: int) -> None:
        self._store = store
        self._session_id = session_id
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._has_warned = False
        self.expires_at = expires_at
        """When the session expires, as far as is known."""
        self.is_lost = False
        """Whether the session went away before it expired: somebody has destroyed it."""
        # Nearly every turn ends before: a timer costs less than a task.
        self._timer = self._set_timer()

    async def stop(self) -> None:
        """Stop; when this returns, nothing is under way to the store any more."""
        self.stop_soon()
        if self._task is not None:
            await run_to_end(asyncio.wait([self._task]))

    def stop_soon(self) -> None:
        """Stop; what is under way to the store may still end."""
        self._is_stopped = True
        self._timer.cancel()

    def _set_timer(self) -> asyncio.TimerHandle:
        remaining = self.expires_at - self._store.clock.now()
        return asyncio.get_running_loop().call_later(max(_SHORTEST_PAUSE, remaining / 2 / 1000), self._start)

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        now = self._store.clock.now()
        expires_at = self._store.expiry(now)
        if expires_at is None or expires_at <= self.expires_at:
            return
        try:
            is_alive = await self._store.touch(self._session_id, expires_at)
        except PalaverError as error:
            self._warn(error)  # and try again, for as long as the session lives
        else:
            if not is_alive:
                self.is_lost = now < self.expires_at
                return
            self.expires_at = expires_at
        if not self._is_stopped and self._store.clock.now() < self.expires_at:
            self._timer = self._set_timer()

    def _warn(self, error: PalaverError) -> None:
        if not self._has_warned:
            self._has_warned = True
            _logger.warning("session %r could not be kept alive while its turn runs: %s", self._session_id, error)
