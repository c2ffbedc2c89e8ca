"""Files that were cut off, changed or left behind: never another session, never "no session", never in the way."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import zlib
from typing import TYPE_CHECKING

import pytest

from palaver import ABSENT, CorruptSessionError, ManualClock, Record, Sessions, new_version
from palaver_file import FileSessionStore
from palaver_file._format import decode_file, encode_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from palaver_file._files import SessionFiles

RECORD = Record(b'{"state":{"nickname":"Tim \xf0\x9f\x98\x80"}}\n\0', "0123456789abcdef", 1_700_000_001_000)
CONTENT = encode_file("telegram:42", RECORD)


def store_file(files: SessionFiles, folder: Path, session_id: str = "telegram:42") -> Path:
    """Write a session and return the path of its file."""
    before = set(folder.rglob("*.session"))
    files.write([(session_id, RECORD)])
    (path,) = set(folder.rglob("*.session")) - before
    return path


def test_truncation_at_every_byte(files: SessionFiles, folder: Path) -> None:
    """A file that was cut off at any byte is damaged, and says so with its path."""
    path = store_file(files, folder)
    assert path.read_bytes() == CONTENT
    for length in range(len(CONTENT)):
        path.write_bytes(CONTENT[:length])
        with pytest.raises(CorruptSessionError) as caught:
            files.read(["telegram:42"])
        assert caught.value.location == str(path)
        assert caught.value.session_id == "telegram:42"
    path.write_bytes(CONTENT)
    assert files.read(["telegram:42"]) == [RECORD]


def test_every_flipped_bit(files: SessionFiles, folder: Path) -> None:
    """A file of which any bit was flipped is damaged."""
    path = store_file(files, folder)
    for place in range(len(CONTENT)):
        for bit in range(8):
            changed = bytearray(CONTENT)
            changed[place] ^= 1 << bit
            with pytest.raises(CorruptSessionError):
                decode_file(bytes(changed), location="there")
        path.write_bytes(changed)
        with pytest.raises(CorruptSessionError):
            files.read(["telegram:42"])


@pytest.mark.parametrize("tail", [b"\n", b"\0", b"x" * 5000, CONTENT])
def test_more_than_was_written(files: SessionFiles, folder: Path, tail: bytes) -> None:
    """A file with something after its end is damaged."""
    store_file(files, folder).write_bytes(CONTENT + tail)
    with pytest.raises(CorruptSessionError):
        files.read(["telegram:42"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\0" * 300, "does not begin"),
        (b"hello\n", "does not begin"),
        (b"palaver/0 00000000\n", "does not begin"),
        (b"palaver/2 anything else", "format 2, which is newer .* upgrade"),
        (b"palaver/1 00000000\n{}\n", "checksum"),
    ],
)
def test_reasons(content: bytes, reason: str) -> None:
    """The error says in which way a file is damaged."""
    with pytest.raises(CorruptSessionError, match=reason):
        decode_file(content, location="there")


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"\xff", b'{"id":1,"version":"v","expires_at":null}'])
def test_second_line(line: bytes) -> None:
    """A file with the right checksum and a second line that makes no sense is damaged, too."""
    body = line + b"\n{}"
    with pytest.raises(CorruptSessionError, match="second line"):
        decode_file(b"palaver/1 %08x\n" % zlib.crc32(body) + body, location="there")


def test_file_of_another_session(files: SessionFiles, folder: Path) -> None:
    """A file that was copied over that of another session is damaged there."""
    path, other = store_file(files, folder), store_file(files, folder, "telegram:43")
    shutil.copy(path, other)
    with pytest.raises(CorruptSessionError, match="'telegram:42'"):
        files.read(["telegram:43"])


async def damage(folder: Path, store: FileSessionStore, session_id: str, content: bytes = b"garbage") -> Path:
    """Store a session and damage its file."""

    def files() -> set[Path]:
        return set(folder.rglob("*.session"))

    before = await asyncio.to_thread(files)
    await store.write(session_id, RECORD)
    (path,) = await asyncio.to_thread(files) - before
    await asyncio.to_thread(path.write_bytes, content)
    return path


async def test_damaged_file_is_kept(folder: Path, clock: ManualClock) -> None:
    """No verb but destroy changes a damaged file; after destroy the session is as good as new."""
    record = Record(b"new", new_version(), None)
    async with FileSessionStore(folder, clock=clock) as store:
        path = await damage(folder, store, "a")
        calls = [
            store.read("a"),
            store.read_many(["b", "a"]),
            store.write("a", record),
            store.write_many([("b", record), ("a", record)]),
            store.swap("a", record, ABSENT),
            store.swap_many([("a", record, RECORD.version)]),
            store.touch("a", None),
        ]
        for call in calls:
            with pytest.raises(CorruptSessionError, match="'a'"):
                await call
        assert await asyncio.to_thread(path.read_bytes) == b"garbage"
        await store.destroy("a")
        assert await store.read("a") is None
        await store.write("a", record)
        assert await store.read("a") == record


async def test_newer_format_is_kept(folder: Path, clock: ManualClock) -> None:
    """A file of a newer release is not written over."""
    async with FileSessionStore(folder, clock=clock) as store:
        path = await damage(folder, store, "a", b"palaver/2 zstd\n...")
        with pytest.raises(CorruptSessionError, match="newer than this palaver-file: upgrade"):
            await store.write("a", RECORD)
        assert await asyncio.to_thread(path.read_bytes) == b"palaver/2 zstd\n..."


async def test_damaged_neighbours(folder: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A scan and a purge pass over a damaged file, with a warning that names it; clear removes it."""
    names = [f"id {number}" for number in range(20)]
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write_many([(name, RECORD) for name in names])
        path = await damage(folder, store, "damaged")
        with caplog.at_level(logging.WARNING, logger="palaver_file"):
            assert sorted([name async for name in store.scan()]) == sorted(names)
        assert str(path) in caplog.text
        assert "Tim" not in caplog.text
        clock.advance(1)
        assert await store.purge() == len(names)
        assert await asyncio.to_thread(path.exists)
        await store.write("live", Record(b"", new_version(), None))
        assert await store.clear() == 1
        assert not await asyncio.to_thread(path.exists)


