"""From a URL, or from a client that somebody else made, to connections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis.asyncio import Connection, ConnectionPool, Redis, RedisCluster, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from palaver.errors import InvalidOptionError
from palaver_redis._cluster import SlotConnections
from palaver_redis._connections import ClientSource, OwnSource, ServerConnections
from palaver_redis._location import Kind, Location
from palaver_redis._slots import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

    from palaver_redis._connections import Connections

__all__ = ("Place", "Timeouts", "check_client", "connect", "describe")

# RESP2: what RESP3 brings is of no use here, and with its push messages redis-py cannot tell a connection that has
# unread answers.
_PROTOCOL: Final = 2

_FOR_SENTINEL: Final = ("protocol", "driver_info", "socket_connect_timeout", "retry")

# What a client hands on to its nodes, or to its connections so that they tell it what happens to them.
_CLIENTS_OWN: Final = (
    "max_connections",
    "response_callbacks",
    "redis_connect_func",
    "maint_notifications_config",
    "oss_cluster_maint_notifications_handler",
)


Place: TypeAlias = "Location | Redis | RedisCluster"
"""What a store is made with: a URL, understood, or a client."""


@dataclass(frozen=True)
class Timeouts:
    """For how many seconds to wait."""

    connect: float
    answer: float


def connect(place: Place, timeouts: Timeouts) -> Connections:
    """Make the way to a place; nothing is connected yet. A client that somebody else made is not closed by it."""
    if isinstance(place, RedisCluster):
        return _as_client(place)
    if isinstance(place, Redis):
        return ServerConnections(ClientSource(place.connection_pool, timeouts.answer))
    options: dict[str, Any] = {
        "protocol": _PROTOCOL,
        "driver_info": None,  # redis-py looks up its own version, which reads files, and sends it with two commands
        "socket_connect_timeout": timeouts.connect,
        "socket_timeout": None,  # the store times each answer; redis-py would make a task for each command
        "retry": Retry(NoBackoff(), 0),
        **place.options,
    }
    options.pop("max_connections", None)  # the store waits for its turn, where redis-py would fail
    if place.kind is Kind.CLUSTER:
        return _cluster(place, options, timeouts)
    if place.kind is Kind.SENTINEL:
        return _through_sentinel(place, options, timeouts)
    return ServerConnections(OwnSource(_pool(place, options).make_connection, timeouts.connect), timeouts.answer)


def check_client(client: object) -> Redis | RedisCluster:
    """Refuse what cannot be used as a client.

    Raises:
        InvalidOptionError: it is no asyncio client, or one that decodes answers.
    """
    if not isinstance(client, Redis | RedisCluster):
        raise InvalidOptionError(
            f"it is of type {type(client).__module__}.{type(client).__name__}; "
            "give a URL, a redis.asyncio.Redis or a redis.asyncio.RedisCluster",
            option="url_or_client",
        )
    if client.get_encoder().decode_responses:
        raise InvalidOptionError(
            "a client with decode_responses=True cannot read bytes; make one without it", option="url_or_client"
        )
    return client


def describe(place: Place) -> str:
    """Say where a place is, without any credential."""
    if isinstance(place, Location):
        return place.shown
    if isinstance(place, RedisCluster):
        return f"redis+cluster://{','.join(sorted(node.name for node in place.startup_nodes))}"
    pool = place.connection_pool
    known = pool.connection_kwargs
    if isinstance(pool, SentinelConnectionPool):
        return f"redis+sentinel:///{pool.service_name}"
    if "path" in known:
        return f"unix://{known['path']}"
    scheme = "rediss" if issubclass(pool.connection_class, SSLConnection) else "redis"
    return f"{scheme}://{known.get('host', 'localhost')}:{known.get('port', 6379)}/{known.get('db', 0)}"


def _pool(location: Location, options: dict[str, Any]) -> ConnectionPool:
    if location.kind is Kind.SOCKET:
        return ConnectionPool(connection_class=UnixDomainSocketConnection, path=location.path, **options)
    [(host, port)] = location.hosts
    if location.tls:
        options = {"connection_class": SSLConnection, **options}
    return ConnectionPool(host=host, port=port, **options)


def _cluster(location: Location, options: dict[str, Any], timeouts: Timeouts) -> Connections:
    startup = [Address(host, port) for host, port in location.hosts]
    make = partial(SSLConnection if location.tls else Connection, **options)
    return SlotConnections(startup, _to_nodes(make, timeouts.connect, timeouts.answer))


def _as_client(client: RedisCluster) -> Connections:
    """Make the way to a cluster as a client goes it, with connections that are not the client's."""
    nodes = client.nodes_manager
    startup = [Address(node.host, int(node.port)) for node in (*nodes.startup_nodes.values(), *client.startup_nodes)]
    options = {name: value for name, value in client.connection_kwargs.items() if name not in _CLIENTS_OWN}
    make = partial(options.pop("connection_class"), **options)
    return SlotConnections(startup, _to_nodes(make), nodes.remap_host_port)


def _to_nodes(
    make: Callable[..., AbstractConnection], connect: float | None = None, answer: float | None = None
) -> Callable[[Address], ServerConnections]:
    """Return what makes the way to a node, with timeouts that come before those of its connections."""

    def to_node(address: Address) -> ServerConnections:
        return ServerConnections(OwnSource(partial(make, host=address.host, port=address.port), connect), answer)

    return to_node


def _through_sentinel(location: Location, options: dict[str, Any], timeouts: Timeouts) -> Connections:
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        location.hosts,
        sentinel_kwargs={
            **{name: options[name] for name in _FOR_SENTINEL},
            "socket_timeout": timeouts.answer,
            **tls,
            "ssl": location.tls,
            **location.sentinel_options,
        },
    )
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        location.service, sentinel, ssl=location.tls, **options
    )
    return ServerConnections(OwnSource(pool.make_connection, timeouts.connect, *sentinel.sentinels), timeouts.answer)
