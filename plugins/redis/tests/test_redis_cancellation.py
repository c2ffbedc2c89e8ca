"""Calls that are cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from palaver import ABSENT, Record
from palaver_redis import RedisSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver_test_servers.redis import RedisServer

    Call = Callable[[RedisSessionStore], Awaitable[object]]

pytestmark = pytest.mark.server

OLD, NEW = Record(b"old" * 1000, "v1", None), Record(b"new" * 1000, "v2", None)
CANARIES = {f"canary {n}": Record(f"{n}".encode(), "v1", None) for n in range(3)}

CALLS: dict[str, Call] = {
    "read": lambda store: store.read("a"),
    "read_many": lambda store: store.read_many(["a", "b", *CANARIES]),
    "write": lambda store: store.write("a", NEW),
    "swap": lambda store: store.swap("a", NEW, "v1"),
    "swap_many": lambda store: store.swap_many([("a", NEW, "v1"), ("b", NEW, ABSENT)]),
    "touch": lambda store: store.touch("a", None),
    "destroy": lambda store: store.destroy("a"),
    "scan": lambda store: anext(store.scan()),
    "clear": lambda store: store.clear(),
}


async def cancel_after(steps: int, call: Awaitable[object]) -> bool:
    """Cancel a call after so many steps of the event loop; tell whether it had ended before."""
    task = asyncio.ensure_future(call)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return not task.cancelled()


@pytest.mark.parametrize("name", CALLS)
async def test_cancelled_at_every_step(any_url: str, namespace: str, name: str) -> None:
    """Wherever a call is cancelled, the store stays usable, nothing is mixed up, and what it says next is right."""
    async with RedisSessionStore(any_url, namespace=namespace) as store:
        for steps in range(40):
            await store.write_many([("a", OLD), *CANARIES.items()])
            await cancel_after(steps, CALLS[name](store))
            found = await asyncio.gather(*(store.read(canary) for canary in CANARIES))
            gone = [None] * 3 if name == "clear" else list(CANARIES.values())
            assert all(one in pair for one, *pair in zip(found, CANARIES.values(), gone, strict=True))
            assert await store.read("a") in (OLD, NEW, None)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelled_while_connecting(any_url: str, namespace: str) -> None:
    """A store whose opening was cancelled leaves nothing behind and can be opened."""
    store = RedisSessionStore(any_url, namespace=namespace)
    for steps in range(60):
        await cancel_after(steps, store.init())
        await store.close()
    async with store:
        await store.write("a", OLD)
        assert await store.read("a") == OLD
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_change_that_was_sent(redis_server: RedisServer, namespace: str) -> None:
    """A change that was sent is waited for, so that it cannot take effect after something newer."""
    async with RedisSessionStore(redis_server.url, namespace=namespace) as store:
        # From the first swap on the server knows the script: it is sent once.
        assert await store.swap("a", NEW, ABSENT)
        await store.destroy("a")
        for call in (store.write("a", OLD), store.swap("a", OLD, ABSENT)):
            await asyncio.to_thread(redis_server.ask, "CLIENT", "PAUSE", "300")
            task = asyncio.ensure_future(call)
            done, _ = await asyncio.wait([task], timeout=0.05)
            assert not done
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await store.read("a") == OLD
            await store.write("a", NEW)
            assert await store.read("a") == NEW
            await store.destroy("a")


async def test_read_that_was_sent(redis_server: RedisServer, namespace: str) -> None:
    """A read is given up at once, and nobody gets its answer."""
    async with RedisSessionStore(redis_server.url, namespace=namespace) as store:
        await store.write_many(list(CANARIES.items()))
        await asyncio.to_thread(redis_server.ask, "CLIENT", "PAUSE", "1000")
        paused = asyncio.create_task(asyncio.to_thread(redis_server.ask, "PING"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.gather(*(store.read(canary) for canary in reversed(CANARIES)))
        assert not paused.done()
        assert await asyncio.gather(*(store.read(canary) for canary in CANARIES)) == list(CANARIES.values())
        assert await paused == "PONG"
