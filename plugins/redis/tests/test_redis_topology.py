"""How the nodes of a cluster are found, and what becomes of the connections to them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.cluster import LoadBalancingStrategy
from redis.crc import key_slot

from palaver import ABSENT, Record, StoreUnavailableError
from palaver_redis import RedisSessionStore
from palaver_redis._keys import Keys
from palaver_test_servers import free_port
from palaver_test_servers.fixtures import running
from palaver_test_servers.redis import RedisCluster as ClusterServer
from palaver_test_servers.redis import RedisServer, make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.server

OLD, NEW = Record(b"old", "v1", None), Record(b"new", "v2", None)
IDS: Final = [f"{n}" for n in range(60)]
NAME: Final = "counted"

# Otherwise redis-py reads files to find out its own version, on the event loop.
QUIET: dict[str, Any] = {"driver_info": None}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterServer]:
    """A cluster for these tests alone."""
    yield from running(ClusterServer(tmp_path_factory.mktemp("cluster")).start)


@pytest.fixture
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterServer]:
    """A cluster for one test alone."""
    yield from running(ClusterServer(tmp_path_factory.mktemp("cluster")).start)


@pytest.fixture
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A node that is in no cluster yet."""
    yield from running(node_of_a_cluster(tmp_path_factory.mktemp("spare"), "cluster-announce-ip 127.0.0.1").start)


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """A function that starts a cluster of one node, which does not know by which address it is reached."""
    started: list[Iterator[RedisServer]] = []

    def start(*settings: str, missing: int | None = None, **options: Any) -> RedisServer:
        folder = tmp_path / f"lone-{len(started)}"
        folder.mkdir()
        node = node_of_a_cluster(folder, *settings, **options)
        started.append(running(node.start))
        next(started[-1])
        assert node.ask("CLUSTER", "ADDSLOTS", *(f"{slot}" for slot in range(16384) if slot != missing)) == "OK"
        wait_until(lambda: is_ready(node))
        return node

    yield start
    for server in started:
        next(server, None)


def node_of_a_cluster(folder: Path, *settings: str, **options: Any) -> RedisServer:
    """Make a server that has no slot yet and knows of no other node."""
    needed = ("cluster-enabled yes", "cluster-node-timeout 1000", "cluster-require-full-coverage no")
    node = RedisServer(folder, settings=[*needed, *settings], **options)
    node.port = free_port() - 10_000  # nodes talk to each other at that port and 10,000
    return node


def connections_to(node: RedisServer) -> int:
    """Count the connections to a node that have the name."""
    return node.ask("CLIENT", "LIST").count(f" name={NAME} ")


async def counted(nodes: Sequence[RedisServer]) -> list[int]:
    """Count the connections to each node."""
    return [await asyncio.to_thread(connections_to, node) for node in nodes]


async def eventually(nodes: Sequence[RedisServer], expected: list[int]) -> None:
    """Wait until there are so many connections to each node: a node notices an end a moment later."""
    async with asyncio.timeout(10):
        while await counted(nodes) != expected:  # noqa: ASYNC110  # what is waited for happens in other processes
            await asyncio.sleep(0.01)


async def use(store: RedisSessionStore) -> None:
    """Use all nodes, with many calls at a time."""
    assert all(await asyncio.gather(*(store.swap(session_id, OLD, ABSENT) for session_id in IDS)))
    assert await store.read_many(IDS) == [OLD] * len(IDS)
    assert sorted([session_id async for session_id in store.scan()]) == sorted(IDS)
    assert await store.clear() == len(IDS)


async def test_nothing_stays_open(cluster: ClusterServer, namespace: str) -> None:
    """No connection is left when a store is closed."""
    async with RedisSessionStore(f"{cluster.url}?client_name={NAME}", namespace=namespace) as store:
        await use(store)
        assert min(await counted(cluster.nodes)) > 0
    await eventually(cluster.nodes, [0, 0, 0])


async def test_nothing_stays_open_after_a_failed_opening(own_cluster: ClusterServer, namespace: str) -> None:
    """No connection is left when a store could not be opened."""
    await asyncio.to_thread(own_cluster.nodes[2].kill)
    with pytest.raises(StoreUnavailableError):
        await RedisSessionStore(f"{own_cluster.url}?client_name={NAME}", namespace=namespace).init()
    await eventually(own_cluster.nodes[:2], [0, 0])


