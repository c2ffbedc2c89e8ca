"""The server's own expiry, which only collects garbage: whether a session is live, the injected clock says."""

from __future__ import annotations

from typing import Final

__all__ = ("GONE_ALREADY", "time_to_live")

GONE_ALREADY: Final = 0

_MARGIN: Final = 60 * 60 * 1000
"""How much longer than a session its key lives, in milliseconds, so that no session vanishes early where clocks differ
or one is set back."""

_LONGEST: Final = 10**15
"""Far more than anybody waits for; a sum with the server's time stays below 64 bits."""


def time_to_live(expires_at: int | None, now: int) -> int | None:
    """Return how many milliseconds a key shall live: None is for ever, `GONE_ALREADY` is not at all.

    A duration, not an instant: the server's clock may show another time than the injected one.
    """
    if expires_at is None:
        return None
    if expires_at <= now:
        return GONE_ALREADY
    return min(expires_at - now + _MARGIN, _LONGEST)