async def test_copy_beside_the_file(folder: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A copy that someone made of a file does not make a session be seen twice, and does not outlive clear."""
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", RECORD)
        (path,) = await asyncio.to_thread(lambda: list(folder.rglob("*.session")))
        await asyncio.to_thread(shutil.copy, path, path.with_name("copy of " + path.name))
        assert [name async for name in store.scan()] == ["a"]
        assert "it is a copy" in caplog.text
        assert await store.clear() == 1
        assert await asyncio.to_thread(lambda: list(folder.rglob("*.session"))) == []


async def test_foreign_files(folder: Path, clock: ManualClock) -> None:
    """What does not belong to the store is neither read nor removed."""
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", RECORD)
        (path,) = await asyncio.to_thread(lambda: list(folder.rglob("*.session")))
        foreign = [folder / "README", folder / "_" / "notes", path.parent / "notes.txt"]
        for place in foreign:
            await asyncio.to_thread(place.write_text, "mine")
        assert [name async for name in store.scan()] == ["a"]
        assert await store.clear() == 1
        assert await asyncio.to_thread(lambda: [place.read_text() for place in foreign]) == ["mine"] * 3


@pytest.mark.parametrize("verb", ["init", "purge", "clear", "write"])
async def test_leftover_of_a_killed_writer(folder: Path, clock: ManualClock, verb: str) -> None:
    """What a killed writer has left is never read, and goes with the next write, purge, clear or init."""
    store = FileSessionStore(folder, clock=clock)
    async with store:
        await store.write("a", RECORD)
        (path,) = await asyncio.to_thread(lambda: list(folder.rglob("*.session")))
        leftover = path.parent / "unfinished-1"
        await asyncio.to_thread(leftover.write_bytes, CONTENT[:50])
        assert await store.read("a") == RECORD
        assert [name async for name in store.scan()] == ["a"]
        if verb == "write":
            await store.write("a", RECORD)
        elif verb != "init":
            assert await getattr(store, verb)() == (verb == "clear")
    async with store:
        assert not await asyncio.to_thread(leftover.exists)
        assert await store.read("a") == (None if verb == "clear" else RECORD)


def put_a_folder(path: Path) -> None:
    path.mkdir()


def put_a_loop(path: Path) -> None:
    path.symlink_to(path)


def put_a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among files")
@pytest.mark.parametrize("put", [put_a_folder, put_a_loop, put_a_pipe])
async def test_no_file_in_its_place(
    folder: Path, caplog: pytest.LogCaptureFixture, put: Callable[[Path], None]
) -> None:
    """Such a session fails alone, with its path; turns of others go on, a scan passes over it, destroy removes it."""
    async with Sessions(FileSessionStore(folder), initial_state={"n": 0}) as sessions:

        async def turn(session_id: str) -> None:
            async with sessions.turn(session_id) as session:
                session.set_state(lambda state: {"n": state["n"] + 1})

        await asyncio.gather(*map(turn, ("bad", "a", "b")))
        (path,) = await asyncio.to_thread(lambda: list(folder.rglob("bad_*.session")))
        await asyncio.to_thread(path.unlink)
        await asyncio.to_thread(put, path)

        outcomes = await asyncio.gather(*map(turn, ("a", "bad", "b")), return_exceptions=True)
        assert [outcomes[0], outcomes[2]] == [None, None]
        assert isinstance(outcomes[1], CorruptSessionError)
        assert (outcomes[1].session_id, outcomes[1].location) == ("bad", str(path))
        assert "None" not in str(outcomes[1])
        assert {session_id async for session_id in sessions.store.scan()} == {"a", "b"}
        assert str(path) in caplog.text

        await sessions.store.destroy("bad")
        await asyncio.gather(*map(turn, ("a", "bad", "b")))
        snapshots = [await sessions.peek(session_id) for session_id in ("a", "bad", "b")]
        assert [snapshot and snapshot.state["n"] for snapshot in snapshots] == [3, 1, 3]
