"""What the file store promises, on real files."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import unicodedata
from typing import TYPE_CHECKING

import pytest

from palaver import ABSENT, ManualClock, Record, Sessions, StoreClosedError, StoreUnavailableError, new_version
from palaver_file import FileSessionStore
from palaver_file._files import SessionFiles
from palaver_file._names import address_of
from palaver_file._shard import FolderLock

if TYPE_CHECKING:
    from pathlib import Path

    from palaver import Absent

HOSTILE_IDS = [
    *("Ann", "ann", "ANN", " ann", "ann ", "ann.", "ann\n", "ann\t"),
    *(unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")),
    *("../x", "..", ".", "../../../x", "a/b", "a//b", "a\\b", "/etc/passwd", "C:", "C:\\x", "\\\\host\\share", "~"),
    *("CON", "con", "nul", "NUL.txt", "COM1", "LPT1.session", "aux "),
    *("*", "?", "%", "_", "a%2Fb", "a_b", "a-b", "a.b", "'", '"', "$HOME", "-rf", "lock", "unfinished-1"),
    *("x" * 512, "x" * 511, "X" * 512, "é" * 256, "😀" * 128, "😀", "\u200b", "\u202e", "\x01", "\x7f", "k", "\u212a"),
]

ODD_PAYLOADS = {
    "empty": b"",
    "NUL": b"\0",
    "NUL around": b"\0a\0b\0",
    "CRLF": b"a\r\nb\rc\n",
    "trailing newlines": b"a\n\n",
    "leading newline": b"\na",
    "control-Z": b"a\x1ab",
    "its own form": b'palaver/1 00000000\n{"id":"x","version":"y","expires_at":null}\n',
    "not UTF-8": b"\xff\xfe\x80",
    "a megabyte": os.urandom(1024 * 1024),
}


def record(payload: bytes = b"{}", expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


@pytest.mark.parametrize("payload", ODD_PAYLOADS.values(), ids=ODD_PAYLOADS.keys())
async def test_odd_payload(folder: Path, payload: bytes) -> None:
    """A payload comes back as it went in, also by a store that is opened later."""
    written = record(payload)
    async with FileSessionStore(folder) as store:
        await store.write("a", written)
        assert await store.read("a") == written
    async with FileSessionStore(folder) as store:
        assert await store.read("a") == written


@pytest.mark.parametrize("expires_at", [None, 1_700_000_000_001, 2**31 * 1000, 2**53 + 1, 2**63 - 1])
async def test_expiry_and_version_come_back(folder: Path, clock: ManualClock, expires_at: int | None) -> None:
    """Version and expiry come back as they went in, however odd or far away."""
    written = Record(b"{}", 'v"\n\\ é', expires_at)
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", written)
        assert await store.read("a") == written


async def test_hostile_ids(folder: Path, tmp_path: Path) -> None:
    """Ids never meet, whatever they look like, and nothing is made outside the folder."""
    assert len(set(HOSTILE_IDS)) == len(HOSTILE_IDS)
    records = {session_id: record(session_id.encode()) for session_id in HOSTILE_IDS}
    async with FileSessionStore(folder) as store:
        for session_id, written in records.items():
            assert await store.read(session_id) is None
            await store.write(session_id, written)
        assert {session_id: await store.read(session_id) for session_id in HOSTILE_IDS} == records
        assert sorted([session_id async for session_id in store.scan()]) == sorted(HOSTILE_IDS)
        await store.destroy("ann")
        assert await store.read("ann") is None
        assert await store.read("Ann") == records["Ann"]

    names = await asyncio.to_thread(lambda: [path.name for path in folder.rglob("*.session")])

    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [folder]
    assert len({name.lower() for name in names}) == len(HOSTILE_IDS) - 1
    assert all(name.isascii() and len(name) < 100 for name in names)
    assert not {name.partition(".")[0] for name in names} & {"con", "nul", "aux", "com1", "lpt1"}


async def test_readable_file(folder: Path) -> None:
    """The name of a file and what is in it tell people whose it is."""
    async with FileSessionStore(folder) as store:
        await store.write("Telegram:42", Record(b'{"state":{"nickname":"Tim"}}', "v1", 9_999_999_999_999))

    (path,) = await asyncio.to_thread(lambda: list(folder.rglob("*.session")))
    lines = (await asyncio.to_thread(path.read_text)).split("\n")

    assert path.name.startswith("telegram-42_")
    assert lines[0].startswith("palaver/1 ")
    assert lines[1:] == [
        '{"id":"Telegram:42","version":"v1","expires_at":9999999999999}',
        '{"state":{"nickname":"Tim"}}',
    ]


async def test_two_stores_share(folder: Path) -> None:
    """Two stores on one folder see each other's changes at once."""
    first, second = record(b"1"), record(b"2")
    async with FileSessionStore(folder) as one, FileSessionStore(folder) as other:
        await one.write("a", first)
        assert await other.read("a") == first
        assert await other.swap("a", second, first.version)
        assert await one.read("a") == second
        await other.destroy("a")
        assert await one.read("a") is None


