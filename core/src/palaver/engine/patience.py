"""Trying again while a store is unavailable, so that an outage that is short is seen by no handler."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final, TypeVar

from palaver.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ("Patience",)

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0

_logger = logging.getLogger(__name__)


class Patience:
    """Tries again what a store could not do, with pauses, until the time is up; one for all calls of an engine.

    Args:
        seconds: for how long after the first failure of a call; 0 never tries again.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._is_out = False
        """Whether the store was unavailable when it was last asked: one warning for each outage."""

    async def again(self, call: Callable[[], Awaitable[T]], error: StoreUnavailableError) -> T:
        """Try a call again that has failed.

        Args:
            call: what to try; it may be done twice, where an answer was lost.
            error: how it has failed.

        Raises:
            StoreUnavailableError: it fails for as long as the time lasts, or in a way that does not pass by itself.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.seconds
        longest = _FIRST_PAUSE
        while error.retryable:
            # Full jitter, after M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
            pause = random.uniform(0, longest)  # noqa: S311  # no secret
            if loop.time() + pause >= deadline:
                break
            self._warn(error)
            await asyncio.sleep(pause)
            longest = min(_LONGEST_PAUSE, 2 * longest)
            try:
                answer = await call()
            except StoreUnavailableError as failure:
                error = failure
            else:
                self._is_out = False
                return answer
        raise error

    def _warn(self, error: StoreUnavailableError) -> None:
        if not self._is_out and error.session_id is None:
            self._is_out = True
            _logger.warning("%s; trying again for up to %g s", error, self.seconds)
