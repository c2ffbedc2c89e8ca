"""The contract, verb by verb, on every database."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from palaver.contract.record import ABSENT, Record, new_version
from palaver.errors import CorruptSessionError, SessionTooLargeError, StoreClosedError
from palaver.toolkit.urls import redact_url
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from palaver.contract.clock import ManualClock

    Query: TypeAlias = Callable[..., Awaitable[list[Any]]]

PAYLOADS = {
    "empty": b"",
    "nul": b"\0",
    "nul inside": b"a\0b\0",
    "line ends": b"\r\n\n\r",
    "not utf-8": b"\xff\xfe\x80\xc3",
    "all bytes": bytes(range(256)),
    "text": '{"state":{"näme":"🎈"}}'.encode(),
    "one mebibyte": bytes(range(256)) * 4096,
}

HOSTILE_IDS = (
    "a",
    "A",
    "a ",
    " a",
    "a\t",
    "a\n",
    "a:b",
    "a:",
    ":a",
    "ab",
    "%",
    "_",
    "*",
    "a%",
    "a_",
    "a*",
    "'",
    "''",
    '"',
    "'; DROP TABLE palaver_sessions; --",
    "\\",
    "a\\",
    "../a",
    "/a",
    "CON",
    "con",
    "1",
    "01",
    "1.0",
    "1e0",
    "NULL",
    "null",
    "é",
    unicodedata.normalize("NFD", "é"),
    "ß",
    "ss",
    "I",
    "ı",
    "İ",
    "🎈",
    "🎈\ufe0f",
    "\U0010ffff",
    "\uffff",
    "\x01",
    "\x7f",
    "x" * 512,
    "x" * 511,
    "é" * 256,
    "🎈" * 128,
)


def make(payload: bytes = b"{}", expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


async def ids(store: SQLSessionStore, prefix: str = "") -> list[str]:
    return [session_id async for session_id in store.scan(prefix)]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
async def test_payload_comes_back(url: str, payload: bytes) -> None:
    """A payload is bytes, whatever they are."""
    record = make(payload)
    async with SQLSessionStore(url) as store:
        await store.write("a", record)
        assert await store.read("a") == record


async def test_record_outlives_the_store(url: str) -> None:
    """What was written is there for the next store on the file."""
    record = make(b"kept", 1_800_000_000_000)
    async with SQLSessionStore(url) as store:
        await store.write("a", record)
    async with SQLSessionStore(url) as store:
        assert await store.read("a") == record


@pytest.mark.parametrize("expires_at", [None, 1_700_000_000_001, 2**53 + 1, 2**63 - 1])
async def test_expiry_comes_back(url: str, clock: ManualClock, expires_at: int | None) -> None:
    """An expiry comes back to the millisecond, however far away it is."""
    record = make(b"{}", expires_at)
    async with SQLSessionStore(url, clock=clock) as store:
        await store.write("a", record)
        assert await store.read("a") == record


async def test_write_replaces_as_a_whole(url: str, clock: ManualClock) -> None:
    """Payload, version and expiry are all those of the last record."""
    second = make(b"second")
    async with SQLSessionStore(url, clock=clock) as store:
        await store.write("a", make(b"first", clock.now() + 1000))
        await store.write("a", second)
        clock.advance(10)
        assert await store.read("a") == second


async def test_hostile_ids_never_meet(url: str) -> None:
    """Ids that look alike, or like SQL, patterns or paths, are different ids."""
    records = {session_id: make(session_id.encode()) for session_id in HOSTILE_IDS}
    async with SQLSessionStore(url) as store:
        for session_id, record in records.items():
            assert await store.swap(session_id, record, ABSENT), session_id
        assert await store.read_many(HOSTILE_IDS) == list(records.values())
        assert sorted(await ids(store)) == sorted(HOSTILE_IDS)
        for session_id in HOSTILE_IDS:
            await store.destroy(session_id)
            del records[session_id]
            assert sorted(await ids(store)) == sorted(records), session_id


async def test_hostile_namespaces_never_meet(url: str) -> None:
    """Namespaces that look alike keep their sessions apart, in every verb."""
    # To open so many stores on a server takes long, and the laws do so.
    names = HOSTILE_IDS if url.startswith("sqlite") else HOSTILE_IDS[:12]
    stores = [SQLSessionStore(url, namespace=namespace) for namespace in ("", *names)]
    try:
        for store in stores:
            await store.init()
            assert await store.swap("a", make(store.namespace.encode()), ABSENT)
        assert await stores[0].clear() == 1
        assert await stores[0].read("a") is None
        for store in stores[1:]:
            record = await store.read("a")
            assert record is not None
            assert record.payload == store.namespace.encode()
            assert await ids(store) == ["a"]
    finally:
        for store in stores:
            await store.close()


async def test_namespace_and_id_do_not_run_together(url: str) -> None:
    """Namespace `a` with id `b:c` is not namespace `a:b` with id `c`."""
    async with SQLSessionStore(url, namespace="a") as one, SQLSessionStore(url, namespace="a:b") as other:
        await one.write("b:c", make())
        assert await other.read("c") is None
        assert await other.swap("c", make(), ABSENT)


async def test_expired_is_gone_for_every_verb(url: str, clock: ManualClock) -> None:
    """At the instant of its expiry a record does not exist, for any verb."""
    expiring = make(b"old", clock.now() + 1000)
    async with SQLSessionStore(url, clock=clock) as store:
        await store.write_many([(session_id, expiring) for session_id in ("read", "touch", "swap", "purge")])
        clock.advance(0.999)
        assert await store.read("read") == expiring
        clock.advance(0.001)
        assert await store.read("read") is None
        assert await store.read_many(["read", "touch"]) == [None, None]
        assert await store.touch("touch", None) is False
        assert await store.read("touch") is None
        assert await ids(store) == []
        assert await store.swap("swap", make(), expiring.version) is False
        assert await store.swap("swap", expiring, expiring.version) is False
        assert await store.swap("swap", make(b"new"), ABSENT) is True
        assert await store.purge() == 3
        assert await ids(store) == ["swap"]


async def test_record_that_has_expired_already_is_accepted(url: str, clock: ManualClock) -> None:
    """Writing what has expired ends the session."""
    async with SQLSessionStore(url, clock=clock) as store:
        await store.write("a", make())
        await store.write("a", make(b"late", clock.now()))
        assert await store.read("a") is None
        assert await store.swap("a", make(), ABSENT)


async def test_clear_counts_only_the_live(url: str, clock: ManualClock) -> None:
    """What has expired is removed and not counted."""
    async with SQLSessionStore(url, clock=clock) as store:
        await store.write_many([("live", make()), ("expired", make(b"", clock.now()))])
        assert await store.clear() == 1
        assert await store.purge() == 0


async def test_swap_stores_only_over_what_is_expected(url: str) -> None:
    """A swap stores over the expected version or absence, and changes nothing otherwise."""
    first, second = make(b"first"), make(b"second")
    async with SQLSessionStore(url) as store:
        assert await store.swap("a", first, "no such version") is False
        assert await store.read("a") is None
        assert await store.swap("a", first, ABSENT) is True
        assert await store.swap("a", second, ABSENT) is False
        assert await store.swap("a", second, "no such version") is False
        assert await store.read("a") == first
        assert await store.swap("a", second, first.version) is True
        assert await store.read("a") == second


async def test_swap_may_be_repeated(url: str) -> None:
    """A swap that is there already is answered like the first time."""
    record = make()
    async with SQLSessionStore(url) as store:
        assert await store.swap("a", record, ABSENT)
        assert await store.swap("a", record, ABSENT)
        assert await store.swap("a", record, "whatever was there before")


async def test_swaps_of_one_batch_see_each_other(url: str, clock: ManualClock) -> None:
    """Items of one id take effect in order, and each is decided on what the one before left."""
    one, two, three = make(b"1"), make(b"2"), make(b"3")
    ended = make(b"", clock.now())
    async with SQLSessionStore(url, clock=clock) as store:
        answers = await store.swap_many(
            [
                ("a", one, ABSENT),
                ("b", one, "nothing"),
                ("a", two, ABSENT),
                ("a", two, one.version),
                ("a", two, one.version),
                ("a", three, one.version),
                ("c", ended, ABSENT),
                ("c", three, ABSENT),
            ]
        )
        assert answers == [True, False, False, True, True, False, True, True]
        assert await store.read_many(["a", "b", "c"]) == [two, None, three]


async def test_repeated_ids_in_a_batch(url: str) -> None:
    """The last write of an id stays, and every read of it is answered."""
    first, last = make(b"first"), make(b"last")
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", first), ("b", first), ("a", last)])
        assert await store.read_many(["a", "b", "a", "nobody", "a"]) == [last, first, last, None, last]


async def test_no_items_are_no_results(url: str) -> None:
    """An empty batch is answered with nothing."""
    async with SQLSessionStore(url) as store:
        assert await store.read_many([]) == []
        assert await store.swap_many([]) == []
        await store.write_many([])


async def test_batches_larger_than_a_statement_can_be(url: str) -> None:
    """A batch may have more ids than SQLite has variables, and more than a server is told at once."""
    count = 40_001 if url.startswith("sqlite") else 2_501
    records = {f"telegram:{number}": make(b"%d" % number) for number in range(count)}
    async with SQLSessionStore(url) as store:
        answers = await store.swap_many([(session_id, record, ABSENT) for session_id, record in records.items()])
        assert all(answers)
        assert len(answers) == len(records)
        wanted = [*reversed(records), "nobody"]
        assert await store.read_many(wanted) == [*reversed(records.values()), None]
        assert await ids(store) == sorted(records)
        await store.write_many([(session_id, replace(record, payload=b"")) for session_id, record in records.items()])
        assert await store.clear() == len(records)


async def test_touch_moves_the_expiry_alone(url: str, clock: ManualClock) -> None:
    """Payload and version stay; a session that is not there stays away."""
    record = make(b"kept", clock.now() + 1000)
    async with SQLSessionStore(url, clock=clock) as store:
        await store.write("a", record)
        assert await store.touch("a", clock.now() + 5000) is True
        assert await store.read("a") == replace(record, expires_at=clock.now() + 5000)
        assert await store.touch("a", None) is True
        assert await store.read("a") == replace(record, expires_at=None)
        assert await store.touch("a", clock.now()) is True
        assert await store.read("a") is None
        odd = Record(b"{}", "\x01~é\u0800\ud7ff\ue000\uffff\U00010000\U000fffff\U0010ffff", None)
        for record in (odd, Record(b"{}", "🎈" * 128, None)):
            await store.write("b", record)
            assert await store.touch("b", clock.now() + 5000) is True
            assert await store.remove("b", record.version) is True
        assert await store.touch("nobody", None) is False
        assert await store.read("nobody") is None


async def test_destroy_is_idempotent(url: str) -> None:
    """To destroy what is not there is no error."""
    async with SQLSessionStore(url) as store:
        await store.write("a", make())
        await store.destroy("a")
        await store.destroy("a")
        assert await store.read("a") is None


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["%", "a", "a%b", "a*", "a_b", "aXb", "ab", "b", "\U0010ffff", "\U0010ffff\U0010ffff"]),
        ("a", ["a", "a%b", "a*", "a_b", "aXb", "ab"]),
        ("a%", ["a%b"]),
        ("a_", ["a_b"]),
        ("a*", ["a*"]),
        ("A", []),
        ("%", ["%"]),
        ("ab", ["ab"]),
        ("abc", []),
        ("\U0010ffff", ["\U0010ffff", "\U0010ffff\U0010ffff"]),
        ("a\0", []),
        ("\ud800", []),
        ("x" * 513, []),
    ],
)
async def test_scan_compares_the_prefix_literally(url: str, prefix: str, expected: list[str]) -> None:
    """Nothing in a prefix is a wildcard, and the last code point has no successor that is needed."""
    everything = ["%", "a", "a%b", "a*", "a_b", "aXb", "ab", "b", "\U0010ffff", "\U0010ffff\U0010ffff"]
    async with SQLSessionStore(url) as store:
        await store.write_many([(session_id, make()) for session_id in everything])
        assert sorted(await ids(store, prefix)) == sorted(expected)


async def test_scan_while_others_come_and_go(url: str) -> None:
    """Over many pages, what stays throughout is seen exactly once, whatever else happens."""
    staying = [f"{number:05}-stays" for number in range(2_500)]
    going = [f"{number:05}-goes" for number in range(2_500)]
    async with SQLSessionStore(url) as store:
        await store.write_many([(session_id, make()) for session_id in (*staying, *going)])
        seen = []
        async for session_id in store.scan():
            seen.append(session_id)
            if len(seen) % 100 == 0:
                await store.write_many([(f"{len(seen):05}-new", make()), (staying[len(seen) // 4], make())])
                await store.destroy(going[len(seen) // 4])
                await store.destroy(going[-len(seen) // 4])
        assert len(seen) == len(set(seen))
        assert [session_id for session_id in seen if session_id.endswith("-stays")] == staying


async def test_scan_that_is_left_early_hinders_nobody(url: str) -> None:
    """A scan that waits holds no lock and no connection, and ends when it is closed."""
    async with SQLSessionStore(url) as store:
        await store.write_many([(f"{number}", make()) for number in range(3_000)])
        scans = [store.scan() for _ in range(20)]
        for scan in scans:
            await anext(scan)
        assert await store.clear() == 3_000
        for scan in scans:
            await scan.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_purge_removes_what_has_expired_and_nothing_else(url: str, clock: ManualClock) -> None:
    """Purging many rows leaves the live ones, and those of other namespaces."""
    async with SQLSessionStore(url, clock=clock) as store, SQLSessionStore(url, namespace="x", clock=clock) as other:
        await other.write("a", make(b"", clock.now()))
        await store.write_many([(f"{number}", make(b"", clock.now() + number % 2)) for number in range(5_000)])
        await store.write("for ever", make())
        assert await store.purge() == 2_500
        assert await store.purge() == 0
        assert len(await ids(store)) == 2_501
        assert await other.purge() == 1


async def test_payload_that_is_too_large_changes_nothing(url: str) -> None:
    """A payload over the declared limit is refused before anything is sent, in every verb that takes one."""
    async with SQLSessionStore(url) as store:
        limit = store.capabilities.max_payload_bytes
        assert limit is not None
        too_large = make(bytes(limit + 1))
        writes: Iterable[object] = (
            store.write("a", too_large),
            store.write_many([("b", make()), ("a", too_large)]),
            store.swap("a", too_large, ABSENT),
            store.swap_many([("b", make(), ABSENT), ("a", too_large, ABSENT)]),
        )
        for write in writes:
            with pytest.raises(SessionTooLargeError, match="'a'"):
                await write  # type: ignore[misc]
        assert await ids(store) == []


async def test_two_stores_on_one_file_see_each_other_at_once(url: str) -> None:
    """What one store has acknowledged the other reads."""
    async with SQLSessionStore(url) as one, SQLSessionStore(url) as other:
        previous: str | None = None
        for writer, reader in [(one, other), (other, one)] * 10:
            record = make()
            assert await writer.swap("a", record, ABSENT if previous is None else previous)
            assert await reader.read("a") == record
            previous = record.version


async def test_of_many_swaps_one_stores(url: str) -> None:
    """Of several swaps that expect the same, in two stores, exactly one stores."""
    async with SQLSessionStore(url) as one, SQLSessionStore(url) as other:
        expected: str | None = None
        for _ in range(10):
            records = [make() for _ in range(10)]
            swaps = [
                (one, other)[number % 2].swap("a", record, ABSENT if expected is None else expected)
                for number, record in enumerate(records)
            ]
            answers = await asyncio.gather(*swaps)
            assert answers.count(True) == 1
            expected = records[answers.index(True)].version


async def test_two_tables_in_one_database(url: str) -> None:
    """Each table keeps its own sessions, and a word of SQL may be its name."""
    async with SQLSessionStore(url) as one, SQLSessionStore(url, table="select") as other:
        await one.write("a", make())
        assert await ids(other) == []
        assert await other.clear() == 0
        assert await ids(one) == ["a"]


@pytest.mark.parametrize("is_closed", [False, True], ids=["before init", "after close"])
async def test_store_that_is_not_open_refuses_every_verb(url: str, *, is_closed: bool) -> None:
    """Every verb but init and close raises StoreClosedError."""
    store = SQLSessionStore(url)
    if is_closed:
        await store.init()
    await store.close()
    calls = (
        store.read("a"),
        store.write("a", make()),
        store.destroy("a"),
        store.swap("a", make(), ABSENT),
        store.read_many([]),
        store.write_many([]),
        store.swap_many([]),
        store.touch("a", None),
        anext(store.scan()),
        store.purge(),
        store.clear(),
    )
    for call in calls:
        with pytest.raises(StoreClosedError):
            await call


async def test_close_waits_for_what_is_running(url: str) -> None:
    """Calls that run when the store is closed end or are refused, and none is torn."""
    async with SQLSessionStore(url) as store:
        calls = [asyncio.ensure_future(store.write(f"{number}", make(b"x" * 1000))) for number in range(50)]
        await asyncio.sleep(0)
        await store.close()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, StoreClosedError) for outcome in outcomes)
        await store.init()
        stored = [record is not None for record in await store.read_many([f"{number}" for number in range(50)])]
        assert stored == [outcome is None for outcome in outcomes]


def test_several_event_loops_in_a_row(url: str) -> None:
    """A store that is closed may be opened again in another event loop."""
    store = SQLSessionStore(url)

    async def use(number: int) -> None:
        async with store:
            await asyncio.gather(*(store.write(f"{number}-{item}", make()) for item in range(20)))
            assert len(await ids(store)) == 20 * (number + 1)

    for number in range(3):
        asyncio.run(use(number))


async def test_many_readers_and_writers_at_once(url: str) -> None:
    """Readers and writers of one store do not disturb each other."""
    async with SQLSessionStore(url) as store:

        async def talk(session_id: str) -> None:
            versions: list[str] = []
            for number in range(5):
                record = make(b"%d" % number)
                assert await store.swap(session_id, record, versions[-1] if versions else ABSENT)
                versions.append(record.version)
                assert await store.read(session_id) == record
            assert all(one != other for one, other in pairwise(versions))

        await asyncio.gather(*(talk(f"{number}") for number in range(60)))


def test_repr_says_where_and_in_which_table(url: str) -> None:
    """A store shows its database and its table."""
    shown = redact_url(url).replace("***@", "").replace("+psycopg", "")
    assert repr(SQLSessionStore(url, table="bots")) == f"<SQLSessionStore {shown} table 'bots'>"


def test_all_capabilities_are_declared(url: str) -> None:
    """A database can do everything that there is."""
    capabilities = SQLSessionStore(url).capabilities
    assert capabilities.swap
    assert capabilities.batch
    assert capabilities.touch
    assert capabilities.scan
    assert capabilities.purge
    assert capabilities.clear
    assert capabilities.durable
    assert capabilities.shared
    limits = {"sqlite": 999_995_904, "postgresql": 2**28, "mysql": 2**23 - 2**14}
    assert capabilities.max_payload_bytes == limits[url.partition(":")[0].partition("+")[0]]


async def test_damaged_row_stays_damaged(url: str, query: Query, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged row is an error that names its session, is never mended by chance, and does not end a scan."""
    damage = {"sqlite": "x'ff'", "postgresql": "repeat('x', 600)", "mysql": "x'ff'"}
    old = make()
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", old), ("b", old), ("c", old)])
        for version in (damage[url.partition(":")[0].partition("+")[0]], "''"):
            await query(f"UPDATE palaver_sessions SET version = {version} WHERE session_id = 'b'")
            calls = (
                store.read_many(["a", "b", "c"]),
                store.touch("b", None),
                store.remove("b", old.version),
                store.remove("b", "another"),
            )
            for call in calls:
                with pytest.raises(CorruptSessionError) as caught:
                    await call
                assert caught.value.session_id == "b"
                assert caught.value.location == repr(store).split()[1]
        assert await store.touch("a", None) is True
        assert await store.read_many(["a", "c"]) == [old, old]
        assert await ids(store) == ["a", "b", "c"]
        assert not caplog.records


async def test_remove_of_the_expected_version(url: str, clock: ManualClock) -> None:
    """It removes the live record of that version, once, and no other."""
    old, new = make(), make(expires_at=clock.now() + 1000)
    async with SQLSessionStore(url, clock=clock) as store, SQLSessionStore(url, namespace="x") as other:
        await other.write("a", old)
        assert await store.remove("a", old.version) is False
        await store.write_many([("a", old), ("b", new)])
        assert await store.remove("a", new.version) is False
        assert await store.remove("a", old.version.upper()) is False
        assert await store.read("a") == old
        answers = await asyncio.gather(*(store.remove("a", old.version) for _ in range(8)))
        assert sorted(answers) == [False] * 7 + [True]
        assert await store.read_many(["a", "b"]) == [None, new]
        assert await other.read("a") == old
        clock.advance(2)
        assert await store.remove("b", new.version) is False
