"""Several processes on one database."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from palaver_sql import SQLSessionStore

INIT = """
import asyncio, sys
from palaver_sql import SQLSessionStore
from palaver.contract.record import Record, new_version

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with SQLSessionStore(sys.argv[1]) as store:
        await store.write(sys.argv[2], Record(b"{}", new_version(), None))

asyncio.run(main())
"""

COUNT = """
import asyncio, sys
from palaver_sql import SQLSessionStore
from palaver.contract.record import ABSENT, Record, new_version

async def count_on(store):
    while True:
        old = await store.read("counter")
        number = int(old.payload) if old else 0
        new = Record(b"%d" % (number + 1), new_version(), None)
        if await store.swap("counter", new, old.version if old else ABSENT):
            return

async def main():
    async with SQLSessionStore(sys.argv[1]) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(150):
            await count_on(store)

asyncio.run(main())
"""


def run_at_once(script: str, url: str, processes: int) -> None:
    """Start processes, let them begin together, and see them all succeed."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        for child in children:
            _begin(child)
        outcomes = [child.communicate(timeout=60)[1] for child in children]
        assert [child.returncode for child in children] == [0] * processes, outcomes
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _begin(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def test_processes_that_open_a_new_database_at_once(url: str) -> None:
    """Eight processes make the database together, all can use it, and none loses what another wrote."""
    run_at_once(INIT, url, 8)

    async def ids() -> list[str]:
        async with SQLSessionStore(url) as store:
            return [session_id async for session_id in store.scan()]

    assert asyncio.run(ids()) == [str(number) for number in range(8)]


def test_processes_that_read_and_write_one_session(url: str) -> None:
    """Nothing is lost by compare-and-swap among processes, and none is told that the database is locked."""
    run_at_once(COUNT, url, 2)

    async def count() -> int:
        async with SQLSessionStore(url) as store:
            record = await store.read("counter")
            assert record is not None
            return int(record.payload)

    assert asyncio.run(count()) == 300
