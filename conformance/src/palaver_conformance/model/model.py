"""The oracle: what a store must answer, in plain Python that shares nothing with any store.

Time is told to it with every question. An answer is a set of possibilities, because a coarse store may keep a record
a little longer than it lives, and because a record that has expired may or may not be there when the clock goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palaver.contract.record import Record

__all__ = ("Model",)


@dataclass
class _Kept:
    record: Record
    has_lapsed: bool = False
    """Whether the clock ever showed an instant at which it was gone."""


@dataclass
class Model:
    """What is in one namespace of one location.

    Args:
        grace: for how many milliseconds at most a record may outlive its expiry.
    """

    grace: int = 0
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def see(self, now: int) -> None:
        """Take note of what the clock shows."""
        for kept in self._kept.values():
            kept.has_lapsed = kept.has_lapsed or not _lives(kept.record, now)

    def is_certain(self, session_id: str, now: int) -> bool:
        """Tell whether there is only one possible answer about a session."""
        kept = self._kept.get(session_id)
        if kept is None or not kept.has_lapsed:
            return True
        expires_at = kept.record.expires_at
        return expires_at is not None and expires_at + self.grace <= now

    def live(self, session_id: str, now: int) -> Record | None:
        """Return the record of a session, if it is certain."""
        kept = self._kept.get(session_id)
        return kept.record if kept is not None and _lives(kept.record, now) else None

    def all_live(self, now: int) -> dict[str, Record]:
        """Return the sessions that certainly live."""
        return {
            session_id: kept.record
            for session_id, kept in self._kept.items()
            if _lives(kept.record, now) and not kept.has_lapsed
        }

    def doubtful(self, now: int) -> set[str]:
        """Return the sessions that may or may not be there."""
        return {session_id for session_id in self._kept if not self.is_certain(session_id, now)}

    def dead(self, now: int) -> set[str]:
        """Return the sessions whose record has expired but was never removed."""
        return {
            session_id
            for session_id, kept in self._kept.items()
            if not _lives(kept.record, now) and self.is_certain(session_id, now)
        }

    def is_known(self, session_id: str) -> bool:
        """Tell whether anything was kept for a session, be it expired."""
        return session_id in self._kept

    def put(self, session_id: str, record: Record, now: int) -> None:
        """Replace whatever is there."""
        self._kept[session_id] = _Kept(record, has_lapsed=not _lives(record, now))

    def drop(self, session_id: str) -> None:
        """Remove a session."""
        self._kept.pop(session_id, None)

    def drop_all(self) -> None:
        """Remove every session."""
        self._kept.clear()


def _lives(record: Record, now: int) -> bool:
    return record.expires_at is None or now < record.expires_at
