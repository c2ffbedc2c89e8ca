"""What the conformance kit needs to know of the Redis store."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

from palaver import open_store
from palaver_redis._clients import Timeouts, connect
from palaver_redis._connections import Command
from palaver_redis._keys import Keys
from palaver_redis._location import parse_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from palaver import Clock, SessionStore
    from palaver_redis._connections import Answer, Connections
    from palaver_test_servers.redis import RedisSentinel, RedisServer

__all__ = ("OwnRedisHarness", "OwnServerHarness", "RedisHarness", "ServerHarness", "harness_of")

USER: Final = "conformance"
PASSWORD: Final = "hu:sh/h@sh"
_ESCAPED: Final = quote(PASSWORD, safe="")
_NOBODY: Final = "127.0.0.1:1"


def harness_of(url: str) -> RedisHarness:
    """Make the harness of somebody's server: it is neither stopped nor cut off."""
    has_address = urlsplit(url).scheme == "redis" and "," not in url
    return ServerHarness(url) if has_address else RedisHarness(url)


class RedisHarness:
    """A location is the beginning of a namespace: Redis has no other place that a cluster has as well."""

    max_namespace_bytes = 448

    def __init__(self, url: str) -> None:
        self.url = url
        password = urlsplit(url).password
        self.secrets = () if not password else tuple({password, unquote(password)})

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        return open_store(self.url, clock=clock, namespace=self.whole_namespace(location, namespace))

    def make_unusable(self, *, clock: Clock) -> SessionStore:
        return open_store(self.at(_NOBODY), clock=clock)

    def whole_namespace(self, location: str, namespace: str) -> str:
        """Return the namespace of a store of a location."""
        return f"{location}/{namespace}"

    async def remove(self, location: str) -> None:
        pattern = Keys(self.whole_namespace(location, "")).prefix.removesuffix(b":") + b"*"
        async with self._connected() as connections:
            for node in await connections.nodes():
                cursor = b"0"
                while True:
                    [(cursor, keys)] = await node.send([("SCAN", cursor, "MATCH", pattern, "COUNT", 10_000)])
                    await node.send([("UNLINK", key) for key in keys])
                    if cursor == b"0":
                        break

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        assert await self._ask(location, namespace, session_id, "SET", "torn") == b"OK"

    async def read_raw(self, location: str, namespace: str, session_id: str) -> bytes:
        value: bytes = await self._ask(location, namespace, session_id, "GET")
        return value

    def at(self, address: str) -> str:
        """Return the URL with another address and the same credentials."""
        parts = urlsplit(self.url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{address}").geturl()

    async def _ask(self, location: str, namespace: str, session_id: str, verb: str, *words: str) -> Answer:
        key = Keys(self.whole_namespace(location, namespace)).key(session_id)
        async with self._connected() as connections:
            return (await connections.run([Command(key, (verb, key, *words))]))[0]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connections]:
        connections = connect(parse_url(self.url), Timeouts(connect=4, answer=4))
        try:
            await connections.open()
            yield connections
        finally:
            await connections.close()


class ServerHarness(RedisHarness):
    """One server, in front of which there can be a proxy."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        parts = urlsplit(url)
        self.address = (parts.hostname or "localhost", parts.port or 6379)

    def make_at(self, address: tuple[str, int], location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        url = self.at(f"{address[0]}:{address[1]}")
        # A law waits for it again and again: the proxy swallows what the store says.
        return open_store(url, clock=clock, namespace=self.whole_namespace(location, namespace), timeout=1.5)


class OwnRedisHarness(RedisHarness):
    """Servers that the tests have started, and may therefore kill; the store comes with a password."""

    def __init__(self, server: RedisServer | RedisSentinel) -> None:
        self._server = server
        self._admit()
        super().__init__(server.url.replace("://", f"://{USER}:{_ESCAPED}@"))

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process makes stores only.
        return RedisHarness, (self.url,)

    async def fail(self, location: str) -> None:
        await asyncio.to_thread(self._server.kill)

    async def mend(self, location: str) -> None:
        await asyncio.to_thread(self._start)

    async def cut(self, location: str) -> None:
        await asyncio.to_thread(self._server.hang_up, USER)

    def _start(self) -> None:
        self._server.start()
        self._admit()

    def _admit(self) -> None:
        for node in self._server.nodes:
            assert node.ask("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all") == "OK"


class OwnServerHarness(OwnRedisHarness, ServerHarness):
    """The same with one server."""
