"""A medium that fails: every fault is an error that says what to do, and none loses or tells anything."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from palaver.contract.record import ABSENT, Record, new_version
from palaver.errors import StoreUnavailableError
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    Query: TypeAlias = Callable[[str], Awaitable[list[Any]]]

SECRET = "the secret of a conversation"


def make(payload: bytes = b"{}", expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


@asynccontextmanager
async def locked(file: Path) -> AsyncIterator[None]:
    """Somebody else holds the write lock inside."""
    other = await asyncio.to_thread(sqlite3.connect, file, isolation_level=None, check_same_thread=False)
    await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
    yield
    await asyncio.to_thread(other.close)


async def test_file_that_is_no_database(file: Path, url: str) -> None:
    """It is refused when the store is opened, and left as it is."""
    await asyncio.to_thread(file.write_bytes, b"Dear diary, " * 1000)
    with pytest.raises(StoreUnavailableError, match=r"not an SQLite database; move it away") as caught:
        await SQLSessionStore(url).init()
    assert not caught.value.retryable
    assert await asyncio.to_thread(file.read_bytes) == b"Dear diary, " * 1000


async def test_folder_that_is_missing(tmp_path: Path) -> None:
    """The error names the file, and says that its folder must be there."""
    with pytest.raises(StoreUnavailableError, match=r"missing.*its folder must be there"):
        await SQLSessionStore(f"sqlite:///{tmp_path}/missing/bot.db").init()
    assert not await asyncio.to_thread((tmp_path / "missing").exists)


async def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    """A folder cannot be opened as a database."""
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        await SQLSessionStore(f"sqlite:///{tmp_path}").init()


async def test_read_only_database_is_read_and_not_written(url: str) -> None:
    """With mode=ro, sessions can be read; a write is an error that says why, and changes nothing."""
    record = make()
    async with SQLSessionStore(url) as store:
        await store.write("a", record)
        async with SQLSessionStore(f"{url}?mode=ro") as reader:
            assert await reader.read("a") == record
            calls = (
                reader.write("a", make()),
                reader.swap("a", make(), record.version),
                reader.touch("a", 5),
                reader.destroy("a"),
                reader.clear(),
            )
            for call in calls:
                with pytest.raises(StoreUnavailableError, match="it is read-only"):
                    await call
            assert await reader.read("a") == record


async def test_read_only_database_that_is_not_there(file: Path, url: str) -> None:
    """With mode=ro or mode=rw, no file is made."""
    for mode in ("ro", "rw"):
        with pytest.raises(StoreUnavailableError, match="cannot be opened"):
            await SQLSessionStore(f"{url}?mode={mode}").init()
    assert not await asyncio.to_thread(file.exists)


async def test_database_that_stays_locked(file: Path, url: str) -> None:
    """When somebody else keeps the write lock, the wait ends with an error, and the store works on."""
    async with SQLSessionStore(f"{url}?timeout=0.05") as store:
        async with locked(file):
            with pytest.raises(StoreUnavailableError, match="kept it locked"):
                await store.write("a", make(SECRET.encode()))
        assert await store.read("a") is None
        await store.write("a", make())


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        if os.environ.get("CI"):
            pytest.fail("a tiny file system cannot be mounted; this test needs Linux and root")
        pytest.skip("needs Linux and root, to mount a tiny file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_full_disk_leaves_the_old_record(tiny_disk: Path) -> None:
    """When the disk is full, a save is an error, the old record stays, and the store works on once there is room."""
    old = make(b"old")
    async with SQLSessionStore(f"sqlite:///{tiny_disk}/bot.db") as store:
        await store.write("a", old)
        with pytest.raises(StoreUnavailableError, match="disk") as caught:
            await store.write("a", make(SECRET.encode() * 100_000))
        assert SECRET not in str(caught.value)
        assert SECRET not in str(caught.value.__cause__)
        assert await store.read("a") == old
        with pytest.raises(StoreUnavailableError):
            await store.swap("a", make(bytes(2**21)), old.version)
        assert await store.read("a") == old
        small = make(b"small")
        assert await store.swap("a", small, old.version)
        assert await store.read("a") == small
        database = await store._lifecycle.enter()
        check = await database.read(lambda connection: connection.exec_driver_sql("PRAGMA integrity_check").scalar())
        assert check == "ok"


async def test_log_that_fills_the_disk(tiny_disk: Path) -> None:
    """When the write-ahead log has taken the rest of the disk, every verb that writes empties it, and succeeds."""
    url = f"sqlite:///{tiny_disk}/bot.db"
    async with SQLSessionStore(url) as store, SQLSessionStore(url) as other:
        record = make()
        await store.write_many([("a", record), ("b", record)])
        for number in range(1000):
            new = make(bytes(100), None)
            assert await store.swap("a", new, record.version)
            assert await other.touch("b", 2**60 + number)
            record = new
        assert await other.read("a") == record


async def test_damaged_page_of_the_file(file: Path, url: str) -> None:
    """Sessions on a page that cannot be read are errors that name them, alone or in a batch; all others are served."""
    records = {f"session {number:02}": make(bytes(2000)) for number in range(40)}
    async with SQLSessionStore(url) as store:
        for item in records.items():
            await store.write(*item)
    assert await asyncio.to_thread(damage_page_with, file, b"session 20") > 0
    async with SQLSessionStore(url) as store:
        answers = await asyncio.gather(*(store.read(session_id) for session_id in records), return_exceptions=True)
        lost = {error.session_id for error in answers if isinstance(error, StoreUnavailableError)}
        assert "session 20" in lost
        assert len(lost) < 4
        for session_id, answer in zip(records, answers, strict=True):
            assert session_id in lost or answer == records[session_id]
        swaps = [(session_id, make(), record.version) for session_id, record in records.items()]
        for call in (store.read_many(list(records)), store.swap_many(swaps)):
            with pytest.raises(StoreUnavailableError, match="the file is damaged") as caught:
                await call
            assert caught.value.session_id in lost
        assert all(await store.swap_many([swap for swap in swaps if swap[0] not in lost]))


def damage_page_with(file: Path, text: bytes) -> int:
    """Make the page with a row unreadable; return how many pages that are."""
    content = bytearray(file.read_bytes())
    size = 4096
    leaves = [
        start
        for start in range(size, len(content), size)
        if content[start] == 0x0D and text in content[start : start + size]  # the kind of a page with rows
    ]
    for start in leaves:
        content[start] = 0xFF
    file.write_bytes(content)
    return len(leaves)


async def test_errors_do_not_quote_what_is_stored(query: Query, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever fails, no payload and no id of others is in the error, its causes or the log."""
    caplog.set_level("DEBUG")
    async with SQLSessionStore(url) as store:
        await store.write("a", make(SECRET.encode()))
        await query("DROP TABLE palaver_sessions")
        for call in (store.read("a"), store.write("a", make(SECRET.encode())), store.swap("a", make(), ABSENT)):
            with pytest.raises(StoreUnavailableError, match="no such table") as caught:
                await call
            error: BaseException | None = caught.value
            while error is not None:
                assert SECRET not in f"{error} {error!r}"
                error = error.__cause__ or error.__context__
    assert SECRET not in caplog.text
