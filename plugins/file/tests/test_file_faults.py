"""A file system that refuses: an error that says so, and the former record is still there."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from palaver import ABSENT, Record, StoreUnavailableError, new_version
from palaver_file import FileSessionStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECORD = Record(b"former", "v1", None)


async def test_path_is_a_file(tmp_path: Path) -> None:
    """A file where the folder should be is told from all other reasons when the store is opened."""
    path = tmp_path / ".sessions"
    await asyncio.to_thread(path.write_text, "mine")
    for place in (path, path / "below"):
        with pytest.raises(
            StoreUnavailableError, match=r"is a file, and a folder is needed; move it away .*\.sessions"
        ) as caught:
            await FileSessionStore(place).init()
        assert not caught.value.retryable
    assert await asyncio.to_thread(path.read_text) == "mine"


async def test_namespace_is_a_file(folder: Path) -> None:
    """A file where the folder of the namespace should be is an error when the store is opened."""
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / "_").write_text, "mine")
    with pytest.raises(StoreUnavailableError, match="is a file"):
        await FileSessionStore(folder).init()


async def test_opens_after_the_fault(tmp_path: Path) -> None:
    """A store that could not be opened can be, once the reason is gone."""
    path = tmp_path / ".sessions"
    await asyncio.to_thread(path.write_text, "mine")
    store = FileSessionStore(path)
    with pytest.raises(StoreUnavailableError):
        await store.init()
    await asyncio.to_thread(path.unlink)
    async with store:
        await store.write("a", RECORD)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
async def test_permissions(tmp_path: Path) -> None:
    """Only the user can read the files and folders that the store makes."""
    async with FileSessionStore(tmp_path / "a" / "b", namespace="n") as store:
        await store.write("a", RECORD)
        await store.write("a", RECORD)

    def modes(is_folder: bool) -> set[int]:
        return {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*") if path.is_dir() == is_folder}

    assert await asyncio.to_thread(modes, True) == {0o700}
    assert await asyncio.to_thread(modes, False) == {0o600}
    assert stat.S_IMODE((await asyncio.to_thread((tmp_path / "a").stat)).st_mode) == 0o700


async def test_folder_is_gone(folder: Path) -> None:
    """A folder that vanishes while the store is open is an error, not a store without sessions."""
    async with FileSessionStore(folder) as store:
        await store.write("a", RECORD)
        await asyncio.to_thread(folder.rename, folder.with_name("elsewhere"))
        for call in (store.read("a"), store.write("a", RECORD), store.destroy("a"), store.purge(), anext(store.scan())):
            with pytest.raises(StoreUnavailableError, match="gone since the store was opened"):
                await call
        assert not await asyncio.to_thread(folder.exists)
        await asyncio.to_thread(folder.with_name("elsewhere").rename, folder)
        assert await store.read("a") == RECORD


async def test_part_of_the_folder_is_gone(folder: Path) -> None:
    """Folders below that of the namespace may be removed by hand: their sessions are gone, and new ones can be made."""
    async with FileSessionStore(folder) as store:
        await store.write("a", RECORD)
        (path,) = await asyncio.to_thread(lambda: list(folder.rglob("*.session")))
        await asyncio.to_thread(shutil.rmtree, path.parent)
        assert await store.read("a") is None
        await store.write("a", RECORD)
        assert await store.read("a") == RECORD
        assert stat.S_IMODE((await asyncio.to_thread(path.parent.stat)).st_mode) & 0o077 == 0 or os.name == "nt"


@pytest.fixture
def read_only(mounted: Callable[[str], Path]) -> Callable[[], Path]:
    """A function that makes what is mounted read-only."""

    def remount() -> Path:
        place = mounted("size=1m")
        asyncio.run(_fill(place))
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True, timeout=30)
        return place

    return remount


async def _fill(place: Path) -> None:
    async with FileSessionStore(place) as store:
        await store.write("a", RECORD)


def test_read_only_folder(read_only: Callable[[], Path]) -> None:
    """A folder that cannot be written to is an error when the store is opened, and its sessions stay."""
    place = read_only()

    async def open_it() -> None:
        with pytest.raises(StoreUnavailableError, match="Read-only file system"):
            await FileSessionStore(place).init()

    asyncio.run(open_it())
    assert len(list(place.rglob("*.session"))) == 1


def test_disk_becomes_read_only(mounted: Callable[[str], Path]) -> None:
    """A disk that becomes read-only while the store is open refuses changes and can still be read."""
    place = mounted("size=1m")

    async def use() -> None:
        async with FileSessionStore(place) as store:
            await store.write("a", RECORD)
            remount = ["mount", "-o", "remount,ro", str(place)]
            await asyncio.to_thread(subprocess.run, remount, check=True, timeout=30)
            for call in (
                store.write("a", RECORD),
                store.destroy("a"),
                store.touch("a", 1),
                store.swap("b", RECORD, ABSENT),
            ):
                with pytest.raises(StoreUnavailableError, match="Read-only file system"):
                    await call
            assert await store.read("a") == RECORD

    asyncio.run(use())


def test_full_disk(mounted: Callable[[str], Path]) -> None:
    """A full disk refuses a record as a whole: the former one stays, and smaller ones still fit."""
    place = mounted("size=256k")
    large = Record(b"x" * 300_000, new_version(), None)

    async def use() -> None:
        async with FileSessionStore(place) as store:
            await store.write("a", RECORD)
            for call in (store.write("a", large), store.swap("a", large, "v1"), store.write("b", large)):
                with pytest.raises(StoreUnavailableError, match="No space left on device"):
                    await call
            assert await store.read("a") == RECORD
            assert await store.read("b") is None
            await store.write("b", RECORD)
            assert await store.read("b") == RECORD

    asyncio.run(use())
    assert list(place.rglob("unfinished*")) == []


LIMITED = """
import asyncio, resource, signal, sys
from palaver import Record, StoreUnavailableError
from palaver_file import FileSessionStore

async def use():
    async with FileSessionStore(sys.argv[1]) as store:
        former = Record(b"former", "v1", None)
        await store.write("a", former)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        for session_id in ("a", "b"):
            try:
                await store.write(session_id, Record(b"x" * 100_000, "v2", None))
            except StoreUnavailableError as error:
                print(type(error.__cause__).__name__)
        print(await store.read("a") == former, await store.read("b"))

asyncio.run(use())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_write_that_stops_half_way(folder: Path) -> None:
    """A write that the system stops half-way leaves the former record, and no rest."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["OSError", "OSError", "True", "None"], "")
    assert list(folder.rglob("unfinished*")) == []


MANY_TURNS = """
import asyncio, resource, sys
from palaver import Sessions
from palaver_file import FileSessionStore

async def main(folder):
    async with Sessions(FileSessionStore(folder)) as sessions:
        async def turn(number):
            async with sessions.turn(f"u:{number}") as session:
                session.set_state(n=1)

        others = [open(folder + "/other", "a") for _ in range(130)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (180, 180))
        await asyncio.gather(*map(turn, range(300)))
        print(len([session_id async for session_id in sessions.store.scan()]))
        for file in others:
            file.close()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit that a process can set")
def test_few_files_may_be_open(folder: Path) -> None:
    """A process near its limit of open files saves fewer sessions at a time, and all of them."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", MANY_TURNS, str(folder)], check=False, capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("300\n", "")