async def test_namespaces_never_meet(folder: Path) -> None:
    """A namespace has its own sessions, whatever its name looks like, and no other name reaches them."""
    names = ["", "_", "a", "A", "a/b", "a-b", "..", "../_", "CON", "é", "😀", "x" * 512]
    stores = [FileSessionStore(folder, namespace=name) for name in names]
    for store in stores:
        async with store:
            await store.write("id", record(store.namespace.encode()))
    for store in stores:
        async with store:
            assert [session_id async for session_id in store.scan()] == ["id"]
            assert await store.purge() == 0
            found = await store.read("id")
            assert found is not None
            assert found.payload == store.namespace.encode()
    async with stores[2] as store:
        assert await store.clear() == 1
    async with stores[3] as store:
        assert await store.read("id") is not None


async def test_expired_on_every_path(folder: Path, clock: ManualClock) -> None:
    """At its expiry a session is gone for every verb, and one millisecond earlier for none."""
    short = record(b"short", clock.now() + 1000)
    renewed = record(b"renewed", clock.now() + 5000)
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", short)
        clock.advance(0.999)
        assert await store.read("a") == short
        assert [session_id async for session_id in store.scan()] == ["a"]
        assert await store.purge() == 0
        assert not await store.swap("a", renewed, ABSENT)

        clock.advance(0.001)
        assert await store.read("a") is None
        assert await store.read_many(["a"]) == [None]
        assert [session_id async for session_id in store.scan()] == []
        assert not await store.touch("a", None)
        assert not await store.swap("a", renewed, short.version)
        assert await store.swap("a", renewed, ABSENT)
        assert await store.read("a") == renewed


async def test_clock_moved_back(folder: Path, clock: ManualClock) -> None:
    """Only the clock decides: a reading of the store destroys nothing."""
    written = record(b"{}", clock.now() + 1000)
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", written)
        clock.advance(2)
        assert await store.read("a") is None
        clock.advance(-2)
        assert await store.read("a") == written


async def test_write_of_the_expired(folder: Path, clock: ManualClock) -> None:
    """A record that has expired already ends what was there."""
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", record())
        await store.write("a", record(expires_at=clock.now()))
        assert await store.read("a") is None


async def test_swap(folder: Path) -> None:
    """A swap stores exactly when the live version is the expected one, and may be repeated."""
    first, second, late = record(b"1"), record(b"2"), record(b"late")
    async with FileSessionStore(folder) as store:
        assert not await store.swap("a", first, "never there")
        assert await store.swap("a", first, ABSENT)
        assert await store.swap("a", first, ABSENT)
        assert not await store.swap("a", late, ABSENT)
        assert await store.swap("a", second, first.version)
        assert await store.swap("a", second, first.version)
        assert not await store.swap("a", late, first.version)
        assert await store.read("a") == second
        await store.destroy("a")
        assert not await store.swap("a", late, second.version)
        assert await store.read("a") is None


