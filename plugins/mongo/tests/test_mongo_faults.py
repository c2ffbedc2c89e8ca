"""What happens when the server or the caller goes away, or the loop does."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import PyMongoError

from palaver import ABSENT, Record, StoreClosedError, StoreUnavailableError, new_version
from palaver_mongo import MongoSessionStore
from palaver_test_servers.fixtures import running
from palaver_test_servers.mongo import MongoServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    from pymongo.asynchronous.collection import AsyncCollection

    MakeStore = Callable[..., MongoSessionStore]

pytestmark = pytest.mark.server


def record(payload: bytes = b"{}") -> Record:
    return Record(payload, new_version(), None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    """A server for this test alone."""
    yield from running(MongoServer(tmp_path).start)


@asynccontextmanager
async def failing(server: MongoServer, times: int = 1, **data: Any) -> AsyncIterator[None]:
    """Make commands fail as `configureFailPoint` describes it."""

    def configure(mode: Any) -> None:
        with closing(server.connect()) as client:
            client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})

    await asyncio.to_thread(configure, {"times": times})
    try:
        yield
    finally:
        await asyncio.to_thread(configure, "off")


def process_of(server: MongoServer) -> int:
    """Return the process id of a server."""
    with closing(server.connect()) as client:
        return int(client.admin.command("serverStatus")["pid"])


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Freeze a process: it neither answers nor closes anything."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


async def test_killed_and_started_again(server: MongoServer) -> None:
    """After a crash of the server the same store goes on, and everything that was acknowledged is there."""
    items = [(str(number), record(str(number).encode())) for number in range(50)]
    async with MongoSessionStore(server.url, connect_timeout=5) as store:
        await store.write_many(items)
        live = record(b"swapped")
        assert await store.swap("0", live, items[0][1].version)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        assert await store.swap("0", record(b"again"), live.version)
        assert await store.read_many([each for each, _ in items[1:]]) == [each for _, each in items[1:]]
        await store.write("new", record())
        assert len([session_id async for session_id in store.scan()]) == 51


async def test_killed(server: MongoServer) -> None:
    """Without its server every verb says so; the store can be closed, and opened when the server is back."""
    store = MongoSessionStore(server.url, connect_timeout=0.3)
    async with store:
        await store.write("a", record(b"kept"))
        await asyncio.to_thread(server.kill)
        calls: list[Callable[[], Any]] = [
            lambda: store.read("a"),
            lambda: store.write("a", record()),
            lambda: store.swap("a", record(), ABSENT),
            lambda: store.destroy("a"),
            lambda: store.touch("a", None),
            store.purge,
            store.clear,
            lambda: anext(store.scan()),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1"):
                await call()
    with pytest.raises(StoreUnavailableError):
        await store.init()
    await asyncio.to_thread(server.start)
    async with store:
        found = await store.read("a")
        assert found is not None
        assert found.payload == b"kept"


async def test_frozen(server: MongoServer) -> None:
    """Where the server hangs, calls fail together after one timeout, and not one after the other."""
    loop = asyncio.get_running_loop()
    process = await asyncio.to_thread(process_of, server)
    async with MongoSessionStore(server.url, timeout=1, connect_timeout=1) as store:
        await store.write("a", record())
        with stopped(process):
            begin = loop.time()
            calls = [call for n in range(20) for call in (store.read("a"), store.write(f"{n}", record()))]
            results = await asyncio.gather(*calls, return_exceptions=True)
            took = loop.time() - begin
        assert {type(result) for result in results} == {StoreUnavailableError}
        assert took < 3
        assert await store.read("a") is not None


async def test_answer_lost(mongo_server: MongoServer, name: str) -> None:
    """A swap whose answer was lost is an error; repeated, it says that the record is stored, and stores it once."""
    async with MongoSessionStore(mongo_server.url, collection_name=name) as store:
        first = record()
        assert await store.swap("a", first, ABSENT)
        for fault in ({"closeConnection": True}, {"writeConcernError": {"code": 64, "errmsg": "too few"}}):
            second = record()
            async with failing(mongo_server, failCommands=["update"], **fault):
                with pytest.raises(StoreUnavailableError):
                    await store.swap("a", second, first.version)
            assert await store.swap("a", second, first.version)
            assert await store.read("a") == second
            first = second


async def test_error_of_the_server(mongo_server: MongoServer, name: str) -> None:
    """Whatever error the server gives, it is said what it means, and never taken for an answer."""
    async with MongoSessionStore(mongo_server.url, collection_name=name) as store:
        await store.write("a", record())
        async with failing(mongo_server, 3, failCommands=["update", "find", "delete"], errorCode=14031):
            for call in (store.read("a"), store.write("a", record()), store.destroy("a")):
                with pytest.raises(StoreUnavailableError, match=r"the disk of the server is full \(error 14031\)"):
                    await call


async def test_server_without_pages(mongo_server: MongoServer, name: str) -> None:
    """A server that knows nothing of pages creates the collection in its own way."""
    store = MongoSessionStore(mongo_server.url, collection_name=name)
    async with failing(mongo_server, failCommands=["create"], errorCode=72), store:
        live = record()
        await store.write("a", live)
        assert await store.read("a") == live


async def test_validator_of_the_collection(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """A rule of the collection that refuses one document of a batch is an error, and the others are stored."""
    rule = {"_id.id": {"$ne": "b"}}
    async with make() as store:
        await raw.database.command("collMod", raw.name, validator=rule)
        with pytest.raises(StoreUnavailableError, match="a validator of the collection"):
            await store.swap_many([(each, record(), ABSENT) for each in "abc"])
        assert [session_id async for session_id in store.scan()] == ["a", "c"]


async def test_unique_index_of_somebody(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """A unique index that somebody added is an error that names it, and not a swap that is refused."""
    async with make() as store:
        await raw.create_index("payload", unique=True)
        await store.write("a", record(b"same"))
        with pytest.raises(StoreUnavailableError, match="a unique index"):
            await store.swap("b", record(b"same"), ABSENT)


@pytest.mark.parametrize("verb", ["write", "swap", "destroy"])
async def test_cancelled_at_every_moment(make: MakeStore, verb: str) -> None:
    """A call that is cancelled has no effect after it has ended, and the store can be used."""
    canary, late = record(b"canary"), record(b"late")
    async with make() as store:
        for delay in range(12):
            old = record(b"old")
            await store.write("a", old)
            calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
                "write": partial(store.write, "a", late),
                "swap": partial(store.swap, "a", late, old.version),
                "destroy": partial(store.destroy, "a"),
            }
            call = asyncio.create_task(calls[verb]())
            for _ in range(delay):
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await store.read("a") in (old, None if verb == "destroy" else late)
            await store.write("a", canary)
            await asyncio.sleep(0.002)
            assert await store.read("a") == canary


async def test_closed_while_calls_run(make: MakeStore) -> None:
    """Calls that run are finished before the store is closed; later ones are refused."""
    async with make() as store:
        items = [(str(number), record()) for number in range(20)]
        calls = [asyncio.create_task(store.write(*item)) for item in items]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*calls)
        with pytest.raises(StoreClosedError):
            await store.read("0")
        await store.init()
        assert None not in await store.read_many([session_id for session_id, _ in items])


async def test_nothing_is_left_after_close(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """A closed store leaves no task and no connection behind."""
    await raw.database.command("ping")
    tasks, connections = asyncio.all_tasks(), await _connections(raw)
    for _ in range(3):
        async with make() as store:
            await asyncio.gather(*(store.read(str(number)) for number in range(20)))
    assert asyncio.all_tasks() == tasks
    async with asyncio.timeout(10):
        while await _connections(raw) > connections:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.01)


def test_several_loops(make: MakeStore) -> None:
    """One store works in one event loop after another, opened and closed in each."""
    store = make()
    written = record()

    async def use(number: int) -> None:
        async with store:
            await store.write(str(number), written)
            assert await store.read_many([str(each) for each in range(number + 1)]) == [written] * (number + 1)

    threads = threading.active_count()
    for number in range(3):
        asyncio.run(use(number))
    assert threading.active_count() <= threads


async def test_client_of_somebody(mongodb_url: str, name: str) -> None:
    """A client that was given is used, whatever it is set to, and stays open."""
    client: AsyncMongoClient[Any] = await asyncio.to_thread(
        lambda: AsyncMongoClient(mongodb_url, tz_aware=True, read_preference=ReadPreference.SECONDARY_PREFERRED)
    )
    try:
        async with MongoSessionStore(client, collection_name=name) as store:
            assert repr(store) == f"<MongoSessionStore an AsyncMongoClient collection {name!r}>"
            written = Record(b'{"id":"a","created":1,"last_activity":2,"state":{"a":1}}', "v", 5_000_000_000_000)
            await store.write("a", written)
            assert await store.read("a") == written
        document = await client.get_default_database("palaver")[name].find_one()
        assert document is not None
        assert document["expire_date"].tzinfo is not None
    finally:
        await client.close()


async def test_client_that_somebody_closed(mongodb_url: str, name: str) -> None:
    """A given client that its owner has closed is a store that is not available."""
    client: AsyncMongoClient[Any] = await asyncio.to_thread(AsyncMongoClient, mongodb_url)
    async with MongoSessionStore(client, collection_name=name) as store:
        await client.close()
        with pytest.raises(StoreUnavailableError) as caught:
            await store.read("a")
        assert isinstance(caught.value.__cause__, PyMongoError)


async def _connections(raw: AsyncCollection[dict[str, Any]]) -> int:
    status = await raw.database.command("serverStatus")
    return int(status["connections"]["current"])
