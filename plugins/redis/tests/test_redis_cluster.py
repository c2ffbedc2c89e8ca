"""What only a cluster has, and only Sentinel: slots that move, nodes that end, a new primary."""

from __future__ import annotations

import asyncio
import string
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from palaver import ABSENT, Record, StoreUnavailableError
from palaver_redis import RedisSessionStore
from palaver_test_servers.fixtures import running
from palaver_test_servers.redis import RedisCluster, RedisSentinel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from palaver_test_servers.redis import RedisServer

pytestmark = pytest.mark.server

OLD, NEW = Record(b"old", "v1", None), Record(b"new", "v2", None)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster for these tests alone."""
    yield from running(RedisCluster(tmp_path_factory.mktemp("cluster")).start)


@pytest.fixture
def lone_node(tmp_path: Path) -> Iterator[RedisCluster]:
    """A cluster of one node, as hosting services have it."""
    yield from running(RedisCluster(tmp_path, size=1).start)


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[RedisSentinel]:
    """A primary, a replica and a Sentinel for one test alone."""
    yield from running(RedisSentinel(tmp_path).start)


class Move:
    """A slot on its way from the node that has it to another one."""

    def __init__(self, cluster: RedisCluster, key: str) -> None:
        self.slot = str(key_slot(key.encode()))
        self.source = cluster.nodes[int(self.slot) * 3 // 16384]
        self.target = next(node for node in cluster.nodes if node is not self.source)

    def begin(self) -> None:
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.ask("CLUSTER", "MYID"))
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.ask("CLUSTER", "MYID"))

    def take(self, key: str) -> None:
        assert self.source.ask("MIGRATE", "127.0.0.1", str(self.target.port), key, "0", "5000") == "OK"

    def end(self) -> None:
        for node in (self.target, self.source):
            assert node.ask("CLUSTER", "SETSLOT", self.slot, "NODE", self.target.ask("CLUSTER", "MYID")) == "OK"


async def test_every_node_is_used(cluster: RedisCluster, namespace: str) -> None:
    """Sessions are on all nodes, and a batch reaches each of them."""
    items = [(f"{n}", OLD) for n in range(300)]
    async with RedisSessionStore(cluster.url, namespace=namespace) as store:
        await store.write_many(items)
        sizes = [int(await asyncio.to_thread(node.ask, "DBSIZE")) for node in cluster.nodes]
        assert min(sizes) > 50
        assert await store.read_many([session_id for session_id, _ in items]) == [OLD] * 300
        assert await store.swap_many([(session_id, NEW, "v1") for session_id, _ in items]) == [True] * 300
        assert await store.clear() == 300


async def test_slot_that_moves(cluster: RedisCluster, namespace: str) -> None:
    """While a slot moves to another node, every session in it is read and saved where it is."""
    ids = [f"{{x}}{n}" for n in range(4)]
    keys = [f"palaver:{namespace}:{session_id}" for session_id in ids]
    move = Move(cluster, keys[0])
    async with RedisSessionStore(cluster.url, namespace=namespace) as store:
        await store.write_many([(session_id, OLD) for session_id in ids])
        await asyncio.to_thread(move.begin)
        for key in keys[:2]:
            await asyncio.to_thread(move.take, key)
        results = await asyncio.gather(*(store.read(session_id) for session_id in [*ids, "{x}nobody"] * 10))
        assert results == [OLD, OLD, OLD, OLD, None] * 10
        assert [await store.swap(session_id, NEW, "v1") for session_id in ids] == [True] * 4
        assert await store.swap("{x}new", NEW, ABSENT)
        for key in keys[2:]:
            await asyncio.to_thread(move.take, key)
        await asyncio.to_thread(move.end)
        assert await store.read_many([*ids, "{x}new"]) == [NEW] * 5
        assert await store.clear() == 5


async def test_batch_while_a_slot_moves(cluster: RedisCluster, namespace: str) -> None:
    """A batch of one slot that is on two nodes waits until it is on one again."""
    ids = ["{y}0", "{y}1"]
    keys = [f"palaver:{namespace}:{session_id}" for session_id in ids]
    move = Move(cluster, keys[0])
    async with RedisSessionStore(cluster.url, namespace=namespace) as store:
        await store.write_many([(session_id, OLD) for session_id in ids])
        await asyncio.to_thread(move.begin)
        await asyncio.to_thread(move.take, keys[0])
        batch = asyncio.create_task(store.swap_many([(session_id, NEW, "v1") for session_id in ids]))
        reading = asyncio.create_task(store.read_many(ids))
        done, _ = await asyncio.wait([batch, reading], timeout=0.1)
        assert not done
        await asyncio.to_thread(move.take, keys[1])
        await asyncio.to_thread(move.end)
        assert await batch == [True, True]
        assert await reading in ([OLD, OLD], [NEW, NEW])
        assert await store.clear() == 2


async def test_scan_while_a_slot_moves(cluster: RedisCluster, namespace: str) -> None:
    """A session that a scan has seen on one node is not seen again on the node to which it moves."""
    # On the first node, so that the scan comes to the other one later.
    tag = next(tag for tag in string.ascii_letters if key_slot(tag.encode()) * 3 < 16384)
    moving, key = f"{{{tag}}}", f"palaver:{namespace}:{{{tag}}}"
    move = Move(cluster, key)
    async with RedisSessionStore(cluster.url, namespace=namespace) as store:
        await store.write(moving, OLD)
        await store.write_many([(f"{n}", OLD) for n in range(100)])
        seen = []
        async for session_id in store.scan():
            seen.append(session_id)
            if session_id == moving:
                await asyncio.to_thread(move.begin)
                await asyncio.to_thread(move.take, key)
                await asyncio.to_thread(move.end)
        assert sorted(seen) == sorted([moving, *(f"{n}" for n in range(100))])
        assert await store.clear() == 101


async def test_all_nodes_killed_and_started_again(cluster: RedisCluster, namespace: str) -> None:
    """Nodes that were killed and started again are used again without help."""
    ids = [f"{n}" for n in range(60)]
    async with RedisSessionStore(cluster.url, namespace=namespace) as store:
        await asyncio.gather(*(store.swap(session_id, OLD, ABSENT) for session_id in ids))
        await asyncio.to_thread(cluster.kill)
        with pytest.raises(StoreUnavailableError):
            await store.read_many(ids)
        await asyncio.to_thread(cluster.start)
        answers = await asyncio.gather(*(store.swap(session_id, NEW, "v1") for session_id in ids))
        assert answers == [True] * 60
        assert await store.clear() == 60


async def test_restarted_while_nobody_looked(cluster: RedisCluster, namespace: str) -> None:
    """Connections that a node closed while nobody used them are replaced."""
    async with RedisSessionStore(cluster.url, namespace=namespace) as store:
        await asyncio.gather(*(store.write(f"{n}", OLD) for n in range(60)))
        await asyncio.to_thread(cluster.kill)
        await asyncio.to_thread(cluster.start)
        await asyncio.gather(*(store.write(f"{n}", OLD) for n in range(60)))
        assert await store.clear() == 60


async def test_new_primary(sentinel: RedisSentinel, namespace: str) -> None:
    """When Sentinel makes the replica the primary, the same store goes on with it, and has what it had."""
    async with RedisSessionStore(sentinel.url, namespace=namespace) as store:
        await store.write("a", OLD)
        await asyncio.to_thread(sentinel.primary.ask, "WAIT", "1", "1000")
        await asyncio.to_thread(sentinel.primary.kill)
        with pytest.raises(StoreUnavailableError):
            await store.read("a")
        async with asyncio.timeout(30):
            while not await swapped(store):  # noqa: ASYNC110  # what is waited for happens in other processes
                await asyncio.sleep(0.1)
        assert await store.read("a") == NEW


async def swapped(store: RedisSessionStore) -> bool:
    """Try to swap; tell whether somebody was there to do it."""
    try:
        return await store.swap("a", NEW, "v1")
    except StoreUnavailableError:
        return False


async def test_unknown_service(redis_sentinel: RedisSentinel) -> None:
    """A name that Sentinel does not know is said."""
    with pytest.raises(StoreUnavailableError, match="'nobody'"):
        await RedisSessionStore(redis_sentinel.url.replace("/bots", "/nobody")).init()


async def test_smallest_privilege(cluster: RedisCluster, namespace: str) -> None:
    """The privileges that the README names are enough."""
    may = "+ping +get +mget +exists +set +unlink +getrange +eval +evalsha +scan +dbsize +cluster +asking"
    for node in cluster.nodes:
        done = await asyncio.to_thread(node.ask, "ACL", "SETUSER", "bot", "on", ">pw", "~palaver:*", *may.split())
        assert done == "OK"
    async with RedisSessionStore(cluster.url.replace("://", "://bot:pw@"), namespace=namespace) as store:
        assert await store.swap_many([(f"{n}", OLD, ABSENT) for n in range(10)]) == [True] * 10
        assert len([session_id async for session_id in store.scan()]) == 10
        assert await store.purge() == 0
        assert await store.clear() == 10


async def test_no_cluster(redis_server: RedisServer) -> None:
    """A server that is no cluster is said."""
    with pytest.raises(StoreUnavailableError, match="Cluster mode is not enabled"):
        await RedisSessionStore(redis_server.url.replace("redis:", "redis+cluster:")).init()


async def test_cluster_of_one_node_without_saying_so(lone_node: RedisCluster) -> None:
    """The only node of a cluster, which has every key, is said at once, and not when two turns meet."""
    with pytest.raises(StoreUnavailableError, match=r"redis\+cluster://"):
        await RedisSessionStore(f"redis://127.0.0.1:{lone_node.port}").init()
    async with RedisSessionStore(lone_node.url) as store:
        assert await store.swap_many([(f"{n}", OLD, ABSENT) for n in range(10)]) == [True] * 10


async def test_cluster_without_saying_so(cluster: RedisCluster) -> None:
    """A cluster at whose node the URL points as at one server is said at once."""
    with pytest.raises(StoreUnavailableError, match=r"redis\+cluster://"):
        await RedisSessionStore(f"redis://127.0.0.1:{cluster.port}").init()
