"""Making, opening, closing and cancelling the file store."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from palaver import ABSENT, InvalidOptionError, Record, StoreClosedError, new_version
from palaver_file import FileSessionStore

if TYPE_CHECKING:
    from pathlib import Path


def record(payload: bytes = b"{}") -> Record:
    return Record(payload, new_version(), None)


async def test_lifecycle(folder: Path) -> None:
    """A store works from `init` to `close`, which are idempotent, and can be opened again."""
    store = FileSessionStore(folder)
    with pytest.raises(StoreClosedError, match="not open yet"):
        await store.read("a")
    await store.close()
    await asyncio.gather(store.init(), store.init())
    await store.write("a", record(b"1"))
    await asyncio.gather(store.close(), store.close())
    calls = [
        store.read("a"),
        store.write("a", record()),
        store.destroy("a"),
        store.swap("a", record(), ABSENT),
        store.touch("a", None),
        store.read_many([]),
        store.write_many([]),
        store.swap_many([]),
        anext(store.scan()),
        store.purge(),
        store.clear(),
    ]
    for call in calls:
        with pytest.raises(StoreClosedError, match="is closed"):
            await call
    async with store:
        found = await store.read("a")
        assert found is not None
        assert found.payload == b"1"


async def test_no_thread_is_left(folder: Path) -> None:
    """After `close`, and after an `init` that failed, no thread is left."""
    store = FileSessionStore(folder)
    async with store:
        await store.write_many([(f"{number}", record()) for number in range(64)])
        assert _own_threads()
    assert not _own_threads()


def _own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("palaver-file")]


async def test_close_waits_for_work(folder: Path) -> None:
    """A close lets the calls that have begun come to their end."""
    store = await FileSessionStore(folder).init()
    written = record(b"last")
    writing = asyncio.create_task(store.write("a", written))
    await asyncio.sleep(0)
    await store.close()
    await writing
    async with store:
        assert await store.read("a") == written


async def test_never_closed(folder: Path) -> None:
    """A store that is dropped without `close` says so."""
    with pytest.warns(ResourceWarning, match=r"<FileSessionStore '.*sessions'> was never closed"):
        await _open_and_forget(folder)


async def _open_and_forget(folder: Path) -> None:
    reference = await _open(folder)
    # A thread that has just done its work lets go of it a moment later.
    while reference() is not None:
        gc.collect()
        await asyncio.sleep(0)


async def _open(folder: Path) -> weakref.ref[FileSessionStore]:
    store = FileSessionStore(folder)
    await store.init()
    return weakref.ref(store)


async def test_cancelled_write(folder: Path) -> None:
    """A write that is cancelled has ended with its call: nothing newer is ever undone by it."""
    async with FileSessionStore(folder) as store:
        for number in range(20):
            writing = asyncio.create_task(store.write("a", record(b"cancelled")))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            newer = record(b"%d" % number)
            await store.write("a", newer)
            assert await store.read("a") == newer


async def test_cancelled_close(folder: Path) -> None:
    """A close that is cancelled closes all the same."""
    store = await FileSessionStore(folder).init()
    await store.write("a", record())
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not _own_threads()
    with pytest.raises(StoreClosedError):
        await store.read("a")


@pytest.mark.parametrize("path", ["", "a\0b", b"bytes", 3, None])
def test_useless_path(path: object) -> None:
    """What cannot be the path of a folder is refused when the store is made."""
    with pytest.raises(InvalidOptionError, match="'path'"):
        FileSessionStore(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "10", None])
def test_useless_lock_timeout(seconds: object) -> None:
    """What is not a positive number of seconds is refused when the store is made."""
    with pytest.raises(InvalidOptionError, match="lock_timeout"):
        FileSessionStore(lock_timeout=seconds)  # type: ignore[arg-type]


def test_repr(folder: Path) -> None:
    """The repr names the folder as it was given."""
    assert repr(FileSessionStore()) == "<FileSessionStore '.sessions'>"
    assert repr(FileSessionStore(folder)) == f"<FileSessionStore {str(folder)!r}>"


@pytest.fixture
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, for as long as the test does not change it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_working_directory_changes(work_folder: Path) -> None:
    """A relative folder stays where it was when the store was opened."""
    async with FileSessionStore("here") as store:
        await asyncio.to_thread(os.chdir, work_folder.parent)
        await store.write("a", record(b"1"))
        assert await store.read("a") is not None
    async with store:
        assert await store.read("a") is not None
    assert len(await asyncio.to_thread(lambda: list((work_folder / "here").rglob("*.session")))) == 1
