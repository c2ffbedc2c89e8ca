"""Several processes that use one session."""

from __future__ import annotations

import asyncio
import sys

import pytest

from palaver import Record
from palaver_redis import RedisSessionStore

pytestmark = pytest.mark.server

PROCESSES, TIMES = 8, 25

COUNT = """
import asyncio, sys
from palaver import Record, new_version
from palaver_redis import RedisSessionStore

async def main(url, namespace, times):
    async with RedisSessionStore(url, namespace=namespace) as store:
        for _ in range(int(times)):
            while True:
                found = await store.read("n")
                following = Record(str(int(found.payload) + 1).encode(), new_version(), None)
                if await store.swap("n", following, found.version):
                    break

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_count(any_url: str, namespace: str) -> None:
    """Processes that count together in one session lose no count."""
    async with RedisSessionStore(any_url, namespace=namespace) as store:
        await store.write("n", Record(b"0", "v", None))
        command = [sys.executable, "-c", COUNT, any_url, namespace, str(TIMES)]
        processes = [await asyncio.create_subprocess_exec(*command) for _ in range(PROCESSES)]
        assert [await asyncio.wait_for(process.wait(), 60) for process in processes] == [0] * PROCESSES
        found = await store.read("n")
        assert found is not None
        assert found.payload == b"%d" % (PROCESSES * TIMES)
