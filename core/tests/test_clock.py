"""The clock that tests move."""

from __future__ import annotations

from datetime import timedelta

import pytest

from palaver import ManualClock


@pytest.mark.parametrize(
    ("step", "milliseconds"),
    [
        (1, 1000),
        (0.0015, 2),
        (-2.5, -2500),
        (timedelta(days=1), 86_400_000),
        (timedelta(milliseconds=-7), -7),
        (timedelta(microseconds=1500), 2),
    ],
)
def test_the_clock_moves_by_seconds_or_a_timedelta(step: float | timedelta, milliseconds: int) -> None:
    """Forwards and backwards, to the nearest millisecond."""
    clock = ManualClock(1_000_000)

    clock.advance(step)

    assert clock.now() == 1_000_000 + milliseconds
