"""Fixtures: one for each server, started when the first test asks for it, stopped at the end of the run.

An environment variable with a URL takes precedence, for people with a server of their own. Where a server cannot be
had, its tests are skipped with the reason; with `CI` set in the environment they fail instead. A test that names one of
these fixtures has the mark `server`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import pytest

from palaver_test_servers.server import ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from palaver_test_servers.mariadb import MariaDBServer
    from palaver_test_servers.mongo import MongoReplicaSet, MongoServer
    from palaver_test_servers.postgres import PostgresServer
    from palaver_test_servers.redis import RedisCluster, RedisSentinel, RedisServer

__all__ = (
    "mariadb_server",
    "mongo_replica_set",
    "mongo_server",
    "mongodb_url",
    "mysql_url",
    "postgres_server",
    "postgresql_url",
    "redis_cluster",
    "redis_sentinel",
    "redis_server",
    "redis_url",
    "running",
    "url_from_environment",
)


_NEED_A_SERVER: Final = {
    *("mariadb_server", "mongo_replica_set", "mongo_server", "mongodb_url", "mysql_url", "postgres_server"),
    *("postgresql_url", "redis_cluster", "redis_sentinel", "redis_server", "redis_url"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, for `-m server` and `-m "not server"`."""
    for item in items:
        if _NEED_A_SERVER.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


class Stoppable(Protocol):
    """One server, or several that belong together."""

    def stop(self) -> None:
        """End it."""


ServerT = TypeVar("ServerT", bound=Stoppable)


def url_from_environment(variable: str) -> str | None:
    """Return the URL of somebody's own server, if there is one."""
    return os.environ.get(variable) or None


def running(start: Callable[[], ServerT]) -> Iterator[ServerT]:
    """Start a server for the length of a fixture, or skip (in CI: fail) where it cannot be had."""
    try:
        server = start()
    except ServerMissingError as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A MongoDB server."""
    from palaver_test_servers.mongo import MongoServer

    yield from running(MongoServer(tmp_path_factory.mktemp("mongo")).start)


@pytest.fixture(scope="session")
def mongodb_url(request: pytest.FixtureRequest) -> str:
    """The URL of a MongoDB server: yours, in `PALAVER_MONGODB_URL`, or one that is started."""
    return url_from_environment("PALAVER_MONGODB_URL") or request.getfixturevalue("mongo_server").url


@pytest.fixture(scope="session")
def mongo_replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoReplicaSet]:
    """A MongoDB replica set of three servers."""
    from palaver_test_servers.mongo import MongoReplicaSet

    yield from running(MongoReplicaSet(tmp_path_factory.mktemp("mongo-set")).start)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server."""
    from palaver_test_servers.redis import RedisServer

    yield from running(RedisServer(tmp_path_factory.mktemp("redis")).start)


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> str:
    """The URL of a Redis server: yours, in `PALAVER_REDIS_URL`, or one that is started."""
    return url_from_environment("PALAVER_REDIS_URL") or request.getfixturevalue("redis_server").url


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A Redis Cluster of three servers."""
    from palaver_test_servers.redis import RedisCluster

    yield from running(RedisCluster(tmp_path_factory.mktemp("redis-cluster")).start)


@pytest.fixture(scope="session")
def redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """A Redis server, its replica, and a Sentinel that watches both."""
    from palaver_test_servers.redis import RedisSentinel

    yield from running(RedisSentinel(tmp_path_factory.mktemp("redis-sentinel")).start)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    from palaver_test_servers.postgres import PostgresServer

    yield from running(PostgresServer(tmp_path_factory.mktemp("postgres")).start)


@pytest.fixture(scope="session")
def postgresql_url(request: pytest.FixtureRequest) -> str:
    """The URL of a PostgreSQL server: yours, in `PALAVER_POSTGRESQL_URL`, or one that is started."""
    return url_from_environment("PALAVER_POSTGRESQL_URL") or request.getfixturevalue("postgres_server").url


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    """A MariaDB server."""
    from palaver_test_servers.mariadb import MariaDBServer

    yield from running(MariaDBServer(tmp_path_factory.mktemp("mariadb")).start)


@pytest.fixture(scope="session")
def mysql_url(request: pytest.FixtureRequest) -> str:
    """The URL of a MySQL or MariaDB server: yours, in `PALAVER_MYSQL_URL`, or one that is started."""
    return url_from_environment("PALAVER_MYSQL_URL") or request.getfixturevalue("mariadb_server").url
