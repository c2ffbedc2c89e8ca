"""The URLs of the Redis store, and clients that somebody else made."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import traceback
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import Sentinel

from palaver import ABSENT, InvalidOptionError, Record, Sessions, open_store
from palaver_redis import RedisSessionStore
from palaver_redis._location import Kind, parse_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from palaver_test_servers.redis import RedisCluster as ClusterServer
    from palaver_test_servers.redis import RedisSentinel, RedisServer

RECORD = Record(b"x", "v1", None)

# Otherwise redis-py reads files to find out its own version, on the event loop.
QUIET: dict[str, Any] = {"driver_info": None}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://me:s3cr3t@localhost:6380/2", "redis://***@localhost:6380/2"),
        ("redis://:s3c/r3t@t@localhost", "redis://***@localhost"),
        ("redis://localhost?password=s3cr3t", "redis://localhost"),
        ("unix://:s3cr3t@/run/redis.sock?db=3", "unix://***@/run/redis.sock"),
        ("redis+cluster://me:s3cr3t@a:1,b:2", "redis+cluster://***@a:1,b:2"),
        ("redis+sentinel://me:s3cr3t@a,b:2/bots/1?sentinel_password=s3cr3t", "redis+sentinel://***@a,b:2/bots/1"),
    ],
)
def test_repr(url: str, shown: str) -> None:
    """A store shows where it is, and never a password."""
    assert repr(open_store(url)) == f"<RedisSessionStore {shown}>"


def test_hosts() -> None:
    """Hosts, ports, databases and credentials are where they stand in URLs everywhere."""
    assert parse_url("redis://").hosts == (("localhost", 6379),)
    assert parse_url("redis://[::1]:1/5").hosts == (("::1", 1),)
    assert parse_url("redis://[::1]").hosts == (("::1", 6379),)
    assert parse_url("redis://h/5").options == {"db": 5}
    assert parse_url("redis://h/").options == {}
    assert parse_url("redis://us%40er:p%2F@h").options == {"username": "us@er", "password": "p/"}
    assert parse_url("redis+cluster://a:1,b").hosts == (("a", 1), ("b", 6379))
    sentinel = parse_url("rediss+sentinel://:p@a,b:1/my%20bots/7?sentinel_username=u&sentinel_password=q")
    assert (sentinel.kind, sentinel.service, sentinel.tls) == (Kind.SENTINEL, "my bots", True)
    assert sentinel.hosts == (("a", 26379), ("b", 1))
    assert sentinel.options == {"password": "p", "db": 7}
    assert sentinel.sentinel_options == {"username": "u", "password": "q"}
    assert parse_url("valkeys+cluster://h:1").tls
    assert parse_url("valkey://h:1/2").options == parse_url("redis://h:1/2").options
    assert parse_url("unix:///run/my%20redis.sock?db=1").path == "/run/my redis.sock"


def test_options() -> None:
    """Options of the store and of the connection come from the query, and those given by keyword win."""
    store = open_store("redis://h?ttl=60&namespace=bot%20one&timeout=1.5&connect_timeout=2&db=1", namespace="two")
    assert isinstance(store, RedisSessionStore)
    assert (store.ttl, store.namespace) == (timedelta(seconds=60), "two")
    options = "rediss://h?client_name=bot&ssl_ca_certs=/ca.pem&ssl_check_hostname=no&socket_keepalive=1&protocol=3"
    assert parse_url(options).options == {
        "client_name": "bot",
        "ssl_ca_certs": "/ca.pem",
        "ssl_check_hostname": False,
        "socket_keepalive": True,
        "protocol": 3,
    }


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://h?color=red", "color"),
        ("redis://h?decode_responses=true", "decode_responses"),
        ("redis://h?ssl_ca_certs=x", "ssl_ca_certs"),
        ("redis://h?db=one", "db"),
        ("redis://h/one", "db"),
        ("redis://h/1?db=2", "db"),
        ("redis://h?ttl=soon", "ttl"),
        ("redis://h?timeout=0", "timeout"),
        ("redis://h?timeout=nan", "timeout"),
        ("redis://h?connect_timeout=-1", "connect_timeout"),
        ("redis+cluster://h?db=1", "db"),
        ("redis+cluster://h/1", "url"),
        ("redis+sentinel://h", "url"),
        ("redis://h:port", "url"),
        ("redis://h:99999", "url"),
        ("redis://a,b", "url"),
        ("redis:h", "url"),
        ("unix://run/redis.sock", "url"),
    ],
)
def test_useless_url(url: str, named: str) -> None:
    """What has no meaning is refused, and the message names what it is."""
    with pytest.raises(InvalidOptionError) as caught:
        open_store(url)
    assert caught.value.option == named


@pytest.mark.parametrize("url", ["redis://me:s3cr3t", "redis://me:s3cr3t@h/s3cr3t", "redis://:h@x:s3cr3t"])
def test_useless_url_with_password(url: str) -> None:
    """A message about a URL keeps the password, also one that is not written as it should be."""
    with pytest.raises(InvalidOptionError) as caught:
        open_store(url)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short: that of a socket may have about a hundred characters."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="only Unix has such sockets")
async def test_socket(start: Callable[..., Awaitable[RedisServer]], short_folder: Path) -> None:
    """A socket in the file system is a server like any other."""
    path = short_folder / "r.sock"
    await start(settings=[f'unixsocket "{path}"'])
    async with RedisSessionStore(f"unix://{path}?db=3") as store:
        assert await store.swap("a", RECORD, ABSENT)
        assert await store.read("a") == RECORD


async def test_databases(start: Callable[..., Awaitable[RedisServer]]) -> None:
    """The numbered databases of a server do not see each other."""
    server = await start()
    async with RedisSessionStore(f"{server.url}/1") as one, RedisSessionStore(f"{server.url}?db=2") as two:
        await one.write("a", RECORD)
        assert await two.read("a") is None
        assert [session_id async for session_id in two.scan()] == []


async def use(store: RedisSessionStore) -> None:
    """Use a store twice, and close it in between."""
    for number in ("1", "2"):
        async with store:
            assert await store.swap(number, RECORD, ABSENT)
            await store.write_many([(f"{number} {n}", RECORD) for n in range(30)])
            assert await store.read(number) == RECORD
    async with store:
        assert await store.clear() == 62


async def test_client(redis_server: RedisServer, namespace: str) -> None:
    """A client of somebody else is used as it is, and stays open."""
    async with Redis.from_url(redis_server.url, **QUIET) as client:
        store = RedisSessionStore(client, namespace=namespace)
        assert repr(store) == f"<RedisSessionStore redis://127.0.0.1:{redis_server.port}/0>"
        before = await client.client_id()
        await use(store)
        assert await client.client_id() == before


@pytest.mark.parametrize("options", [{"protocol": 3}, {"single_connection_client": True}, {"encoding": "latin-1"}])
async def test_odd_client(redis_server: RedisServer, namespace: str, options: dict[str, Any]) -> None:
    """A client of somebody else may speak RESP3, have one connection, or encode text in its own way."""
    async with Redis.from_url(redis_server.url, **QUIET, **options) as client:
        await use(RedisSessionStore(client, namespace=namespace))
        await client.ping()


async def test_client_of_a_cluster(redis_cluster: ClusterServer, namespace: str) -> None:
    """A cluster client of somebody else is used as it is, and stays open."""
    async with RedisCluster(host="127.0.0.1", port=redis_cluster.port, **QUIET) as client:
        store = RedisSessionStore(client, namespace=namespace)
        assert repr(store).startswith("<RedisSessionStore redis+cluster://127.0.0.1:")
        await use(store)
        assert await client.set(f"{namespace} mine", "x")
        assert await client.delete(f"{namespace} mine") == 1


async def test_client_of_a_sentinel(redis_sentinel: RedisSentinel, namespace: str) -> None:
    """A client that Sentinel made is used as it is, and stays open."""
    address = ("127.0.0.1", redis_sentinel.port)
    sentinel = Sentinel([address], sentinel_kwargs=QUIET, **QUIET)  # type: ignore[no-untyped-call]
    async with sentinel.sentinels[0], sentinel.master_for(redis_sentinel.service) as client:
        store = RedisSessionStore(client, namespace=namespace)
        assert repr(store) == "<RedisSessionStore redis+sentinel:///bots>"
        await use(store)
        await client.ping()


@pytest.mark.parametrize("taken", [0, 1], ids=["alone", "beside its owner"])
async def test_client_with_few_connections(redis_server: RedisServer, namespace: str, taken: int) -> None:
    """Fifty turns share what the pool of the client allows: they wait for a connection, and none fails."""
    client = Redis.from_url(redis_server.url, max_connections=2, **QUIET)
    in_use = [await client.connection_pool.get_connection() for _ in range(taken)]  # type: ignore[no-untyped-call]
    async with Sessions(RedisSessionStore(client, namespace=namespace)) as sessions:

        async def turn(number: int) -> None:
            async with sessions.turn(f"u:{number}") as session:
                session.set_state(n=number)

        await asyncio.gather(*map(turn, range(50)))
        assert await sessions.store.clear() == 50
    for connection in in_use:
        await client.connection_pool.release(connection)
    await client.aclose()


async def test_client_with_password(start: Callable[..., Awaitable[RedisServer]]) -> None:
    """The password of a client is not shown."""
    server = await start(password="s3cr3t")
    async with Redis.from_url(server.url, **QUIET) as client:
        store = RedisSessionStore(client)
        assert "s3cr3t" not in repr(store)
        await use(store)


async def test_useless_client() -> None:
    """A client that blocks, or decodes what it reads, is refused at once."""
    with pytest.raises(InvalidOptionError, match=r"redis\.asyncio"):
        RedisSessionStore(redis.Redis(**QUIET))  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="decode_responses"):
        RedisSessionStore(Redis(decode_responses=True, **QUIET))
    with pytest.raises(InvalidOptionError, match="decode_responses"):
        RedisSessionStore(RedisCluster(host="127.0.0.1", decode_responses=True, **QUIET))
    with pytest.raises(InvalidOptionError, match="NoneType"):
        RedisSessionStore(None)  # type: ignore[arg-type]


def test_url_of_somebody(redis_url: str) -> None:
    """A store can be made outside of an event loop."""
    store = RedisSessionStore(redis_url, namespace=urlsplit(redis_url).netloc)

    async def count() -> int:
        async with store:
            return len([session_id async for session_id in store.scan()])

    assert asyncio.run(count()) == 0
