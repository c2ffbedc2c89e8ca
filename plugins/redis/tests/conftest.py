"""What the tests of the Redis store share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from palaver import ManualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from palaver_test_servers.redis import RedisServer


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until it is moved, years behind that of the server."""
    return ManualClock()


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test has."""
    return uuid4().hex


@pytest.fixture(params=["server", "cluster", "sentinel"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The URL of each kind of Redis."""
    if request.param == "server":
        return str(request.getfixturevalue("redis_url"))
    return str(request.getfixturevalue(f"redis_{request.param}").url)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Awaitable[RedisServer]]]:
    """A function that starts a server for one test alone, with the options of `RedisServer`."""
    from palaver_test_servers.fixtures import running
    from palaver_test_servers.redis import RedisServer

    started: list[Iterator[RedisServer]] = []

    def start_one(**options: object) -> RedisServer:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        server = running(RedisServer(folder, **options).start)  # type: ignore[arg-type]
        started.append(server)
        return next(server)

    async def start_in_thread(**options: object) -> RedisServer:
        return await asyncio.to_thread(start_one, **options)

    yield start_in_thread
    for server in started:
        next(server, None)
