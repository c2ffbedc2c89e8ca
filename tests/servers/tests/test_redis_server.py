"""The Redis servers for tests do what tests need of them."""

from __future__ import annotations

import os
import socket
from importlib import util
from typing import TYPE_CHECKING

import pytest

from palaver_test_servers import ServerMissingError
from palaver_test_servers.fixtures import running
from palaver_test_servers.redis import RedisServer, make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from palaver_test_servers.redis import RedisCluster, RedisSentinel

pytestmark = pytest.mark.server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for this test alone."""
    yield from running(RedisServer(tmp_path, password="p@ss/word", settings=["maxmemory 5mb"]).start)


def test_kill_and_start_again(server: RedisServer) -> None:
    """A server that was killed comes back on the same port with its data, its password and its settings."""
    assert server.ask("SET", "a", "two\r\nlines") == "OK"
    server.kill()
    assert not server.is_ready()
    server.start()
    assert server.ask("GET", "a") == "two\r\nlines"
    assert "maxmemory:5242880" in server.ask("INFO", "memory")
    server.password = "wrong"
    assert server.ask("PING").startswith("NOAUTH")


def test_hang_up(redis_cluster: RedisCluster) -> None:
    """Servers close the connections of a user, and go on."""
    clients = [socket.create_connection(("127.0.0.1", node.port), timeout=5) for node in redis_cluster.nodes]
    redis_cluster.hang_up("nobody")
    for client in clients:
        client.sendall(b"PING\r\n")
        assert client.recv(7) == b"+PONG\r\n"
    redis_cluster.hang_up()
    for client in clients:
        with client:
            assert client.recv(1) == b""
    assert all(node.is_ready() for node in redis_cluster.nodes)


def test_hang_up_behind_sentinel(redis_sentinel: RedisSentinel) -> None:
    """A Sentinel closes the connections of those who ask it, and goes on."""
    with socket.create_connection(("127.0.0.1", redis_sentinel.port), timeout=5) as client:
        redis_sentinel.hang_up("nobody")
        assert client.recv(1) == b""
    assert redis_sentinel.is_ready()


def test_stop(server: RedisServer) -> None:
    """A server that was stopped does not answer, and is stopped again in vain."""
    server.stop()
    server.stop()
    assert not server.is_ready()


def test_tls(tmp_path: Path) -> None:
    """A server with a certificate talks TLS, and its URL says who vouches for it."""
    (tmp_path / "data").mkdir()
    for server in running(lambda: RedisServer(tmp_path / "data", certificate=make_certificate(tmp_path)).start()):
        assert server.url.startswith("rediss://")
        assert server.ask("PING") == "PONG"


def test_cluster(redis_cluster: RedisCluster) -> None:
    """The slots of a cluster are on three nodes that know each other."""
    for node in redis_cluster.nodes:
        state = node.ask("CLUSTER", "INFO")
        assert "cluster_slots_ok:16384" in state
        assert "cluster_size:3" in state


def test_sentinel(redis_sentinel: RedisSentinel) -> None:
    """A Sentinel watches a primary that has a replica."""
    assert "role:master" in redis_sentinel.primary.ask("INFO", "replication")
    assert "role:slave" in redis_sentinel.replica.ask("INFO", "replication")
    assert f"address=127.0.0.1:{redis_sentinel.primary.port},slaves=1" in redis_sentinel.ask("INFO", "sentinel")


def test_without_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no server, the error says what to install."""
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(ServerMissingError, match="install a redis-server or valkey-server, or set PALAVER_REDIS_URL"):
        RedisServer(tmp_path).start()


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    """A server that does not come up is an error with the end of its log."""
    with pytest.raises(RuntimeError, match="colour"):
        RedisServer(tmp_path, settings=["colour red"]).start()