async def test_concurrent_swaps(folder: Path) -> None:
    """Of many swaps that expect the same version, one stores."""
    rivals = [record(b"%d" % number) for number in range(40)]
    async with FileSessionStore(folder) as one, FileSessionStore(folder) as other:
        stores = itertools.cycle([one, other])
        answers = await asyncio.gather(*(next(stores).swap("a", rival, ABSENT) for rival in rivals))
        assert answers.count(True) == 1
        assert await one.read("a") == rivals[answers.index(True)]


async def test_touch(folder: Path, clock: ManualClock) -> None:
    """A touch moves the expiry and nothing else; it neither creates nor revives."""
    written = record(b"\0\n", clock.now() + 1000)
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write("a", written)
        assert await store.touch("a", clock.now() + 9000)
        assert await store.read("a") == Record(b"\0\n", written.version, clock.now() + 9000)
        assert await store.touch("a", None)
        clock.advance(10_000_000)
        assert await store.read("a") == Record(b"\0\n", written.version, None)
        assert await store.touch("a", clock.now())
        assert await store.read("a") is None
        assert not await store.touch("a", None)
        assert not await store.touch("b", None)
        assert await store.read("b") is None


async def test_batches(folder: Path) -> None:
    """A batch answers each item in order, and items of one id take effect in order."""
    records = {f"id {number}": record(b"%d" % number) for number in range(100)}
    first, second = record(b"first"), record(b"second")
    async with FileSessionStore(folder) as store:
        assert await store.read_many([]) == []
        assert await store.swap_many([]) == []
        await store.write_many([])
        await store.write_many([*records.items(), ("id 7", first), ("id 7", second)])
        records["id 7"] = second
        asked = [*reversed(records), "missing", "id 7"]
        assert await store.read_many(asked) == [records.get(session_id) for session_id in asked]
        third, fourth, other = record(b"third"), record(b"fourth"), record(b"other")
        swaps: list[tuple[str, Record, str | Absent]] = [
            ("id 7", third, second.version),
            ("new", other, ABSENT),
            ("id 7", fourth, second.version),
            ("id 7", fourth, third.version),
        ]
        assert await store.swap_many(swaps) == [True, True, False, True]
        assert await store.read_many(["id 7", "new"]) == [fourth, other]


def ids_of_shard(shard: str, count: int) -> list[str]:
    """Ids whose files are all in one folder."""
    return list(
        itertools.islice(filter(lambda name: address_of(name).shard == shard, map(str, itertools.count())), count)
    )


async def test_batch_in_one_shard(folder: Path) -> None:
    """However many items of a batch are in one folder, and however often an id comes, they take effect in order."""
    ids = ids_of_shard("3", 10)
    first = [(name, record(b"first")) for name in ids]
    second = [(name, record(b"second")) for name in reversed(ids)]
    async with FileSessionStore(folder) as store:
        await store.write_many([*first, *second])
        assert await store.read_many(ids) == [written for _, written in reversed(second)]
        swaps: list[tuple[str, Record, str | Absent]] = [(name, new, dict(second)[name].version) for name, new in first]
        assert await store.swap_many([*swaps, *swaps]) == [True] * 20
        assert await store.swap_many([(name, record(), old.version) for name, old in second]) == [False] * 10


def test_batch_beside_a_stuck_writer(folder: Path, clock: ManualClock) -> None:
    """Someone who keeps the lock of one folder holds up only what is in that folder."""
    (stuck,), (free,) = ids_of_shard("3", 1), ids_of_shard("4", 1)
    old, new = record(b"old"), record(b"new")
    files = SessionFiles(folder, "", clock, lock_timeout=0.05)
    files.prepare()
    files.write([(stuck, old), (free, old)])
    with FolderLock(folder / "_" / "3", timeout=5).held():
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match=f"'{stuck}'.*another writer"):
                files.write([(stuck, new), (free, new)])

        assert files.read([stuck, free]) == [old, new]
    files.write([(stuck, new), (free, new)])

    assert files.read([stuck, free]) == [new, new]