async def test_client_that_is_open(cluster: ClusterServer, namespace: str) -> None:
    """A store leaves the connections of somebody's client alone, and closes its own."""
    async with RedisCluster(host="127.0.0.1", port=cluster.port, client_name=NAME, **QUIET) as client:
        for node in client.get_primaries():
            await client.ping(target_nodes=node)
        before = await counted(cluster.nodes)
        clients = {await client.client_id(target_nodes=node) for node in client.get_primaries()}
        async with RedisSessionStore(client, namespace=namespace) as store:
            await use(store)
            assert all(now > then for now, then in zip(await counted(cluster.nodes), before, strict=True))
        await eventually(cluster.nodes, before)
        assert {await client.client_id(target_nodes=node) for node in client.get_primaries()} == clients
        assert await client.set(f"{namespace} mine", "x")


async def test_client_that_is_not_open(cluster: ClusterServer, namespace: str) -> None:
    """A client that nobody has initialised yet is enough, and is not initialised by the store."""
    client = RedisCluster(host="127.0.0.1", port=cluster.port, client_name=NAME, **QUIET)
    async with RedisSessionStore(client, namespace=namespace) as store:
        await use(store)
        assert client.get_nodes() == []
    await eventually(cluster.nodes, [0, 0, 0])
    async with client:
        assert await client.set(f"{namespace} mine", "x")


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": 2},
        {"protocol": 3},
        {"max_connections": 1},
        {"load_balancing_strategy": LoadBalancingStrategy.ROUND_ROBIN},
        {"encoding": "latin-1", "health_check_interval": 1},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_odd_client(cluster: ClusterServer, namespace: str, options: dict[str, Any]) -> None:
    """A cluster client may speak RESP3 or not, prefer replicas, or have few connections."""
    client = RedisCluster(host="127.0.0.1", port=cluster.port, **options, **QUIET)
    async with RedisSessionStore(client, namespace=namespace) as store:
        await use(store)


async def test_client_with_credentials(cluster: ClusterServer, namespace: str) -> None:
    """The user and the password of a client are used on every node."""
    for node in cluster.nodes:
        assert await asyncio.to_thread(node.ask, "ACL", "SETUSER", "bot", "on", ">pw", "~palaver:*", "+@all") == "OK"
    client = RedisCluster(host="127.0.0.1", port=cluster.port, username="bot", password="pw", **QUIET)
    async with RedisSessionStore(client, namespace=namespace) as store:
        await use(store)
        for node in cluster.nodes:
            assert " user=bot " in await asyncio.to_thread(node.ask, "CLIENT", "LIST")


