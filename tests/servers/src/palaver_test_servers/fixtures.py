"""Fixtures: one for each server, started when the first test asks for it, stopped at the end of the run.

An environment variable with a URL takes precedence, for people with a server of their own. Where a server cannot be
had, its tests are skipped with the reason; with `CI` set in the environment they fail instead. A test that names one of
these fixtures has the mark `server`.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import pytest

from palaver_test_servers.server import Server, ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture(autouse=True)
def _no_server_has_died() -> Iterator[None]:
    """Fail the test in which a server ended by itself, with the server's words, and not all that come after it."""
    yield
    last_words = [words for server in _shared if isinstance(server, Server) and (words := server.revive())]
    if last_words:
        pytest.fail("\n".join(last_words))


class Stoppable(Protocol):
    """One server, or several that belong together."""

    def stop(self) -> None:
        """End it."""


_shared: Final[list[Stoppable]] = []
"""The servers that run for all tests of this process."""

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


def _server(kind: str) -> Callable[[pytest.TempPathFactory], Iterator[Stoppable]]:
    """Make the fixture of a kind of server, as `module:Class`; its module is imported when a test needs it."""
    module, _, name = kind.partition(":")

    @pytest.fixture(scope="session")
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stoppable]:
        make = getattr(import_module(f"palaver_test_servers.{module}"), name)
        for started in running(make(tmp_path_factory.mktemp(name)).start):
            _shared.append(started)
            yield started
            _shared.remove(started)

    return server


def _url(variable: str, server: str) -> Callable[[pytest.FixtureRequest], str]:
    """Make the fixture of a URL: that of your server, in an environment variable, or of one that is started."""

    @pytest.fixture(scope="session")
    def url(request: pytest.FixtureRequest) -> str:
        return url_from_environment(variable) or request.getfixturevalue(server).url

    return url


mongo_server = _server("mongo:MongoServer")
"""A `MongoServer`."""
mongo_replica_set = _server("mongo:MongoReplicaSet")
"""A `MongoReplicaSet` of three servers."""
redis_server = _server("redis:RedisServer")
"""A `RedisServer`."""
redis_cluster = _server("redis:RedisCluster")
"""A `RedisCluster` of three servers."""
redis_sentinel = _server("redis:RedisSentinel")
"""A `RedisSentinel`: a server, its replica, and a Sentinel that watches both."""
postgres_server = _server("postgres:PostgresServer")
"""A `PostgresServer`."""
mariadb_server = _server("mariadb:MariaDBServer")
"""A `MariaDBServer`."""

mongodb_url = _url("PALAVER_MONGODB_URL", "mongo_server")
redis_url = _url("PALAVER_REDIS_URL", "redis_server")
postgresql_url = _url("PALAVER_POSTGRESQL_URL", "postgres_server")
mysql_url = _url("PALAVER_MYSQL_URL", "mariadb_server")
