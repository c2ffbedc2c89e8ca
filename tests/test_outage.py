"""Servers that are killed under load and come back soon: no handler notices, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Final

import pytest

from palaver import Sessions, open_store
from palaver_test_servers import Server
from palaver_test_servers.fixtures import running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.server

CONVERSATIONS: Final = 50
KILLS: Final = 2

SERVERS: Final = {
    "redis": ("redis:RedisServer", "redis"),
    "mongodb": ("mongo:MongoServer", "mongodb"),
    "postgresql": ("postgres:PostgresServer", "postgresql"),
    "postgresql with psycopg": ("postgres:PostgresServer", "postgresql+psycopg"),
    "mysql": ("mariadb:MariaDBServer", "mysql"),
}


@pytest.fixture(params=SERVERS)
def server_and_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    """A server of this test's own: others would not like what is done to it."""
    where, scheme = SERVERS[request.param]
    module, _, name = where.partition(":")
    make = getattr(import_module(f"palaver_test_servers.{module}"), name)
    for server in running(make(tmp_path_factory.mktemp(name)).start):
        assert isinstance(server, Server)
        yield server, f"{scheme}:{server.url.partition(':')[2]}"


async def test_a_server_that_is_killed_and_restarted(server_and_url: tuple[Server, str]) -> None:
    """Of fifty conversations no turn fails, and each that was acknowledged is counted once."""
    server, url = server_and_url
    acknowledged = [0] * CONVERSATIONS
    somebody_spoke, is_over = asyncio.Event(), asyncio.Event()

    async def talk(number: int) -> None:
        while not is_over.is_set():
            async with sessions.turn(f"u:{number}") as session:
                session.state["n"] += 1
            acknowledged[number] += 1
            somebody_spoke.set()

    async def until_each_has_spoken(times: int) -> None:
        before = list(acknowledged)
        while any(now - then < times for now, then in zip(acknowledged, before, strict=True)):
            somebody_spoke.clear()
            await somebody_spoke.wait()

    async def make_trouble() -> None:
        for _ in range(KILLS):
            await until_each_has_spoken(5)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await until_each_has_spoken(5)
        is_over.set()

    async with Sessions(open_store(url), initial_state={"n": 0}) as sessions, asyncio.timeout(100):
        await asyncio.gather(make_trouble(), *map(talk, range(CONVERSATIONS)))
        found = [await sessions.peek(f"u:{number}") for number in range(CONVERSATIONS)]

    assert [0 if snapshot is None else snapshot.state["n"] for snapshot in found] == acknowledged
