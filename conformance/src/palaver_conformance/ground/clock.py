"""The clock of a law: it stands still until the law sets it, to the millisecond however far."""

from __future__ import annotations

from typing import Final

__all__ = ("START", "StandingClock")

START: Final = 1_700_000_000_000


class StandingClock:
    """A clock that is set, in whole milliseconds."""

    def __init__(self, now: int = START) -> None:
        self._now = now

    def now(self) -> int:
        """Return the Unix time in milliseconds, UTC."""
        return self._now

    def set(self, now: int) -> None:
        """Set the clock, forwards or backwards."""
        self._now = now

    def __repr__(self) -> str:
        return f"StandingClock({self._now})"
