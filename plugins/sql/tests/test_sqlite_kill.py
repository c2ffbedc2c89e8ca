"""A writer that is killed, again and again, at any moment."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

KILLS = 200
EARLY_KILLS = 20
"""So many writers are killed while they open the store; all others after their first save."""

LONGEST_LIFE = 0.05


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="makes its writers with fork")
def test_every_acknowledged_save_survives_a_kill(file: Path, url: str) -> None:
    """After each of many kills, every acknowledged save is there or was followed by another, and all are whole."""
    dice = random.Random(20)
    acknowledged: dict[str, int] = {}
    saves = 0
    script = Path(__file__).with_name("kill_writer.py")
    with subprocess.Popen([sys.executable, script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as maker:
        try:
            for number in range(KILLS):
                reports = run_and_kill(maker, dice.uniform(0, LONGEST_LIFE), is_early=number < EARLY_KILLS)
                saves += len(reports)
                acknowledged.update(reports)
                acknowledged = check(file, acknowledged)
        finally:
            maker.kill()
    assert saves >= KILLS - EARLY_KILLS
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def run_and_kill(maker: subprocess.Popen[bytes], life: float, *, is_early: bool) -> list[tuple[str, int]]:
    """Let a writer live for a while; return what it said was saved, in order."""
    assert maker.stdin is not None
    assert maker.stdout is not None
    maker.stdin.write(b"go\n")
    maker.stdin.flush()
    word, process = maker.stdout.readline().split()
    assert word == b"writer"
    lines = [] if is_early else [maker.stdout.readline()]
    time.sleep(life)
    os.kill(int(process), signal.SIGKILL)
    lines.extend(iter(maker.stdout.readline, b"ended\n"))
    return [(session_id, int(number)) for session_id, number in (line.decode().split() for line in lines)]


def check(file: Path, acknowledged: dict[str, int]) -> dict[str, int]:
    """Compare with what is in the file, read with nothing of Palaver in between; return what is there."""
    if not acknowledged:
        return {}  # there may be no table yet
    with closing(sqlite3.connect(file)) as connection:
        rows = dict(connection.execute("SELECT session_id, payload FROM palaver_sessions"))
    stored = {session_id: whole_number(payload) for session_id, payload in rows.items()}
    for session_id, number in acknowledged.items():
        # The save during which the writer was killed may be there: nobody said that it is not.
        assert stored[session_id] in (number, number + 1)
    return stored


def whole_number(payload: bytes) -> int:
    """Return the number that a payload holds, which must not be torn."""
    digest, _, body = payload.partition(b" ")
    assert hashlib.sha256(body).hexdigest().encode() == digest
    return int(body.split()[0])
