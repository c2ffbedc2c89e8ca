"""Records, versions, and the decision of a compare-and-swap."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest

from palaver import ABSENT, Record, new_version
from palaver.contract.record import Absent, SwapDecision, decide_swap


def test_a_record_is_frozen() -> None:
    """Nobody can change a record that somebody else holds."""
    record = Record(b"{}", "v1", None)

    with pytest.raises(dataclasses.FrozenInstanceError):
        record.version = "v2"  # type: ignore[misc]


def test_a_record_does_not_show_its_payload() -> None:
    """The repr of a record has no word of the conversation in it."""
    assert repr(Record(b'{"secret":1}', "v1", 5)) == "<Record v1 of 12 bytes, expires_at=5>"


@pytest.mark.parametrize(
    ("expires_at", "now", "expired"),
    [(None, 2**62, False), (100, 99, False), (100, 100, True), (100, 101, True), (0, 0, True)],
)
def test_a_record_expires_at_its_instant(expires_at: int | None, now: int, expired: bool) -> None:
    """It is live until the instant, and gone from the instant on."""
    assert Record(b"", "v", expires_at).is_expired(now) is expired


def test_versions_are_new_each_time() -> None:
    """No two versions are the same."""
    assert len({new_version() for _ in range(10_000)}) == 10_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_versions_are_new_in_a_forked_process_too() -> None:
    """Parent and child do not count on from the same place."""
    script = "import os; from palaver import new_version as new; new(); os.fork(); os.write(1, (new() + ' ').encode())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert len(set(done.stdout.split())) == 2


@pytest.mark.parametrize(
    ("live", "expected", "decision"),
    [
        (None, ABSENT, SwapDecision.STORE),
        (None, "v1", SwapDecision.REFUSE),
        ("v1", "v1", SwapDecision.STORE),
        ("v1", ABSENT, SwapDecision.REFUSE),
        ("v2", "v1", SwapDecision.REFUSE),
        ("new", "v1", SwapDecision.ALREADY_STORED),
        ("new", ABSENT, SwapDecision.ALREADY_STORED),
    ],
)
def test_a_swap_is_decided_by_the_live_version(
    live: str | None, expected: str | Absent, decision: SwapDecision
) -> None:
    """It stores over the expected version, is content with itself, and refuses all else."""
    stored = None if live is None else Record(b"old", live, None)

    assert decide_swap(stored, Record(b"new", "new", None), expected) is decision
