"""Opening a MongoDB store: what it makes ready, and what it says when that cannot be."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import OperationFailure

from palaver import Record, StoreUnavailableError
from palaver_mongo import MongoSessionStore
from palaver_test_servers.fixtures import running
from palaver_test_servers.mongo import MongoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pymongo.asynchronous.collection import AsyncCollection

    MakeStore = Callable[..., MongoSessionStore]

pytestmark = pytest.mark.server

OPEN = """
import asyncio, sys
from palaver import Record
from palaver_mongo import MongoSessionStore

async def main(url, name, number):
    async with MongoSessionStore(url, collection_name=name) as store:
        await store.write(number, Record(b"{}", number, None))

asyncio.run(main(*sys.argv[1:]))
"""


_MAKES = ("find", "listCollections", "listIndexes", "createCollection", "createIndex")
_SAVES = ("insert", "update")


def _add_user(server: MongoServer, actions: tuple[str, ...]) -> None:
    """Make the user `maker` anew, who may do these actions in the database of the sessions."""
    privilege = {"resource": {"db": "palaver", "collection": ""}, "actions": list(actions)}
    with closing(server.connect()) as client:
        client.admin.command("createRole", f"maker{len(actions)}", privileges=[privilege], roles=[])
        with suppress(OperationFailure):
            client.admin.command("dropUser", "maker")
        client.admin.command("createUser", "maker", pwd="making", roles=[f"maker{len(actions)}"])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A server that asks for a password, and has a user `reader` who may only read."""
    for server in running(MongoServer(tmp_path_factory.mktemp("guarded"), password="hu:sh/h@sh").start):
        with closing(server.connect()) as client:
            client.admin.command("createUser", "reader", pwd="reading", roles=[{"role": "read", "db": "palaver"}])
            client.admin.command("createUser", "bot", pwd="talking", roles=[{"role": "readWrite", "db": "palaver"}])
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    request = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"),
    ]
    try:
        subprocess.run(request, cwd=folder, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    both = folder / "both.pem"
    both.write_bytes((folder / "certificate.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return both


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[MongoServer]:
    """A server that talks TLS only."""
    yield from running(MongoServer(tmp_path_factory.mktemp("encrypted"), certificate=certificate).start)


async def refused(url: str) -> str:
    """Return the message of the error of a store that cannot be opened for a reason that does not pass by itself."""
    return await unavailable(url, is_lasting=True)


async def unavailable(url: str, *, is_lasting: bool = False) -> str:
    """Open a store and return the message of the error that this must be."""
    store = MongoSessionStore(url, connect_timeout=1)
    with pytest.raises(StoreUnavailableError) as caught:
        await store.init()
    assert "hu:sh" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.retryable is not is_lasting
    await store.close()
    return str(caught.value)


async def test_opened_by_many(make: MakeStore) -> None:
    """A store may be opened by many at once, and several on one collection that is not there yet."""
    stores = [make() for _ in range(4)]
    await asyncio.gather(*(store.init() for store in stores for _ in range(3)))
    await stores[0].write("a", Record(b"{}", "v", None))
    assert [await store.read("a") for store in stores] == [Record(b"{}", "v", None)] * 4
    await asyncio.gather(*(store.close() for store in stores for _ in range(2)))


async def test_opening_cancelled(make: MakeStore) -> None:
    """A store whose opening was cancelled, at any moment, leaves no task behind and can be opened again."""
    store = make()
    tasks = asyncio.all_tasks()
    for delay in (0, 1, 2, 5, 10, 20, 40):
        opening = asyncio.create_task(store.init())
        for _ in range(delay):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert asyncio.all_tasks() == tasks
    async with store:
        assert await store.read("a") is None


async def test_opened_by_processes(mongodb_url: str, name: str, make: MakeStore) -> None:
    """Several processes may open a collection that is not there yet at the same moment."""
    command = [sys.executable, "-c", OPEN, mongodb_url, name]
    processes = [await asyncio.create_subprocess_exec(*command, str(number)) for number in range(4)]
    assert [await asyncio.wait_for(process.wait(), 60) for process in processes] == [0] * 4
    async with make() as store:
        assert sorted([session_id async for session_id in store.scan()]) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("options", [{"expireAfterSeconds": 0}, {}, {"expireAfterSeconds": 5, "name": "old"}])
async def test_index_with_other_options(
    make: MakeStore, raw: AsyncCollection[dict[str, Any]], options: dict[str, Any]
) -> None:
    """An index on the date that somebody made otherwise is changed, and no session is lost."""
    await raw.create_index("expire_date", **options)
    async with make() as store:
        await store.write("a", Record(b"{}", "v", None))
    async with make() as store:
        assert await store.read("a") is not None
    indexes = await raw.index_information()
    found = [index["expireAfterSeconds"] for index in indexes.values() if index["key"] == [("expire_date", 1)]]
    assert found == [3600]


@pytest.mark.parametrize("options", [{}, {"unique": True}, {"name": "mine"}])
async def test_index_for_purge_with_other_options(
    make: MakeStore, raw: AsyncCollection[dict[str, Any]], options: dict[str, Any]
) -> None:
    """An index on the same fields that somebody made otherwise is left as it is."""
    await raw.create_index(["_id.namespace", "due_at"], **options)
    before = await raw.index_information()
    async with make() as store:
        await store.write("a", Record(b"{}", "v", None))
    async with make() as store:
        assert await store.read("a") is not None
    after = await raw.index_information()
    assert {name: after[name] for name in before} == before


async def test_small_pages(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """A collection that the store creates has small pages; one that is there already stays as it is."""
    async with make():
        options = await raw.options()
    assert options == {"storageEngine": {"wiredTiger": {"configString": "leaf_page_max=8KB"}}}
    await raw.drop()
    await raw.database.create_collection(raw.name)
    async with make():
        assert await raw.options() == {}


async def test_collection_with_a_collation(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """A collection that compares texts by a language is refused: ids that differ would be one."""
    await raw.database.create_collection(raw.name, collation={"locale": "en", "strength": 1})
    with pytest.raises(StoreUnavailableError, match="has a collation"):
        await make().init()


async def test_capped_collection(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """A collection that forgets its oldest documents is refused."""
    await raw.database.create_collection(raw.name, capped=True, size=4096)
    with pytest.raises(StoreUnavailableError, match="is capped"):
        await make().init()


async def test_view(make: MakeStore, raw: AsyncCollection[dict[str, Any]]) -> None:
    """A view is refused."""
    await raw.database.command("create", raw.name, viewOn="other", pipeline=[])
    with pytest.raises(StoreUnavailableError, match="view"):
        await make().init()


async def test_database_of_the_url(mongo_server: MongoServer) -> None:
    """Sessions are in the database that the URL names, and in `palaver` when it names none."""
    for url, database in ((mongo_server.url, "palaver"), (f"{mongo_server.url}shop", "shop")):
        async with MongoSessionStore(url, collection_name="here") as store:
            await store.write("a", Record(b"{}", "v", None))
        names = await asyncio.to_thread(_collections, mongo_server, database)
        assert "here" in names


async def test_nobody_there() -> None:
    """A server that cannot be reached is unavailable, with its address."""
    assert "127.0.0.1:1" in await unavailable("mongodb://bot:hu%3Ash@127.0.0.1:1/")


async def test_unknown_host() -> None:
    """A host that has no address is unavailable, with its name."""
    assert "nowhere.invalid" in await unavailable("mongodb://bot:hu%3Ash@nowhere.invalid/")


async def test_unknown_cluster() -> None:
    """A cluster that the domain name system does not know is unavailable, with its name."""
    assert "cluster.invalid" in await unavailable("mongodb+srv://bot:hu%3Ash@cluster.invalid/")


async def test_wrong_password(guarded: MongoServer) -> None:
    """A wrong password is unavailable at once, with the address and without the password."""
    message = await refused(f"mongodb://root:hu%3Ashxx@{guarded.address}/?authSource=admin")
    assert f"mongodb://***@{guarded.address}/ is not available: the user or the password is wrong" in message


async def test_no_password(guarded: MongoServer) -> None:
    """A server that asks for a password that the URL does not have is unavailable."""
    assert "the user may not do this" in await refused(f"mongodb://{guarded.address}/")


async def test_user_who_may_only_read(guarded: MongoServer) -> None:
    """A user who may not write is told so when the store is opened, not at the first save."""
    message = await refused(f"mongodb://reader:reading@{guarded.address}/?authSource=admin")
    assert "the user may not do this; the role readWrite" in message


@pytest.mark.parametrize(
    ("allowed", "missing"), [((), "insert and update"), (("insert",), "insert and update"), (_SAVES, "remove")]
)
async def test_user_who_may_not_save(guarded: MongoServer, allowed: tuple[str, ...], missing: str) -> None:
    """A user who may make the collection and its indexes, and not save in it, is told which right is missing."""
    await asyncio.to_thread(_add_user, guarded, (*_MAKES, *allowed))
    message = await refused(f"mongodb://maker:making@{guarded.address}/?authSource=admin")
    assert f"the user may not {missing} in 'sessions'; the role readWrite" in message


async def test_user_who_may_read_and_write(guarded: MongoServer) -> None:
    """The role readWrite is all that a store needs."""
    async with MongoSessionStore(f"mongodb://bot:talking@{guarded.address}/?authSource=admin") as store:
        await store.write("a", Record(b"{}", "v", None))
        assert await store.clear() == 1


async def test_right_lost_meanwhile(guarded: MongoServer) -> None:
    """A right that is taken away is an error without any part of the command, which has the payload in it."""
    async with MongoSessionStore(f"mongodb://bot:talking@{guarded.address}/?authSource=admin") as store:
        await asyncio.to_thread(_grant, guarded, "read")
        try:
            for call in (store.write, partial(store.swap, expected="x")):
                with pytest.raises(StoreUnavailableError, match="the user may not do this") as caught:
                    await call("a", Record(b"hu:sh", "v", None))
                assert caught.value.__cause__ is caught.value.__context__ is None
        finally:
            await asyncio.to_thread(_grant, guarded, "readWrite")


async def test_tls(encrypted: MongoServer, certificate: Path) -> None:
    """A server that talks TLS is used with the options of pymongo."""
    async with MongoSessionStore(f"mongodb://{encrypted.address}/?tls=true&tlsCAFile={certificate}") as store:
        await store.write("a", Record(b"{}", "v", None))
        assert await store.read("a") is not None


async def test_tls_mismatch(encrypted: MongoServer, mongo_server: MongoServer) -> None:
    """TLS on one side only, or a certificate that nobody vouches for, is unavailable."""
    assert encrypted.address in await unavailable(f"mongodb://{encrypted.address}/")
    assert mongo_server.address in await unavailable(f"mongodb://{mongo_server.address}/?tls=true")
    assert "certificate verify failed" in await unavailable(f"mongodb://{encrypted.address}/?tls=true")


def _collections(server: MongoServer, database: str) -> list[str]:
    with closing(server.connect()) as client:
        names: list[str] = client[database].list_collection_names()
        return names


def _grant(server: MongoServer, role: str) -> None:
    with closing(server.connect()) as client:
        client.admin.command("updateUser", "bot", roles=[{"role": role, "db": "palaver"}])
