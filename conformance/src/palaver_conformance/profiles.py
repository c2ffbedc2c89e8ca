"""How much a run does: three profiles, each with its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ("PROFILES", "Profile")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How much is tried."""

    name: str
    seconds: float
    """How long a run may take with a store in the same process; loops over cases end when their share is used up."""
    call_seconds: float
    """How long one call of a store may take before it is said to hang."""
    generated: int
    """How many generated cases a law tries."""
    crowd: int
    """How many sessions a crowd is."""
    largest: int
    """The largest payload, in bytes."""
    machine_runs: int
    machine_steps: int
    walk_steps: int
    histories: int
    """How many concurrent histories each law of concurrency records."""
    cycles: int
    """How often something is opened and closed, or killed."""
    minimise_seconds: float
    """How long to look for a shorter sequence that shows a failure."""


_MIB: Final = 1024 * 1024

PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            seconds=8.0,
            call_seconds=5.0,
            generated=12,
            crowd=150,
            largest=_MIB + 1,
            machine_runs=100,
            machine_steps=20,
            walk_steps=400,
            histories=4,
            cycles=3,
            minimise_seconds=1.0,
        ),
        Profile(
            name="ci",
            seconds=70.0,
            call_seconds=10.0,
            generated=60,
            crowd=1_200,
            largest=16 * _MIB + 1,
            machine_runs=300,
            machine_steps=30,
            walk_steps=4_000,
            histories=20,
            cycles=5,
            minimise_seconds=5.0,
        ),
        Profile(
            name="full",
            seconds=500.0,
            call_seconds=30.0,
            generated=400,
            crowd=2_000,
            largest=16 * _MIB + 1,
            machine_runs=1_500,
            machine_steps=50,
            walk_steps=40_000,
            histories=150,
            cycles=20,
            minimise_seconds=30.0,
        ),
    )
}
