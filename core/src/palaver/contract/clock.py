"""Where the time comes from: injected everywhere, so that tests move it instead of waiting for it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Protocol, runtime_checkable

__all__ = ("Clock", "ManualClock", "SystemClock")


@runtime_checkable
class Clock(Protocol):
    """What tells a store and the engine what time it is."""

    def now(self) -> int:
        """Return the Unix time in milliseconds, UTC."""
        ...


class SystemClock:
    """The computer's own clock."""

    def now(self) -> int:
        """Return the Unix time in milliseconds, UTC."""
        return time.time_ns() // 1_000_000

    def __repr__(self) -> str:
        return "SystemClock()"


class ManualClock:
    """A clock that stands still until it is moved, for tests of bots and of drivers.

    Args:
        now: where it stands at first, in Unix milliseconds.
    """

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self._now = now

    def now(self) -> int:
        """Return the Unix time in milliseconds, UTC."""
        return self._now

    def advance(self, seconds: float | timedelta) -> None:
        """Move the clock by a number of seconds or a `timedelta`, backwards when it is negative."""
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        self._now += round(seconds * 1000)

    def __repr__(self) -> str:
        return f"ManualClock({self._now})"
