"""A writer that is killed at any moment: every save that it was told of is there, and nothing is torn.

Processes are forked from one that has imported everything, so that hundreds of them can be killed within seconds.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from palaver import SystemClock
from palaver_file._files import SessionFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS = 200
SESSIONS = 6

NURSERY = """
import asyncio, itertools, os, sys
from palaver import Record, new_version
from palaver_file import FileSessionStore

async def save(store, number, life):
    for count in itertools.count(1):
        payload = b"%d %d " % (life, count) + b"x" * (count * 997 % 9000)
        await store.write(f"id {number}", Record(payload, new_version(), None))
        os.write(1, b"saved %d %d\\n" % (number, count))

async def live(path, sessions, life):
    async with FileSessionStore(path) as store:
        await asyncio.gather(*(save(store, number, life) for number in range(sessions)))

for line in sys.stdin:
    life = int(line)
    child = os.fork()
    if not child:
        asyncio.run(live(sys.argv[1], int(sys.argv[2]), life))
    os.write(1, b"born %d\\n" % child)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


class Nursery:
    """Starts writers one after another, and tells what they were told."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def words(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery has ended"
        return line.decode().split()

    def live_and_die(self, life: int, chance: random.Random) -> dict[int, int]:
        """Let a writer live, kill it at a random moment, and return how often each session was saved."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % life)
        self._process.stdin.flush()
        saved: dict[int, int] = {}
        child, patience = 0, chance.randrange(3 * SESSIONS)
        while (words := self.words())[0] != "dead":
            if words[0] == "born":
                child = int(words[1])
            else:
                saved[int(words[1])] = int(words[2])
                patience -= 1
            if child and patience <= 0:
                time.sleep(chance.uniform(0, 0.004))  # anywhere between two saves, or in the midst of some
                os.kill(child, signal.SIGKILL)
                child = 0
        return saved


@pytest.fixture
def nursery(folder: Path) -> Iterator[Nursery]:
    command = [sys.executable, "-c", NURSERY, str(folder), str(SESSIONS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Nursery(process)
        process.kill()


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork, and starting so many takes too long")
def test_killed_at_any_moment(folder: Path, nursery: Nursery) -> None:
    """After each of many kills a session has the last save that was acknowledged, or the one that was under way."""
    chance = random.Random(7)
    files = SessionFiles(folder, "", SystemClock(), lock_timeout=5)
    files.prepare()
    stored = [(0, 0)] * SESSIONS
    under_way = 0
    for life in range(1, KILLS + 1):
        saved = nursery.live_and_die(life, chance)
        for number in range(SESSIONS):
            acknowledged = (life, saved[number]) if number in saved else stored[number]
            following = (life, saved.get(number, 0) + 1)
            stored[number] = read(files, number)
            assert stored[number] in {acknowledged, following}
            under_way += stored[number] == following
    assert under_way  # or no kill has met a save


def read(files: SessionFiles, number: int) -> tuple[int, int]:
    """Return life and count of what is stored, all of it as it was written."""
    (record,) = files.read([f"id {number}"])
    if record is None:
        return 0, 0
    life, count, filler = record.payload.split(b" ")
    assert filler == b"x" * (int(count) * 997 % 9000)
    return int(life), int(count)
