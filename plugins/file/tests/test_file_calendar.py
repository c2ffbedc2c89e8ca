"""The calendar: a purge costs what has expired, whatever else is there and whatever has gone wrong before."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palaver import ManualClock, Record, new_version
from palaver_file import FileSessionStore, _drafts

if TYPE_CHECKING:
    import pytest

HOUR = 3_600_000


def record(expires_at: int | None) -> Record:
    return Record(b"{}", new_version(), expires_at)


def marks(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.expires"))


class Opened:
    """The session files that were opened while it was switched on; an audit hook cannot be taken away."""

    def __init__(self) -> None:
        self.is_on = False
        self.names: set[str] = set()
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event == "open" and str(arguments[0]).endswith(".session"):
            self.names.add(str(arguments[0]))


async def test_a_purge_opens_only_what_is_due(folder: Path, clock: ManualClock) -> None:
    """Three expired sessions among three hundred live ones are three files to look into."""
    opened = Opened()
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write_many([(f"live {number}", record(clock.now() + 2 * HOUR)) for number in range(290)])
        await store.write_many([(f"eternal {number}", record(None)) for number in range(10)])
        await store.write_many([(f"due {number}", record(clock.now() + 1000)) for number in range(3)])
        clock.advance(1)
        opened.is_on = True
        try:
            assert await store.purge() == 3
        finally:
            opened.is_on = False

        assert len(opened.names) == 3
        assert len([session_id async for session_id in store.scan()]) == 300


async def test_a_session_has_one_mark_however_its_expiry_moves(folder: Path, clock: ManualClock) -> None:
    """By writing, swapping and touching; none when it never expires or is gone."""
    first, second = record(clock.now() + HOUR), record(clock.now() + 5 * HOUR)
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", first)
        (before,) = await asyncio.to_thread(marks, folder)
        await store.write("a", first)
        assert await asyncio.to_thread(marks, folder) == [before]

        assert await store.swap("a", second, first.version)
        (after,) = await asyncio.to_thread(marks, folder)
        assert int(after.parent.name) == int(before.parent.name) + 4

        assert await store.touch("a", clock.now() + HOUR)
        assert await asyncio.to_thread(marks, folder) == [before]
        assert await store.touch("a", None)
        assert await asyncio.to_thread(marks, folder) == []

        await store.write("a", first)
        await store.destroy("a")
        assert await asyncio.to_thread(marks, folder) == []

        await store.write("a", first)
        assert await store.clear() == 1
        assert await asyncio.to_thread(marks, folder) == []


async def test_a_purge_is_exact_within_the_hour(folder: Path, clock: ManualClock) -> None:
    """What expires later in the same hour stays, and is found by a later purge."""
    begin = clock.now() // HOUR * HOUR + HOUR
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write_many([("early", record(begin + 1)), ("late", record(begin + 2))])
        clock.advance((begin + 1 - clock.now()) / 1000)
        assert await store.purge() == 1
        assert [session_id async for session_id in store.scan()] == ["late"]
        clock.advance(0.001)
        assert await store.purge() == 1
        assert await store.purge() == 0
        assert await asyncio.to_thread(lambda: list((folder / "_" / "expiry").iterdir())) == []


async def test_marks_that_a_crash_has_left_are_removed(folder: Path, clock: ManualClock) -> None:
    """One without a session, and one of an hour in which the session no longer expires."""
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write_many([(session_id, record(clock.now() + HOUR)) for session_id in "ab"])
        left = await asyncio.to_thread(lambda: {mark: mark.read_bytes() for mark in marks(folder)})
        await store.destroy("a")
        await store.touch("b", clock.now() + 9 * HOUR)
        for mark, content in left.items():
            await asyncio.to_thread(lambda path: path.parent.mkdir(exist_ok=True), mark)
            await asyncio.to_thread(mark.write_bytes, content)
        clock.advance(2 * 3600)

        assert await store.purge() == 0
        (mark,) = await asyncio.to_thread(marks, folder)
        assert mark not in left
        assert [session_id async for session_id in store.scan()] == ["b"]
        clock.advance(8 * 3600)
        assert await store.purge() == 1


async def test_a_damaged_session_keeps_its_mark(folder: Path, clock: ManualClock) -> None:
    """Once it is mended, a purge finds it."""
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", record(clock.now() + 1000))
        (path,) = await asyncio.to_thread(lambda: list(folder.rglob("*.session")))
        content = await asyncio.to_thread(path.read_bytes)
        await asyncio.to_thread(path.write_bytes, b"garbage")
        clock.advance(1)
        assert await store.purge() == 0
        await asyncio.to_thread(path.write_bytes, content)
        assert await store.purge() == 1


async def test_writers_and_purges_at_the_same_time(folder: Path, clock: ManualClock) -> None:
    """A purge may remove an hour in which a writer is about to make a mark: it is made all the same."""
    async with FileSessionStore(folder, clock=clock) as one, FileSessionStore(folder, clock=clock) as other:
        for turn in range(20):
            calls = [one.write(f"{turn} {number}", record(clock.now() - number)) for number in range(5)]
            await asyncio.gather(*calls, other.purge(), other.purge())
        await one.purge()
        assert await asyncio.to_thread(lambda: list(folder.rglob("*.session"))) == []
        assert await asyncio.to_thread(marks, folder) == []


async def test_an_hour_that_is_gone_as_soon_as_it_was_there(
    folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer makes the hour just before this one would, and a purge removes it at once: it is made again."""
    make_folder = Path.mkdir
    refused: list[Path] = []

    def mkdir(path: Path, *arguments: Any, **options: Any) -> None:
        if path.parent.name == "expiry" and not refused:
            refused.append(path)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        make_folder(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", record(clock.now() + HOUR))
        (mark,) = await asyncio.to_thread(marks, folder)

    assert [mark.parent] == refused


async def test_a_session_is_marked_before_it_is_there(
    folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is seen at the moment when a file takes its place, the mark is there already, and the old one still."""
    seen: list[int] = []

    def watched(path: str, target: str) -> None:
        seen.append(len(marks(folder)))
        Path(path).replace(target)

    monkeypatch.setattr(_drafts, "move_file", watched)
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", record(clock.now() + HOUR))
        await store.touch("a", clock.now() + 9 * HOUR)

    assert seen == [1, 2]
