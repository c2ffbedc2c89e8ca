"""When a purge looks at a session: never too late, seldom in vain, and mostly the same from one save to the next."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from palaver.toolkit.due import due_at

MINUTE = 60_000
YEAR = 365 * 24 * 60 * MINUTE
LOWEST, HIGHEST = -(2**63), 2**63 - 1


@given(expires_at=st.integers(LOWEST, HIGHEST), now=st.integers(0, 2**42))
@example(expires_at=LOWEST, now=0)
@example(expires_at=HIGHEST, now=0)
def test_a_purge_looks_neither_too_late_nor_much_too_early(expires_at: int, now: int) -> None:
    """At the expiry, or before it by less than a sixteenth of the time that is left, and than 70 minutes."""
    early = expires_at - due_at_of(expires_at, now)
    assert 0 <= early <= max(0, expires_at - now) / 16
    assert early < 70 * MINUTE
    assert expires_at - early >= LOWEST


def test_what_never_expires_is_never_due() -> None:
    """Nor looked at."""
    assert due_at(None, 0) is None


@pytest.mark.parametrize(("ttl", "pause"), [(YEAR, 30 * MINUTE), (30 * MINUTE, MINUTE // 2)])
def test_a_session_in_use_stays_due_at_the_same_time(ttl: int, pause: int) -> None:
    """A save some time later moves the expiry, and more often than not nothing else."""
    begin = 1_700_000_000_000
    kept = [due_at(begin + n * pause + ttl, begin + n * pause) for n in range(100)]
    assert len(set(kept)) < 60


def due_at_of(expires_at: int, now: int) -> int:
    due = due_at(expires_at, now)
    assert due is not None
    return due
