"""A session as it is stored, to look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from palaver.state.codec import decode_session, decode_state

if TYPE_CHECKING:
    from palaver.contract.record import Record

__all__ = ("Snapshot",)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A session at one moment; changing its state changes nothing that is stored."""

    id: str
    state: dict[str, Any]

    created: datetime
    """When the session began, in UTC."""

    last_activity: datetime
    """When a turn last changed it, in UTC."""

    expires_at: datetime | None
    """When it expires unless a turn renews it, in UTC; None is never."""

    @classmethod
    def of(cls, session_id: str, record: Record) -> Self:
        """Decode a record.

        Raises:
            CorruptSessionError: it cannot be understood.
        """
        stored = decode_session(record.payload, session_id)
        return cls(
            id=session_id,
            state=decode_state(stored.state, session_id),
            created=_instant(stored.created),
            last_activity=_instant(stored.last_activity),
            expires_at=None if record.expires_at is None else _instant(record.expires_at),
        )


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
