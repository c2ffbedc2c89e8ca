"""Keys that somebody else wrote, and what people see with `redis-cli`."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest

from palaver import ABSENT, CorruptSessionError, ManualClock, Record, Sessions
from palaver_redis import RedisSessionStore

if TYPE_CHECKING:
    from palaver_test_servers.redis import RedisServer

pytestmark = pytest.mark.server

RECORD = Record(b"{}", "v1", None)

DAMAGE = {
    "text": ("SET", "{}", "hello"),
    "nothing": ("SET", "{}", ""),
    "no payload line": ("SET", "{}", '{"palaver":1,"expires_at":null,"version":"v1"}'),
    "another format": ("SET", "{}", '{"palaver":2,"expires_at":null,"version":"v1"}\n{}'),
    "no expiry": ("SET", "{}", '{"palaver":1,"expires_at":soon,"version":"v1"}\n{}'),
    "long text": ("SET", "{}", "x" * 1000),
    "list": ("RPUSH", "{}", "a"),
    "hash": ("HSET", "{}", "payload", "{}"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_damaged(
    redis_server: RedisServer, namespace: str, damage: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """A value that cannot be understood is never "no session", stays as it is, and can be removed."""
    async with RedisSessionStore(redis_server.url, namespace=namespace) as store:
        await store.write("b", RECORD)
        key = f"palaver:{namespace}:a"
        await asyncio.to_thread(redis_server.ask, *(word.format(key) if word == "{}" else word for word in damage))
        for call in (
            store.read("a"),
            store.read_many(["b", "a", "c"]),
            store.swap("a", RECORD, ABSENT),
            store.swap_many([("c", RECORD, ABSENT), ("a", RECORD, "v1")]),
            store.touch("a", None),
        ):
            with pytest.raises(CorruptSessionError, match="session 'a' in redis://") as caught:
                await call
            assert caught.value.session_id == "a"

        with caplog.at_level(logging.WARNING):
            assert sorted([session_id async for session_id in store.scan()]) == ["b", "c"]
        assert key in caplog.text
        assert await store.purge() == 0
        await store.destroy("a")
        assert await store.read("a") is None

        await asyncio.to_thread(redis_server.ask, *(word.format(key) if word == "{}" else word for word in damage))
        assert await store.clear() == 2
        assert await asyncio.to_thread(redis_server.ask, "EXISTS", key) == "0"


async def test_write_over_damage(redis_server: RedisServer, namespace: str) -> None:
    """A write replaces whatever is there."""
    async with RedisSessionStore(redis_server.url, namespace=namespace) as store:
        await asyncio.to_thread(redis_server.ask, "RPUSH", f"palaver:{namespace}:a", "x")
        await store.write("a", RECORD)
        assert await store.read("a") == RECORD


async def test_keys_of_others(redis_server: RedisServer, namespace: str) -> None:
    """Keys that are not those of a session in this namespace are left alone."""
    others = [f"palaver:{namespace}", f"palaver:{namespace}2:a", f"xpalaver:{namespace}:a", f"palaver:{namespace}%3A:a"]
    for key in others:
        await asyncio.to_thread(redis_server.ask, "SET", key, "mine")
    async with RedisSessionStore(redis_server.url, namespace=namespace) as store:
        await store.write("a", RECORD)
        assert [session_id async for session_id in store.scan()] == ["a"]
        assert await store.clear() == 1
    assert [await asyncio.to_thread(redis_server.ask, "GET", key) for key in others] == ["mine"] * 4


async def test_readable(redis_server: RedisServer) -> None:
    """A session is two lines of JSON under a key that says whose it is."""
    store = RedisSessionStore(redis_server.url)
    async with Sessions(store) as sessions, sessions.turn("console:1") as session:
        session.state["nickname"] = "Tim"
    value = await asyncio.to_thread(redis_server.ask, "GET", "palaver::console:1")
    header, payload = map(json.loads, value.splitlines())
    assert header["palaver"] == 1
    assert header["version"]
    assert payload["state"] == {"nickname": "Tim"}
    assert await asyncio.to_thread(redis_server.ask, "DEL", "palaver::console:1") == "1"


@pytest.mark.parametrize(
    ("milliseconds", "kept"),
    [
        (1, range(3_590_000, 3_600_002)),
        (60_000, range(3_650_000, 3_660_001)),
        (10**18, range(10**14, 10**15 + 1)),
        (10**33, range(10**14, 10**15 + 1)),
    ],
)
async def test_garbage(
    redis_server: RedisServer, namespace: str, clock: ManualClock, milliseconds: int, kept: range
) -> None:
    """The server removes a session an hour after it expired, counted from the store's clock, not from its own."""
    key = f"palaver:{namespace}:a"
    expires_at = clock.now() + milliseconds
    record = Record(b"x", "v1", expires_at)
    async with RedisSessionStore(redis_server.url, namespace=namespace, clock=clock) as store:

        async def left() -> int:
            return int(await asyncio.to_thread(redis_server.ask, "PTTL", key))

        await store.write("a", record)
        assert await left() in kept
        await store.write("a", RECORD)
        assert await left() == -1
        assert await store.swap("a", record, "v1")
        await store.destroy("a")
        assert await store.swap("a", record, ABSENT)
        assert await left() in kept
        assert await store.touch("a", None)
        assert await left() == -1
        assert await store.touch("a", expires_at)
        assert await left() in kept
        assert await store.read("a") == record


async def test_clock_set_back(redis_url: str, namespace: str, clock: ManualClock) -> None:
    """A session that had expired is live again where the clock is set back before anything removed it."""
    record = Record(b"x", "v1", clock.now() + 10)
    async with RedisSessionStore(redis_url, namespace=namespace, clock=clock) as store:
        await store.write("a", record)
        clock.advance(1)
        assert await store.read("a") is None
        clock.advance(-1)
        assert await store.read("a") == record


async def test_expired_before_it_is_stored(redis_server: RedisServer, namespace: str, clock: ManualClock) -> None:
    """A record that has expired is accepted, replaces what was there, and is not there afterwards."""
    async with RedisSessionStore(redis_server.url, namespace=namespace, clock=clock) as store:
        for expires_at in (clock.now(), 0, -5, -(10**30)):
            gone = Record(b"x", "v2", expires_at)
            await store.write("a", RECORD)
            await store.write("a", gone)
            assert await store.read("a") is None
            await store.write("a", RECORD)
            assert await store.swap("a", gone, "v1")
            assert await store.read("a") is None
            assert await store.swap("a", gone, ABSENT)
            await store.write("a", RECORD)
            assert await store.touch("a", expires_at)
            assert await asyncio.to_thread(redis_server.ask, "EXISTS", f"palaver:{namespace}:a") == "0"
