"""What the MongoDB store promises, on a real server."""

from __future__ import annotations

import asyncio
import os
import sys
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandListener

from palaver import (
    ABSENT,
    CorruptSessionError,
    ManualClock,
    Record,
    SessionTooLargeError,
    SystemClock,
    new_version,
)
from palaver_mongo import MongoSessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

    MakeStore = Callable[..., MongoSessionStore]

pytestmark = pytest.mark.server

HOSTILE_IDS = [
    *("Ann", "ann", "ANN", " ann", "ann ", "ann\t", "ann\n", "änn", "k", "\u212a"),
    *(unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")),
    *("$", "$where", "$ne", "a.b", "a", ".", "*", "^a", ".*", "%", "_", "/", "a/b", "{}", '{"$gt":""}', "null"),
    *("x" * 512, "x" * 511, "X" * 512, "é" * 256, "😀" * 128, "😀", "\ufffd", "\uffff", "\U0010ffff", "\x01", "\x7f"),
]

ODD_PAYLOADS = {
    "empty": b"",
    "NUL": b"\0",
    "not UTF-8": b"\xff\xfe\x80",
    "BSON": b"\x05\0\0\0\0",
    "broken JSON": b'{"id":"a","created":1,"last_activity":2,"state":{',
    "two megabytes": os.urandom(2 * 1024 * 1024),
}


COUNT = """
import asyncio, sys
from palaver import Record, new_version
from palaver_mongo import MongoSessionStore

async def main(url, name):
    async with MongoSessionStore(url, collection_name=name) as store:
        for _ in range(20):
            while True:
                found = await store.read("n")
                following = Record(str(int(found.payload) + 1).encode(), new_version(), None)
                if await store.swap("n", following, found.version):
                    break

asyncio.run(main(*sys.argv[1:]))
"""


def record(payload: bytes = b"{}", expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


@pytest.mark.parametrize("payload", ODD_PAYLOADS.values(), ids=ODD_PAYLOADS.keys())
async def test_odd_payload(make: MakeStore, payload: bytes) -> None:
    """A payload comes back as it went in, written or swapped, also by a store that is opened later."""
    written, swapped = record(payload), record(payload)
    async with make() as store:
        await store.write("a", written)
        assert await store.read("a") == written
        assert await store.swap("a", swapped, written.version)
    async with make() as store:
        assert await store.read("a") == swapped


@pytest.mark.parametrize("expires_at", [None, 1_700_000_000_001, 2**31 * 1000, 2**53 + 1, 2**62, 2**63 - 1])
async def test_expiry_and_version_come_back(make: MakeStore, expires_at: int | None) -> None:
    """Version and expiry come back as they went in, however odd or far away."""
    written = Record(b"{}", '$$ROOT."\n\\ é', expires_at)
    async with make() as store:
        await store.write("a", written)
        assert await store.read("a") == written
        assert await store.swap("a", Record(b"2", "$version", expires_at), written.version)
        assert await store.touch("a", expires_at)
        assert await store.read("a") == Record(b"2", "$version", expires_at)


async def test_hostile_ids(make: MakeStore) -> None:
    """Ids never meet, whatever they look like, and none of them is taken for an operator."""
    assert len(set(HOSTILE_IDS)) == len(HOSTILE_IDS)
    records = {session_id: record(session_id.encode()) for session_id in HOSTILE_IDS}
    async with make(namespace="$ns.é") as store:
        assert await store.swap_many([(each, records[each], ABSENT) for each in HOSTILE_IDS]) == [True] * len(records)
        assert dict(zip(HOSTILE_IDS, await store.read_many(HOSTILE_IDS), strict=True)) == records
        assert sorted([session_id async for session_id in store.scan()]) == sorted(HOSTILE_IDS)
        await store.destroy("ann")
        assert await store.read_many(["ann", "Ann"]) == [None, records["Ann"]]


async def test_namespaces_never_meet(make: MakeStore) -> None:
    """A namespace has its own sessions, whatever its name looks like, and no other name reaches them."""
    stores = [make(namespace=name) for name in ("", "a", "A", "a.b", "$a", "é", "x" * 512)]
    for store in stores:
        async with store:
            await store.write("id", record(store.namespace.encode()))
    for store in stores:
        async with store:
            found = await store.read("id")
            assert found is not None
            assert found.payload == store.namespace.encode()
            assert [session_id async for session_id in store.scan()] == ["id"]
    async with stores[1] as store:
        assert await store.clear() == 1
    async with stores[2] as store:
        assert await store.purge() == 0
        assert await store.read("id") is not None


async def test_readable_document(make: MakeStore, raw: AsyncCollection[dict[str, Any]], clock: ManualClock) -> None:
    """A session is one document, in which people find the id, the state and the times."""
    payload = b'{"id":"telegram:42","created":1,"last_activity":2,"state":{"step":"checkout","cart":[{"n":1.5}]}}'
    soon = datetime.now(UTC) + timedelta(hours=1)
    async with make(namespace="shop") as store:
        await store.write("telegram:42", Record(payload, "v1", clock.now() + 3_600_000))

    (document,) = await raw.find({"state.step": "checkout"}).to_list()

    date = document.pop("expire_date").replace(tzinfo=UTC)
    assert abs(date - soon) < timedelta(minutes=5)
    assert clock.now() + 3_600_000 - 225_000 < document.pop("due_at") <= clock.now() + 3_600_000
    assert document == {
        "_id": {"namespace": "shop", "id": "telegram:42"},
        "payload": payload,
        "version": "v1",
        "expires_at": clock.now() + 3_600_000,
        "state": {"step": "checkout", "cart": [{"n": 1.5}]},
    }
    assert list(document["_id"]) == ["namespace", "id"]


STATES = {
    "dots and dollars": (b'{"a.b":1,"$set":{"x":1},"":2,"$ref":"a","$id":1}', True),
    "negative zero": (b'{"z":-0.0,"one":1.0}', True),
    "NUL in a text": (b'{"a":"\\u0000"}', True),
    "NUL in a key": (b'{"a\\u0000b":1}', False),
    "a lone surrogate": (b'{"a":"\\ud800"}', False),
    "64 bits": (b'{"low":-9223372036854775808,"high":9223372036854775807}', True),
    "65 bits": (b'{"n":9223372036854775808}', False),
    "90 levels": (b'{"a":' * 89 + b"{}" + b"}" * 89, True),
    "96 levels": (b'{"a":' * 95 + b"{}" + b"}" * 95, False),
    "5000 levels": (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", False),
    "many lists": (b'{"a":[' + b"[]," * 500 + b"[]]}", True),
    "no object": (b"[1]", False),
    "60 KB": (b'{"a":"' + b"x" * 60 * 1024 + b'"}', True),
    "64 KB": (b'{"a":"' + b"x" * 64 * 1024 + b'"}', False),
}


@pytest.mark.parametrize(("state", "has_copy"), STATES.values(), ids=STATES.keys())
async def test_copy_of_the_state(
    make: MakeStore, raw: AsyncCollection[dict[str, Any]], state: bytes, has_copy: bool
) -> None:
    """A state that MongoDB can express can be queried; one that it cannot is stored all the same."""
    payload = b'{"id":"a","created":1,"last_activity":2,"state":' + state + b"}"
    first, second = record(payload), record(payload)
    async with make() as store:
        await store.write("a", first)
        assert await raw.count_documents({"state": {"$type": "object"}}) == has_copy
        assert await store.swap("a", second, first.version)
        assert await raw.count_documents({"state": {"$type": "object"}}) == has_copy
        assert await store.read_many(["a", "b"]) == [second, None]


@pytest.mark.parametrize("by", ["write", "swap"])
async def test_nothing_of_the_old_record_survives(
    make: MakeStore, raw: AsyncCollection[dict[str, Any]], clock: ManualClock, by: str
) -> None:
    """A record without expiry and state replaces one that has both."""
    old = record(b'{"id":"a","created":1,"last_activity":2,"state":{}}', clock.now() + 1000)
    new = record(b"new")
    async with make() as store:
        await store.write("a", old)
        assert {"due_at", "expire_date"} < set(await raw.find_one() or {})
        await (store.write("a", new) if by == "write" else store.swap("a", new, old.version))
        assert set(await raw.find_one() or {}) == {"_id", "payload", "version", "expires_at"}


async def test_expired_on_every_path(make: MakeStore, clock: ManualClock) -> None:
    """At its expiry a session is gone for every verb, whether or not the server has removed it."""
    expired, kept = record(b"1", clock.now() + 5), record(b"2", clock.now() + 6)
    async with make() as store:
        await store.write_many([("a", expired), ("b", kept)])
        clock.advance(0.005)
        assert await store.read_many(["a", "b"]) == [None, kept]
        assert not await store.touch("a", None)
        assert not await store.swap("a", record(), expired.version)
        assert [session_id async for session_id in store.scan()] == ["b"]
        assert await store.swap("a", record(), ABSENT)
        clock.advance(-0.005)
        assert not await store.swap("a", record(), expired.version)


async def test_clock_far_in_the_past(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """What is alive by the injected clock is not due for removal, wherever that clock stands."""
    for now in (0, 1_000_000_000_000, 4_000_000_000_000):
        async with make(clock=ManualClock(now)) as store:
            await store.write("a", record(expires_at=now + 1000))
        document = await raw.find_one()
        assert document is not None
        assert abs(document["expire_date"].replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=5)


async def test_a_session_in_use_stays_in_its_place_of_both_indexes(
    make: MakeStore, raw: AsyncCollection[dict[str, Any]], clock: ManualClock
) -> None:
    """A save moves the expiry, and nothing that is indexed; a later one moves that, too."""
    hour = 3_600_000
    places = []
    async with make() as store:
        for expires_at in (clock.now() + 365 * 24 * hour + late for late in (1, 2, hour // 2, 2 * hour)):
            await store.write("a", record(expires_at=expires_at))
            document = await raw.find_one() or {}
            assert document["expires_at"] == expires_at
            assert document["due_at"] <= expires_at
            places.append((document["due_at"], document["expire_date"]))

    assert len(set(places)) < len(places)
    assert places[0] != places[-1]


async def test_beyond_the_year_9999(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """An expiry for which there is no date is exact, and the server never removes the session."""
    async with make(clock=SystemClock()) as store:
        await store.write("a", record(expires_at=253_402_300_800_000 + 1))
        assert "expire_date" not in (await raw.find_one() or {})
        assert await store.touch("a", 253_402_300_799_999 - 86_400_000)
        assert {"due_at", "expire_date"} < set(await raw.find_one() or {})
        assert await store.touch("a", None)
        assert set(await raw.find_one() or {}) == {"_id", "payload", "version", "expires_at"}


async def test_server_collects_garbage(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """The server has an index by which it removes what expired more than an hour ago, and nothing else."""
    async with make():
        indexes = await raw.index_information()
    assert indexes["expire_date_1"] == {"v": 2, "key": [("expire_date", 1)], "expireAfterSeconds": 3600}


async def test_server_removes_what_expired_long_ago(
    make: MakeStore, raw: AsyncCollection[dict[str, Any]], clock: ManualClock
) -> None:
    """The server removes what expired more than an hour ago, and leaves what is alive or expired just now."""
    expiries = {"long": clock.now() - 3_700_000, "just": clock.now(), "alive": clock.now() + 1, "for ever": None}
    async with make() as store:
        await store.write_many([(each, record(expires_at=expires_at)) for each, expires_at in expiries.items()])
    async with asyncio.timeout(100):
        while await raw.count_documents({}) == len(expiries):  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.1)
    assert await raw.distinct("_id.id") == ["alive", "for ever", "just"]


async def test_processes_that_count(mongodb_url: str, name: str, make: MakeStore) -> None:
    """Processes that count together with read and swap lose no count."""
    async with make() as store:
        await store.write("n", record(b"0"))
        command = [sys.executable, "-c", COUNT, mongodb_url, name]
        processes = [await asyncio.create_subprocess_exec(*command) for _ in range(8)]
        assert [await asyncio.wait_for(process.wait(), 60) for process in processes] == [0] * 8
        found = await store.read("n")
        assert found is not None
        assert found.payload == b"160"


async def test_largest_payload(make: MakeStore) -> None:
    """A payload at the limit is stored, whatever its id; one byte more is refused before anything is changed."""
    async with make(namespace="n" * 512) as store:
        limit = store.capabilities.max_payload_bytes
        assert limit is not None
        largest, too_large = record(b"x" * limit, 2**60), record(b"x" * (limit + 1))
        await store.write("i" * 512, largest)
        assert await store.read("i" * 512) == largest
        again = record(b"y" * limit, 2**60)
        assert await store.swap("i" * 512, again, largest.version)
        for call in (
            store.write("i" * 512, too_large),
            store.write_many([("b", record()), ("i" * 512, too_large)]),
            store.swap("i" * 512, too_large, again.version),
        ):
            with pytest.raises(SessionTooLargeError) as caught:
                await call
            assert (caught.value.session_id, caught.value.size) == ("i" * 512, limit + 1)
        assert await store.read_many(["i" * 512, "b"]) == [again, None]


async def test_batch_larger_than_a_message(make: MakeStore) -> None:
    """A batch of more bytes than a message of MongoDB may have is stored, and every answer is in its place."""
    items = [(str(number), record(os.urandom(1024 * 1024))) for number in range(60)]
    async with make() as store:
        await store.write("30", record())
        answers = await store.swap_many([(*item, ABSENT) for item in items])
        assert answers == [number != 30 for number in range(60)]
        found = await store.read_many([session_id for session_id, _ in items])
        assert found[:30] + found[31:] == [each for _, each in items[:30] + items[31:]]


async def test_many_create_one_session(make: MakeStore) -> None:
    """Of many who create a session at the same moment, from two stores, one succeeds, and nobody gets an error."""
    async with make() as one, make() as other:
        for number in range(10):
            session_id = f"s{number}"
            records = [record(str(index).encode()) for index in range(20)]
            stored = await asyncio.gather(
                *((one, other)[index % 2].swap(session_id, each, ABSENT) for index, each in enumerate(records))
            )
            assert sum(stored) == 1
            assert await one.read(session_id) == records[stored.index(True)]
            await asyncio.gather(
                *((one, other)[index % 2].write(f"w{number}", each) for index, each in enumerate(records))
            )
            assert await other.read(f"w{number}") in records


async def test_definite_answers(make: MakeStore, clock: ManualClock) -> None:
    """Each swap of a batch has its own answer: stored, stored before, refused, nothing there, expired, in order."""
    there, expiring, new = record(b"there"), record(b"gone", clock.now() + 1), record(b"new")
    async with make() as store:
        await store.write_many([("there", there), ("same", new), ("refused", there), ("expired", expiring)])
        clock.advance(0.001)
        answers = await store.swap_many(
            [
                ("there", new, there.version),
                ("same", new, "some other"),
                ("refused", new, "some other"),
                ("refused", new, ABSENT),
                ("missing", new, there.version),
                ("missing", new, ABSENT),
                ("missing", there, new.version),
                ("expired", new, expiring.version),
                ("expired", new, ABSENT),
            ]
        )
        assert answers == [True, True, False, False, False, True, True, False, True]
        assert await store.read_many(["there", "same", "refused", "missing", "expired"]) == [
            new,
            new,
            there,
            there,
            new,
        ]
        assert await store.swap_many([]) == []


async def test_touch_and_swap_at_once(make: MakeStore, clock: ManualClock) -> None:
    """A touch that runs beside swaps neither loses one nor brings an old record back."""
    async with make() as store, make() as other:
        live = record()
        await store.write("a", live)
        for _ in range(20):
            following = record()
            stored, touched = await asyncio.gather(
                store.swap("a", following, live.version), other.touch("a", clock.now() + 1000)
            )
            assert stored
            assert touched
            live = following
            found = await store.read("a")
            assert found is not None
            assert found.version == live.version


async def test_many_pages(make: MakeStore, clock: ManualClock) -> None:
    """Scan, purge and clear go on after the first thousand, and count exactly."""
    async with make() as store, make(namespace="other") as other:
        await other.write("x", record())
        await store.write_many([(f"a{number:05}", record()) for number in range(1500)])
        await store.write_many([(f"b{number:05}", record(expires_at=clock.now() + 1)) for number in range(1500)])
        clock.advance(1)
        seen = [session_id async for session_id in store.scan()]
        assert seen == [f"a{number:05}" for number in range(1500)]
        assert len([each async for each in store.scan("a0000")]) == 10
        assert await store.purge() == 1500
        await store.write("b", record(expires_at=clock.now() + 1))
        clock.advance(1)
        assert await store.clear() == 1500
        assert [each async for each in store.scan()] == []
        assert await other.read("x") is not None


async def test_purge_costs_what_has_expired(mongodb_url: str, clock: ManualClock) -> None:
    """However many sessions live, purge looks at those that have expired and at few besides."""
    # In a database of its own, because the server notes what it does database by database.
    database = f"test_{uuid.uuid4().hex}"
    client: AsyncMongoClient[dict[str, Any]] = await asyncio.to_thread(AsyncMongoClient, mongodb_url)
    address, mark, query = mongodb_url.partition("?")
    url = f"{address.rstrip('/')}/{database}{mark}{query}"
    expiries = {"live": clock.now() + 2, "expired": clock.now() + 1, "for ever": None}
    items = [(f"{kind} {number}", record(expires_at=expiries[kind])) for number in range(400) for kind in expiries]
    try:
        async with MongoSessionStore(url, clock=clock) as store:
            async with MongoSessionStore(url, clock=clock, namespace="other") as other:
                await other.write_many(items)
            await store.write_many(
                [*items, *((f"also {kind}", record(expires_at=expiries[kind])) for kind in expiries)]
            )
            clock.advance(0.001)
            await client[database].command("profile", 2)
            assert await store.purge() == 401
            assert await store.purge() == 0
        purges = await client[database]["system.profile"].find({"op": {"$in": ["query", "remove"]}}).to_list()
        assert len(purges) == 4
        assert sum(each["docsExamined"] for each in purges) == 2 * 401
        assert sum(each["keysExamined"] for each in purges) < 3 * 401
        finds = [each["planSummary"] for each in purges if each["op"] == "query"]
        assert finds == ["IXSCAN { _id.namespace: 1, due_at: 1 }"] * 3
    finally:
        await client.drop_database(database)
        await client.close()


async def test_purge_leaves_what_is_no_session(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """Documents that somebody else put beside the sessions are not purged, whatever expiry they have."""
    strange: list[dict[str, Any]] = [
        {"id": "a", "namespace": "n"},
        {"namespace": "n", "id": "a", "more": 1},
        {"namespace": "n", "id": 7},
        {"namespace": "n"},
    ]
    await raw.insert_many([{"_id": key, "expires_at": 1, "due_at": 1} for key in strange])
    async with make(namespace="n") as store:
        await store.write("a", record(expires_at=1))
        assert await store.purge() == 1
    assert await raw.count_documents({}) == len(strange)


async def test_pages_are_full(make: MakeStore, mongodb_url: str, name: str) -> None:
    """A scan asks for a thousand sessions at a time."""
    heard = _Commands()
    client: AsyncMongoClient[Any] = await asyncio.to_thread(AsyncMongoClient, mongodb_url, event_listeners=[heard])
    try:
        async with MongoSessionStore(client, collection_name=name) as store:
            await store.write_many([(f"{number:04}", record()) for number in range(1999)])
            assert len([each async for each in store.scan()]) == 1999
        assert sum("find" in command for command in heard.commands) == 3
    finally:
        await client.close()


class _Commands(CommandListener):
    """Notes commands."""

    def __init__(self) -> None:
        self.commands: list[Mapping[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to note."""


async def test_scan_left_early(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """A scan that is left early leaves no cursor open on the server."""
    async with make() as store:
        await store.write_many([(f"{number:05}", record()) for number in range(1200)])
        before = await _open_cursors(raw)
        for _ in range(5):
            async for _ in store.scan():
                break
        assert await _open_cursors(raw) <= before


DAMAGE: dict[str, dict[str, Any]] = {
    "no payload": {"$unset": {"payload": ""}},
    "payload as text": {"$set": {"payload": "{}"}},
    "no version": {"$unset": {"version": ""}},
    "version as number": {"$set": {"version": 1}},
    "no expiry": {"$unset": {"expires_at": ""}},
    "expiry as text": {"$set": {"expires_at": "soon"}},
    "expiry as fraction": {"$set": {"expires_at": 1.5}},
    "expiry as date": {"$set": {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
async def test_damaged_document(
    make: MakeStore, raw: AsyncCollection[dict[str, Any]], damage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A document that cannot be understood is an error of its own session only, until it is destroyed."""
    async with make() as store:
        live = record()
        await store.write_many([("a", live), ("b", live)])
        await raw.update_one({"_id.id": "a"}, damage)
        damaged = await raw.find_one({"_id.id": "a"})
        for call in (
            store.read("a"),
            store.read_many(["b", "a"]),
            store.touch("a", None),
            store.swap("a", record(), live.version),
            store.swap("a", record(), ABSENT),
            store.swap_many([("a", record(), live.version)]),
        ):
            with pytest.raises(CorruptSessionError, match="'a'"):
                await call
        assert await store.read("b") == live
        assert [session_id async for session_id in store.scan()] == ["b"]
        assert "session 'a' in mongodb://" in caplog.text
        assert await store.purge() == 0
        assert await raw.find_one({"_id.id": "a"}) == damaged
        await store.destroy("a")
        assert await store.read("a") is None
        await raw.insert_one({**(damaged or {})})
        assert await store.clear() == 1
        assert await raw.count_documents({}) == 0


@pytest.mark.parametrize("field", ["payload", "version", "expires_at"])
async def test_array_in_a_document(
    make: MakeStore, raw: AsyncCollection[dict[str, Any]], clock: ManualClock, field: str
) -> None:
    """An array is no value of a session, not even one that has the right value in it."""
    live = record(expires_at=clock.now() + 1000)
    async with make() as store:
        await store.write("a", live)
        await raw.update_one({}, [{"$set": {field: [f"${field}"]}}])
        with pytest.raises(CorruptSessionError, match="'a'"):
            await store.swap("a", record(expires_at=clock.now() + 1000), live.version)


async def test_swap_that_begins_or_ends_to_expire(make: MakeStore, clock: ManualClock) -> None:
    """A session that never expires may be swapped for one that does, and the other way round."""
    records = [record(expires_at=each) for each in (None, None, clock.now() + 1000, clock.now() + 2000, None)]
    async with make() as store:
        await store.write("a", records[0])
        for old, new in pairwise(records):
            assert not await store.swap("a", new, "some other")
            assert await store.swap("a", new, old.version)
            assert await store.read("a") == new


async def test_lone_swap_is_one_command(mongodb_url: str, name: str) -> None:
    """A swap that stores is one command, which finds its document by the index of its key."""
    heard = _Commands()
    client: AsyncMongoClient[Any] = await asyncio.to_thread(AsyncMongoClient, mongodb_url, event_listeners=[heard])
    try:
        async with MongoSessionStore(client, collection_name=name) as store:
            live = record(expires_at=store.expiry(store.clock.now()))
            await store.write("a", live)
            heard.commands.clear()
            assert await store.swap("a", record(expires_at=live.expires_at), live.version)
        (update,) = heard.commands
        assert update["updates"][0]["u"]["payload"] == live.payload
        explained = await client["palaver"].command(
            "explain", {"update": name, "updates": update["updates"]}, verbosity="executionStats"
        )
        stats = explained["executionStats"]
        assert (stats["totalKeysExamined"], stats["totalDocsExamined"]) == (1, 1)
    finally:
        await client.close()


async def test_strange_documents(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """Documents that somebody else put into the collection disturb nobody."""
    async with make(namespace="n") as store:
        await store.write("a", record())
        await raw.insert_many(
            [
                {"x": 1},
                {"_id": "a"},
                {"_id": {"id": "a", "namespace": "n"}},
                {"_id": {"namespace": "n", "id": "a", "more": 1}, "expires_at": 1},
                {"_id": {"namespace": "n", "zzz": "a"}},
                {"_id": {"namespace": "n", "id": 7}},
                {"_id": {"namespace": "n"}},
            ]
        )
        assert [session_id async for session_id in store.scan()] == ["a"]
        assert await store.read_many(["a", "b"]) != [None, None]
        await store.purge()
        await store.clear()
        assert await store.read("a") is None
        assert await raw.count_documents({"_id": {"$in": ["a", {"id": "a", "namespace": "n"}]}}) == 2


async def _open_cursors(raw: AsyncCollection[dict[str, Any]]) -> int:
    status = await raw.database.command("serverStatus")
    return int(status["metrics"]["cursor"]["open"]["total"])
