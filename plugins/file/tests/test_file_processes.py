"""Several processes on one folder."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from palaver import Record, StoreUnavailableError, new_version
from palaver_file import FileSessionStore
from palaver_file._names import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = Record(b"{}", "v1", None)

HOLDER = """
import os, sys
from filelock import lock_descriptor
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
assert lock_descriptor(descriptor, blocking=False)
print("held", flush=True)
sys.stdin.read()
"""

RIVAL = """
import asyncio, json, sys
from palaver import ABSENT, Record, new_version
from palaver_file import FileSessionStore

async def run(path, rounds):
    won = []
    async with FileSessionStore(path) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(rounds):
            record = Record(b"x", new_version(), None)
            if await store.swap(f"id {number}", record, ABSENT):
                won.append((number, record.version))
        counted = 0
        while counted < rounds:
            former = await store.read("counter")
            count = 0 if former is None else int(former.payload)
            expected = ABSENT if former is None else former.version
            counted += await store.swap("counter", Record(b"%d" % (count + 1), new_version(), None), expected)
    print(json.dumps(won), flush=True)

asyncio.run(run(sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of the shard of session `a`."""
    asyncio.run(_write_one(folder))
    lock = folder / "_" / address_of("a").shard / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


async def _write_one(folder: Path) -> None:
    async with FileSessionStore(folder) as store:
        await store.write("a", RECORD)


async def test_lock_is_held(folder: Path, holder: subprocess.Popen[str]) -> None:
    """A change that waits too long for another process is an error that names the lock; reading does not wait."""
    async with FileSessionStore(folder, lock_timeout=0.1) as store:
        for call in (store.write("a", RECORD), store.destroy("a"), store.touch("a", None), store.clear()):
            with pytest.raises(StoreUnavailableError, match=r"another writer has kept this lock for 0\.1 s.*lock"):
                await call
        assert await store.read("a") == RECORD


async def test_many_wait_for_a_lock(folder: Path, holder: subprocess.Popen[str]) -> None:
    """Calls that wait for the same lock end together: none waits longer than its time."""
    async with FileSessionStore(folder, lock_timeout=0.2) as store:
        calls = [store.write("a", RECORD) for _ in range(8)]
        async with asyncio.timeout(5):
            errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in errors] == [StoreUnavailableError] * 8


async def test_lock_is_released(folder: Path, holder: subprocess.Popen[str]) -> None:
    """A change that waits for another process goes on when that is done."""
    newer = Record(b"newer", "v2", None)
    async with FileSessionStore(folder) as store:
        writing = asyncio.create_task(store.write("a", newer))
        await asyncio.sleep(0.05)
        assert not writing.done()
        assert holder.stdin is not None
        await asyncio.to_thread(holder.stdin.close)
        await writing
        assert await store.read("a") == newer


async def test_holder_is_killed(folder: Path, holder: subprocess.Popen[str]) -> None:
    """The lock of a process that was killed blocks nobody, and stops neither init nor purge."""
    holder.kill()
    await asyncio.to_thread(holder.wait)
    async with FileSessionStore(folder, lock_timeout=1) as store:
        await store.write("a", RECORD)
        assert await store.purge() == 0


def test_rivals(folder: Path) -> None:
    """Of swaps that several processes make at once one wins, and no step of a shared counter is lost."""
    rivals, rounds = 3, 40
    command = [sys.executable, "-c", RIVAL, str(folder), str(rounds)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(rivals)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        won = [winner for process in processes for winner in json.loads(process.communicate(timeout=60)[0])]
    finally:
        for process in processes:
            process.kill()
            process.communicate()

    assert sorted(number for number, _ in won) == list(range(rounds))
    found = asyncio.run(_read(folder, [*(f"id {number}" for number, _ in won), "counter"]))
    assert [record.version for record in found[:-1]] == [version for _, version in won]
    assert found[-1].payload == b"%d" % (rivals * rounds)


async def _read(folder: Path, session_ids: list[str]) -> list[Record]:
    async with FileSessionStore(folder) as store:
        return [record for record in await store.read_many(session_ids) if record is not None]


async def test_many_open_at_once(folder: Path) -> None:
    """Many stores can be opened on one new folder at the same moment."""
    stores = [FileSessionStore(folder) for _ in range(8)]
    await asyncio.gather(*(store.init() for store in stores))
    await asyncio.gather(*(store.write("a", Record(b"", new_version(), None)) for store in stores))
    await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.skipif(os.name != "nt", reason="only Windows locks files that are open")
async def test_file_that_others_have_open(folder: Path) -> None:
    """A write waits for a reader of the file that does not let go at once."""

    async with FileSessionStore(folder) as store:
        await store.write("a", RECORD)
        (path,) = await asyncio.to_thread(lambda: list(folder.rglob("*.session")))
        with await asyncio.to_thread(path.open, "rb"):
            writing = asyncio.create_task(store.write("a", RECORD))
            await asyncio.sleep(0.1)
            assert not writing.done()
        await writing
