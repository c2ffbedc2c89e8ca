"""What a store keeps for one session, and the rules of versions that every store shares."""

from __future__ import annotations

import itertools
import os
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ("ABSENT", "Absent", "Record", "SwapDecision", "decide_swap", "new_version")


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
"""What `swap` expects when there must be no live record."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a store keeps for one session."""

    payload: bytes
    """The encoded session, opaque to stores; the engine writes JSON text."""

    version: str
    """An opaque token, made new for every record and never used again."""

    expires_at: int | None
    """The instant at which it is gone, in Unix milliseconds, UTC; None is never."""

    def is_expired(self, now: int) -> bool:
        """Tell whether the record is gone at the instant `now`, in Unix milliseconds (law EXPIRY-01)."""
        return self.expires_at is not None and self.expires_at <= now

    def __repr__(self) -> str:
        # The payload is somebody's conversation: it has no place in a log.
        return f"<Record {self.version} of {len(self.payload)} bytes, expires_at={self.expires_at}>"


class _Versions:
    """Where versions come from: what this process has drawn at random, and a count."""

    def __init__(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Begin anew: 96 random bits are never drawn twice."""
        self._prefix = secrets.token_hex(12)
        self._count = itertools.count()

    def next(self) -> str:
        return f"{self._prefix}{next(self._count):012x}"


_versions: Final = _Versions()
if hasattr(os, "register_at_fork"):
    # A forked process would otherwise count on from where its parent is.
    os.register_at_fork(after_in_child=_versions.draw)


def new_version() -> str:
    """Make a version that was never used before, in this process or in any other."""
    return _versions.next()


class SwapDecision(Enum):
    """What a store has to do for a swap."""

    STORE = "store"
    """Store the record and answer True."""

    ALREADY_STORED = "already stored"
    """Answer True: an earlier swap of this very record did it, and only its answer was lost."""

    REFUSE = "refuse"
    """Answer False and change nothing."""


def decide_swap(live: Record | None, record: Record, expected: str | Absent) -> SwapDecision:
    """Decide a compare-and-swap, for stores that look before they write.

    Args:
        live: what is stored now, None when there is nothing or it has expired. It must not change before the
            decision is carried out.
        record: what shall be stored.
        expected: the version that must be live, or `ABSENT`.

    Returns:
        What to do.
    """
    if live is not None and live.version == record.version:
        return SwapDecision.ALREADY_STORED
    version = ABSENT if live is None else live.version
    return SwapDecision.STORE if version == expected else SwapDecision.REFUSE
