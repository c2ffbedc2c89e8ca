"""When a purge looks at a session: what an index of expiries has, so that most saves leave it alone.

The expiry of a session in use moves with every save, and an index of it would have to be written each time. So stores
index an instant that is a little before, the same for many saves.
"""

from __future__ import annotations

from typing import Final

__all__ = ("due_at", "grain")

_SHARE_BITS: Final = 5
_MOST_BITS: Final = 22


def grain(time_left: int) -> int:
    """Return how coarse what is indexed may be, in milliseconds: a power of two.

    It is so fine that a purge looks in vain at few sessions: less than a sixteenth of the time that is left, and
    70 minutes at most.

    Args:
        time_left: for how long the session still lives, in milliseconds.
    """
    bits = max(time_left, 0).bit_length() - _SHARE_BITS
    return 1 << min(max(bits, 0), _MOST_BITS)


def due_at(expires_at: int | None, now: int) -> int | None:
    """Return from when on a purge looks at a session: from its expiry, or from less than a `grain` before.

    Args:
        expires_at: when it expires, in Unix milliseconds; None for never.
        now: the instant of the save, in Unix milliseconds.
    """
    return None if expires_at is None else expires_at - expires_at % grain(expires_at - now)
