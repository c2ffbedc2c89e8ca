"""Users of the server who may not do everything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from palaver import Sessions, StoreUnavailableError
from palaver_redis import RedisSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver_test_servers.redis import RedisServer

pytestmark = pytest.mark.server

NEEDED: Final = ("ping", "get", "mget", "set", "exists", "unlink", "getrange", "eval", "evalsha")


async def allow(server: RedisServer, *commands: str) -> str:
    """Make a user who may do some commands on the keys of sessions; returns the URL."""
    rules = ("reset", "on", ">pw", "~palaver:*", *(f"+{command}" for command in commands))
    assert await asyncio.to_thread(server.ask, "ACL", "SETUSER", "bot", *rules) == "OK"
    return server.url.replace("redis://", "redis://bot:pw@")


@pytest.mark.parametrize("missing", NEEDED)
async def test_a_user_who_may_not_do_what_sessions_need_is_refused_at_once(
    start: Callable[..., Awaitable[RedisServer]], missing: str
) -> None:
    """When the store opens, and not when two turns meet for the first time; the command is named."""
    url = await allow(await start(), *(command for command in NEEDED if command != missing))
    with pytest.raises(StoreUnavailableError, match=rf"(?is)may not do what is needed.*({missing}|script)") as caught:
        await RedisSessionStore(url).init()
    assert not caught.value.retryable


async def test_what_is_asked_for_is_enough(start: Callable[..., Awaitable[RedisServer]]) -> None:
    """For turns, alone and many at a time."""
    url = await allow(await start(), *NEEDED)
    async with Sessions(url) as sessions:

        async def count(number: int) -> None:
            async with sessions.turn(f"u:{number}") as session:
                session.set_state(lambda state: {"n": state.get("n", 0) + 1})

        for _ in range(2):
            await count(0)
            await asyncio.gather(*map(count, range(10)))


async def test_what_may_not_be_looked_at_is_not_damaged(start: Callable[..., Awaitable[RedisServer]]) -> None:
    """A right that is taken away while the bot runs tempts nobody to destroy a healthy session."""
    server = await start()
    async with Sessions(await allow(server, *NEEDED)) as sessions:
        async with sessions.turn("u:1") as session:
            session.set_state(n=1)
        await allow(server, *(command for command in NEEDED if command != "getrange"))
        with pytest.raises(StoreUnavailableError, match="may not do what is needed"):
            async with sessions.turn("u:1") as session:
                session.set_state(n=2)