async def test_client_that_reaches_nodes_elsewhere(cluster: ClusterServer, namespace: str) -> None:
    """A client may say at which address each node is reached; the store goes there too, also when a slot has moved."""
    asked: list[tuple[str, int]] = []

    def remap(address: tuple[str, int]) -> tuple[str, int]:
        asked.append(address)
        return "localhost", address[1]

    client = RedisCluster(host="127.0.0.1", port=cluster.port, address_remap=remap, **QUIET)
    async with RedisSessionStore(client, namespace=namespace) as store:
        await use(store)
        assert {port for _, port in asked} == {node.port for node in cluster.nodes}
        slot = f"{key_slot(Keys(namespace).key('a'))}"
        source = cluster.nodes[int(slot) * 3 // 16384]
        target = next(node for node in cluster.nodes if node is not source)
        await asyncio.to_thread(end_move, slot, source, target)
        asked.clear()
        assert await store.read("a") is None
        assert asked == [("127.0.0.1", target.port)]


async def test_first_startup_node_is_dead(cluster: ClusterServer, namespace: str) -> None:
    """Where the first node that is named does not answer, the next one is asked."""
    dead = free_port()
    async with RedisSessionStore(f"redis+cluster://127.0.0.1:{dead},127.0.0.1:{cluster.port}") as store:
        await store.write(namespace, OLD)
    client = RedisCluster(
        startup_nodes=[ClusterNode("127.0.0.1", port) for port in (dead, cluster.nodes[1].port)], **QUIET
    )
    async with RedisSessionStore(client) as store:
        assert await store.read(namespace) == OLD


async def test_first_startup_node_is_in_no_cluster(
    cluster: ClusterServer, redis_server: RedisServer, namespace: str
) -> None:
    """Where the first node that is named is a single server, the next one is asked."""
    url = f"redis+cluster://127.0.0.1:{redis_server.port},127.0.0.1:{cluster.port}"
    async with RedisSessionStore(url, namespace=namespace) as store:
        await use(store)


async def test_slot_that_has_moved(cluster: ClusterServer, namespace: str) -> None:
    """A slot that has moved for good is found by its first call; the calls after go to its new node at once."""
    async with RedisSessionStore(cluster.url, namespace=namespace) as store:
        slot = f"{key_slot(Keys(namespace).key('a'))}"
        source = cluster.nodes[int(slot) * 3 // 16384]
        target = next(node for node in cluster.nodes if node is not source)
        await asyncio.to_thread(end_move, slot, source, target)
        await asyncio.to_thread(source.ask, "CONFIG", "RESETSTAT")
        assert await store.swap("a", OLD, ABSENT)
        for _ in range(5):
            assert await store.read("a") == OLD
        assert "errorstat_MOVED:count=1" in await asyncio.to_thread(source.ask, "INFO", "errorstats")


async def test_node_that_joins(own_cluster: ClusterServer, spare: RedisServer, namespace: str) -> None:
    """A session whose slot moves to a node that had none is found there, while it moves and afterwards."""
    key = Keys(namespace).key("a").decode()
    slot = f"{key_slot(key.encode())}"
    source = own_cluster.nodes[int(slot) * 3 // 16384]
    await asyncio.to_thread(join, own_cluster, spare)
    async with RedisSessionStore(f"{own_cluster.url}?client_name={NAME}", namespace=namespace) as store:
        await store.write("a", OLD)
        assert await counted([spare]) == [0]
        await asyncio.to_thread(begin_move, slot, source, spare)
        assert await asyncio.to_thread(source.ask, "MIGRATE", "127.0.0.1", f"{spare.port}", key, "0", "5000") == "OK"
        assert await store.swap("a", NEW, "v1")
        await asyncio.to_thread(end_move, slot, source, spare)
        assert await store.read("a") == NEW
        assert await store.read("a") == NEW
        assert [session_id async for session_id in store.scan()] == ["a"]
    await eventually([*own_cluster.nodes, spare], [0, 0, 0, 0])


async def test_node_that_leaves(own_cluster: ClusterServer, spare: RedisServer, namespace: str) -> None:
    """A node that has no slot any more has no connection any more."""
    slot = f"{key_slot(Keys(namespace).key('a'))}"
    target = own_cluster.nodes[int(slot) * 3 // 16384]
    await asyncio.to_thread(join, own_cluster, spare)
    await asyncio.to_thread(end_move, slot, target, spare)
    async with RedisSessionStore(f"{own_cluster.url}?client_name={NAME}", namespace=namespace) as store:
        await asyncio.gather(*(store.read("a") for _ in range(10)))
        assert (await counted([spare]))[0] > 0
        await asyncio.to_thread(end_move, slot, spare, target)
        assert await asyncio.gather(*(store.read("a") for _ in range(10))) == [None] * 10
        assert await store.read("a") is None
        await eventually([spare], [0])


async def test_replica_that_takes_over(own_cluster: ClusterServer, spare: RedisServer, namespace: str) -> None:
    """When the replica of a killed node takes over, the same store goes on with it, and has what it had."""
    primary = own_cluster.nodes[1]
    await asyncio.to_thread(join, own_cluster, spare)
    await asyncio.to_thread(follow, spare, primary)
    async with RedisSessionStore(f"{own_cluster.url}?client_name={NAME}", namespace=namespace) as store:
        await asyncio.gather(*(store.write(session_id, OLD) for session_id in IDS))
        await asyncio.to_thread(wait_for_copy, spare, primary)
        await asyncio.to_thread(primary.kill)
        with pytest.raises(StoreUnavailableError):
            await store.read_many(IDS)
        async with asyncio.timeout(30):
            while not await scanned(store):  # noqa: ASYNC110  # what is waited for happens in other processes
                await asyncio.sleep(0.1)
        assert await store.swap_many([(session_id, NEW, "v1") for session_id in IDS]) == [True] * len(IDS)
        assert (await counted([spare]))[0] > 0
    await eventually([own_cluster.nodes[0], own_cluster.nodes[2], spare], [0, 0, 0])


async def scanned(store: RedisSessionStore) -> bool:
    """Try to scan; tell whether every node was there and had what it has to have."""
    try:
        return sorted([session_id async for session_id in store.scan()]) == sorted(IDS)
    except StoreUnavailableError:
        return False


def join(cluster: ClusterServer, node: RedisServer) -> None:
    """Let a node join a cluster, and wait until all know of it."""
    assert cluster.ask("CLUSTER", "MEET", "127.0.0.1", f"{node.port}") == "OK"
    nodes = (*cluster.nodes, node)
    wait_until(lambda: all(each.ask("CLUSTER", "NODES").count(" connected") == len(nodes) for each in nodes))
    wait_until(lambda: is_ready(node))


def follow(replica: RedisServer, primary: RedisServer) -> None:
    """Make a node the replica of another one, and wait until it has its data."""
    assert replica.ask("CLUSTER", "REPLICATE", primary.ask("CLUSTER", "MYID")) == "OK"
    wait_until(lambda: "master_link_status:up" in replica.ask("INFO", "replication"))


def wait_for_copy(replica: RedisServer, primary: RedisServer) -> None:
    """Wait until a replica has what its primary has."""
    written = offset(primary, "master")
    wait_until(lambda: offset(replica, "slave") >= written)


def offset(node: RedisServer, role: str) -> int:
    """Return how far a node is in the log of the changes."""
    return int(node.ask("INFO", "replication").partition(f"{role}_repl_offset:")[2].split()[0])


def is_ready(node: RedisServer) -> bool:
    """Tell whether a node takes part in its cluster."""
    return "cluster_state:ok" in node.ask("CLUSTER", "INFO")


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for what happens in other processes."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begin_move(slot: str, source: RedisServer, target: RedisServer) -> None:
    """Begin to move a slot from one node to another one."""
    assert target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID")) == "OK"
    assert source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID")) == "OK"


def end_move(slot: str, source: RedisServer, target: RedisServer) -> None:
    """Let both nodes know that the slot has moved."""
    for node in (target, source):
        assert node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.ask("CLUSTER", "MYID")) == "OK"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cluster-announce-ip": "127.0.0.1"},
        {"cluster-preferred-endpoint-type": "unknown-endpoint"},
        {"cluster-preferred-endpoint-type": "hostname"},
        {"cluster-preferred-endpoint-type": "hostname", "cluster-announce-hostname": "localhost"},
    ],
    ids=["own address not known", "address", "endpoint not known", "name not known", "name"],
)
async def test_how_nodes_are_named(lone: Callable[..., RedisServer], namespace: str, settings: dict[str, str]) -> None:
    """A node may be named by its address, by a name, or not at all, and is then where it was asked."""
    node = await asyncio.to_thread(lone)
    for name, value in settings.items():
        if await asyncio.to_thread(node.ask, "CONFIG", "SET", name, value) != "OK":
            pytest.skip("this server has one way to name nodes")
    async with RedisSessionStore(f"redis+cluster://127.0.0.1:{node.port}", namespace=namespace) as store:
        await use(store)


async def test_cluster_with_tls(lone: Callable[..., RedisServer], tmp_path: Path, namespace: str) -> None:
    """With rediss+cluster://, or a client with TLS, everything is as without."""
    certificate = await asyncio.to_thread(make_certificate, tmp_path)
    node = await asyncio.to_thread(lone, "tls-cluster yes", certificate=certificate, password="pw")
    async with RedisSessionStore(node.url.replace("rediss:", "rediss+cluster:"), namespace=namespace) as store:
        await use(store)
    client = RedisCluster(
        host="127.0.0.1", port=node.port, password="pw", ssl=True, ssl_ca_certs=f"{certificate}", **QUIET
    )
    async with RedisSessionStore(client, namespace=namespace) as store:
        await use(store)


async def test_slot_that_no_node_has(lone: Callable[..., RedisServer], namespace: str) -> None:
    """Only the sessions of a slot that no node has cannot be used, and can as soon as a node has it."""
    keys = Keys(namespace)
    missing = key_slot(keys.nobody)
    lost = f"{{{keys.nobody.decode()}}}"
    assert key_slot(keys.key(lost)) == missing
    node = await asyncio.to_thread(lone, missing=missing)
    async with RedisSessionStore(f"redis+cluster://127.0.0.1:{node.port}", namespace=namespace) as store:
        await use(store)
        for call in (store.read(lost), store.swap(lost, OLD, ABSENT), store.read_many(["a", lost])):
            with pytest.raises(StoreUnavailableError, match="Hash slot not served") as caught:
                await call
            assert caught.value.retryable
        assert await store.read("a") is None
        assert await asyncio.to_thread(node.ask, "CLUSTER", "ADDSLOTS", f"{missing}") == "OK"
        assert await store.swap(lost, OLD, ABSENT)
        assert await store.read(lost) == OLD


async def test_cluster_without_any_slot(spare: RedisServer) -> None:
    """A node that knows of no slot at all is said."""
    with pytest.raises(StoreUnavailableError, match="no node has any slot"):
        await RedisSessionStore(f"redis+cluster://127.0.0.1:{spare.port}").init()
