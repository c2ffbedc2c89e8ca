"""What the MongoDB store promises on a replica set of three servers."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from pymongo import AsyncMongoClient

from palaver import ABSENT, Record, Sessions, StoreUnavailableError, new_version
from palaver_mongo import MongoSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver_test_servers.mongo import MongoReplicaSet, MongoServer

pytestmark = pytest.mark.server


T = TypeVar("T")

TRIES = 30


def record(payload: bytes = b"{}") -> Record:
    return Record(payload, new_version(), None)


@pytest.fixture
def store(mongo_replica_set: MongoReplicaSet) -> MongoSessionStore:
    """A store on a collection that is not there yet."""
    return MongoSessionStore(mongo_replica_set.url, collection_name=f"test_{uuid.uuid4().hex}")


async def until_available(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until the store is available, as its caller may."""
    for _ in range(TRIES):
        try:
            return await call()
        except StoreUnavailableError:
            await asyncio.sleep(0.1)
    return await call()


async def test_primary_killed(mongo_replica_set: MongoReplicaSet, store: MongoSessionStore) -> None:
    """What was acknowledged is there after the primary was killed, and the same store goes on with the next one."""
    first = [(str(number), record(str(number).encode())) for number in range(50)]
    second = [(session_id, record(b"2"), old.version) for session_id, old in first]
    async with store:
        await store.write_many(first)
        primary = await asyncio.to_thread(mongo_replica_set.primary)
        await asyncio.to_thread(primary.kill)
        try:
            assert await until_available(lambda: store.swap_many(second)) == [True] * 50
            assert await store.read_many([each for each, _ in first]) == [each for _, each, _ in second]
            # Whoever repeats a swap whose answer was lost gets the same answer.
            assert await store.swap_many(second) == [True] * 50
        finally:
            await asyncio.to_thread(primary.start)
        assert await until_available(lambda: store.swap("new", record(), ABSENT))


async def test_primary_steps_down(mongo_replica_set: MongoReplicaSet, store: MongoSessionStore) -> None:
    """While primaries change, tasks that count together lose no count and count nothing twice."""
    async with store:
        await store.write("n", record(b"0"))

        async def count(times: int) -> None:
            for _ in range(times):
                await until_available(lambda: _increment(store))

        counting = asyncio.gather(*(count(20) for _ in range(4)))
        for _ in range(2):
            await asyncio.to_thread(_step_down, await asyncio.to_thread(mongo_replica_set.primary))
        await asyncio.wait_for(counting, 60)
        found = await until_available(lambda: store.read("n"))
        assert found is not None
        assert found.payload == b"80"


async def test_answer_lost(mongo_replica_set: MongoReplicaSet, store: MongoSessionStore) -> None:
    """On a replica set a swap whose answer was lost is repeated by itself, and takes effect once."""
    primary = await asyncio.to_thread(mongo_replica_set.primary)
    async with store:
        first, second = record(), record()
        await store.write("a", first)
        await asyncio.to_thread(_fail_once, primary)
        assert await store.swap_many([("a", second, first.version), ("b", first, second.version)]) == [True, False]
        assert await store.read_many(["a", "b"]) == [second, None]


async def test_majority_on_disk(mongo_replica_set: MongoReplicaSet, store: MongoSessionStore) -> None:
    """A save is acknowledged only when a majority has it, and without a majority it is an error within seconds."""
    primary = await asyncio.to_thread(mongo_replica_set.primary)
    others = [member for member in mongo_replica_set.members if member is not primary]
    async with store:
        await store.write("a", record())
        for member in others:
            await asyncio.to_thread(member.kill)
        try:
            with pytest.raises(StoreUnavailableError):
                await store.write("a", record())
        finally:
            for member in others:
                await asyncio.to_thread(member.start)
        await until_available(lambda: store.write("a", record()))


async def test_secondary_alone(mongo_replica_set: MongoReplicaSet) -> None:
    """A store that was pointed at a secondary alone is not available: it could not write there."""
    primary = await asyncio.to_thread(mongo_replica_set.primary)
    secondary = next(member for member in mongo_replica_set.members if member is not primary)
    store = MongoSessionStore(f"mongodb://{secondary.address}/?directConnection=true", collection_name="new")
    with pytest.raises(StoreUnavailableError, match="not the primary"):
        await store.init()


