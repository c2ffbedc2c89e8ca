"""The watch over the stores of a law: what is done to them, whether it goes on, and whether what comes is right."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from palaver_conformance.ground.steps import Steps, describe
from palaver_conformance.ground.verdicts import LawBroken

if TYPE_CHECKING:
    from palaver.contract.record import Record

__all__ = ("Watch",)


class Watch:
    """What is noted while a law is tried, and the comparisons that find it broken.

    Args:
        call_seconds: how long one call of a store may take before it is said to hang.
        grace: for how many milliseconds at most a record may outlive its expiry.
    """

    def __init__(self, *, call_seconds: float, grace: int) -> None:
        self.call_seconds = call_seconds
        self.grace = grace
        self.steps = Steps()
        self.events: Counter[str] = Counter()
        self.has_hung = False
        self.last_ids: tuple[str, ...] = ()
        """What the last call was about."""
        self.last_beat = time.monotonic()

    def beat(self) -> None:
        """Show that the law goes on."""
        self.last_beat = time.monotonic()

    def same_record(self, got: Record | None, expected: Record | None, session_id: str) -> None:
        """See that what came is this record, type for type; a coarse store may round its expiry up."""
        if got is expected or self.agrees(got, expected):
            return
        ids = (session_id, *self.steps.owners(got), *self.steps.owners(expected))
        raise LawBroken(expected=self._what(expected), got=self._what(got, expected), ids=ids)

    def agrees(self, got: Record | None, expected: Record | None) -> bool:
        """Tell whether two records are the same, as far as the store's granularity goes."""
        if got is None or expected is None:
            return got is expected
        if (got.payload, got.version) != (expected.payload, expected.version):
            return False
        if got.expires_at is None or expected.expires_at is None:
            return got.expires_at is expected.expires_at
        return 0 <= got.expires_at - expected.expires_at <= self.grace

    def equal(self, got: Any, expected: Any, what: str, *ids: str) -> None:
        """See that two values are equal and of one type."""
        if got != expected or type(got) is not type(expected):
            raise LawBroken(expected=f"{what} {describe(expected)}", got=describe(got), ids=ids)

    def check(self, holds: bool, *, expected: str, got: Any, ids: tuple[str, ...] = ()) -> None:
        """See that something holds."""
        if not holds:
            raise LawBroken(expected=expected, got=got if isinstance(got, str) else describe(got), ids=ids)

    def _what(self, record: Record | None, other: Record | None = None) -> str:
        if record is None:
            return "None (no live record)"
        owners = self.steps.owners(record)
        is_another = other is None or owners != self.steps.owners(other)
        whose = f", which was written to {', '.join(map(describe, owners))}" if owners and is_another else ""
        return describe(record) + whose + _first_difference(record, other)


def _first_difference(record: Record, other: Record | None) -> str:
    if other is None or record.payload == other.payload:
        return ""
    pairs = zip(record.payload, other.payload, strict=False)
    shorter = min(len(record.payload), len(other.payload))
    place = next((index for index, (left, right) in enumerate(pairs) if left != right), shorter)
    return f" (the payloads differ from byte {place} on)"