async def test_turns_beside_a_stuck_writer(folder: Path) -> None:
    """Turns of all other sessions are saved, many more stuck ones than there are threads notwithstanding."""
    stuck, free = ids_of_shard("3", 40), ids_of_shard("4", 40)
    saved = []
    async with Sessions(FileSessionStore(folder, lock_timeout=2), patience=0) as sessions:

        async def turn(session_id: str, n: int) -> None:
            async with sessions.turn(session_id) as session:
                session.set_state(n=n)
            saved.append((session_id, n))

        await asyncio.gather(*(turn(session_id, 1) for session_id in (*stuck, *free)))
        with await asyncio.to_thread(held, FolderLock(folder / "_" / "3", timeout=5)):
            waiting = [asyncio.create_task(turn(session_id, 2)) for session_id in stuck]
            for n in (2, 3):
                await asyncio.gather(*(turn(session_id, n) for session_id in free))
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
        snapshots = [await sessions.peek(session_id) for session_id in (*stuck, *free)]
        assert [snapshot and snapshot.state["n"] for snapshot in snapshots] == [1] * 40 + [3] * 40


def held(lock: FolderLock) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(lock.held())
    return stack


async def test_scan_prefix(folder: Path) -> None:
    """A prefix is compared character by character."""
    async with FileSessionStore(folder) as store:
        await store.write_many([(name, record()) for name in ("a", "ab", "a%", "a*", "A", "b", "aé")])
        assert sorted([name async for name in store.scan("a")]) == sorted(["a", "ab", "a%", "a*", "aé"])
        assert [name async for name in store.scan("a*")] == ["a*"]
        assert [name async for name in store.scan("../")] == []


async def test_scan_during_changes(folder: Path) -> None:
    """What stays is seen exactly once, while other sessions come, change and go."""
    stable = [f"stable {number}" for number in range(50)]
    async with FileSessionStore(folder) as store:
        await store.write_many([(name, record()) for name in stable])

        async def disturb() -> None:
            for number in itertools.count():
                await store.write(f"new {number}", record())
                await store.write(stable[number % 50], record())
                await store.destroy(f"new {number - 1}")

        disturbing = asyncio.create_task(disturb())
        seen = [name async for name in store.scan()]
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
        assert sorted(name for name in seen if name.startswith("stable")) == sorted(stable)
        assert len(set(seen)) == len(seen)


async def test_scan_left_early(folder: Path) -> None:
    """A scan that is left early holds nothing: the store closes at once."""
    async with FileSessionStore(folder) as store:
        await store.write_many([(f"{number}", record()) for number in range(20)])
        scan = store.scan()
        await anext(scan)
        await store.write("0", record())
    with pytest.raises(StoreClosedError):
        [name async for name in scan]


async def test_purge_and_clear(folder: Path, clock: ManualClock) -> None:
    """A purge removes the files of what has expired and nothing else; clear removes all and counts the live ones."""
    async with FileSessionStore(folder, clock=clock) as store:
        await store.write_many([(f"short {number}", record(expires_at=clock.now() + 1)) for number in range(9)])
        await store.write_many([(f"long {number}", record(expires_at=clock.now() + 9000)) for number in range(5)])
        clock.advance(1)
        assert await store.purge() == 9
        assert await store.purge() == 0
        assert len(await asyncio.to_thread(lambda: list(folder.rglob("*.session")))) == 5
        await store.write("short", record(expires_at=clock.now()))
        assert await store.clear() == 5
        assert await store.clear() == 0
        assert await asyncio.to_thread(lambda: list(folder.rglob("*.session"))) == []