async def test_linearizable_reads(mongo_replica_set: MongoReplicaSet) -> None:
    """The read concern of the URL is that of the store, so that reads can be made to ask a majority."""
    url = f"{mongo_replica_set.url}&readConcernLevel=linearizable"
    async with MongoSessionStore(url, collection_name=f"test_{uuid.uuid4().hex}") as store:
        written = record()
        await store.write("a", written)
        assert await store.read_many(["a", "b"]) == [written, None]


async def _increment(store: MongoSessionStore) -> None:
    while True:
        found = await store.read("n")
        assert found is not None
        following = record(str(int(found.payload) + 1).encode())
        if await until_available(partial(store.swap, "n", following, found.version)):
            return


def _step_down(primary: MongoServer) -> None:
    with closing(primary.connect()) as client:
        client.admin.command("replSetStepDown", 1, force=True)


def _fail_once(primary: MongoServer) -> None:
    fault = {"writeConcernError": {"code": 91, "errmsg": "shutdown"}, "errorLabels": ["RetryableWriteError"]}
    with closing(primary.connect()) as client:
        client.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": {"times": 1},
                "data": {"failCommands": ["update"], **fault},
            }
        )


@pytest.mark.parametrize("verb", ["swap", "write"])
async def test_a_document_that_a_transaction_has_locked_holds_up_nobody_else(
    mongo_replica_set: MongoReplicaSet, verb: str
) -> None:
    """The others of its batch are saved; it is named, and saved when the transaction is over."""
    name, ids = f"test_{uuid.uuid4().hex}", [f"u{number}" for number in range(6)]
    store = MongoSessionStore(mongo_replica_set.url, collection_name=name, timeout=4)
    client: AsyncMongoClient[dict[str, Any]] = await asyncio.to_thread(AsyncMongoClient, mongo_replica_set.url)
    collection = client.get_default_database("palaver")[name]
    old, new = [(each, record(b"old")) for each in ids], [(each, record(b"new")) for each in ids]
    swaps = [(each, after, before.version) for (each, before), (_, after) in zip(old, new, strict=True)]
    try:
        async with store, client.start_session() as session:
            await store.write_many(old)
            async with await session.start_transaction():
                await collection.update_one({"_id.id": "u3"}, {"$set": {"seen": True}}, session=session)
                with pytest.raises(StoreUnavailableError, match="transaction has kept it locked") as caught:
                    await (store.swap_many(swaps) if verb == "swap" else store.write_many(new))
                assert caught.value.session_id == "u3"
                found = await store.read_many(ids)
                await session.abort_transaction()
            assert found == [old[3][1] if each == "u3" else after for each, after in new]
            # Whoever repeats the batch gets the same answers, and the last one is free now.
            assert await store.swap_many(swaps) == [True] * 6
    finally:
        await client.close()


async def test_a_client_with_few_connections(mongo_replica_set: MongoReplicaSet) -> None:
    """Its own limit is kept: turns wait for a connection instead of failing."""
    client: AsyncMongoClient[dict[str, Any]] = await asyncio.to_thread(
        AsyncMongoClient, mongo_replica_set.url, maxPoolSize=2
    )
    try:
        async with Sessions(MongoSessionStore(client, collection_name=f"test_{uuid.uuid4().hex}")) as sessions:

            async def count(number: int) -> None:
                async with sessions.turn(f"u{number % 50}") as session:
                    session.state["n"] = session.state.get("n", 0) + 1

            await asyncio.gather(*(count(number) for number in range(100)))
            snapshots = await asyncio.gather(*(sessions.peek(f"u{number}") for number in range(50)))
        assert [snapshot.state for snapshot in snapshots if snapshot is not None] == [{"n": 2}] * 50
    finally:
        await client.close()


async def test_a_dropped_collection_is_made_again(mongo_replica_set: MongoReplicaSet) -> None:
    """By the next save, with what is saved from then on; its indexes by the next init."""
    name = f"test_{uuid.uuid4().hex}"
    store = MongoSessionStore(mongo_replica_set.url, collection_name=name)
    client: AsyncMongoClient[dict[str, Any]] = await asyncio.to_thread(AsyncMongoClient, mongo_replica_set.url)
    try:
        async with store:
            indexes = await client.get_default_database("palaver")[name].index_information()
            await client.get_default_database("palaver").drop_collection(name)
            assert await store.read("a") is None
            saved = record()
            assert await store.swap("a", saved, ABSENT)
            assert await store.read("a") == saved
        async with store:
            assert await store.read("a") == saved
            assert await client.get_default_database("palaver")[name].index_information() == indexes
    finally:
        await client.close()
