"""Calls that are cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from palaver.contract.record import ABSENT, Record, new_version
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    Verb = Callable[[SQLSessionStore, Record, Record], Coroutine[Any, Any, Any]]

OLD = Record(b"old" * 1000, "old", None)
DELAYS = [0, *(0.0001 * 1.3**step for step in range(20))]

VERBS: dict[str, Verb] = {
    "write": lambda store, old, new: store.write("a", new),
    "swap": lambda store, old, new: store.swap("a", new, old.version),
    "write_many": lambda store, old, new: store.write_many([("a", new), ("b", new)]),
    "swap_many": lambda store, old, new: store.swap_many([("a", new, old.version), ("b", new, ABSENT)]),
    "read": lambda store, old, new: store.read("a"),
    "read_many": lambda store, old, new: store.read_many(["a", "b"]),
    "purge": lambda store, old, new: store.purge(),
}


async def cancel_after(call: Coroutine[Any, Any, Any], delay: float) -> None:
    """Cancel a call once it has run for a while, and wait for its end."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(delay)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())
async def test_cancelled_call_leaves_old_or_new(url: str, verb: Verb) -> None:
    """Cancelled at any moment, a call leaves the old record or the new one, has no late effect, and no wreck."""
    async with SQLSessionStore(url) as store, SQLSessionStore(url) as onlooker:
        for delay in DELAYS:
            await store.write("a", OLD)
            new = Record(b"new" * 1000, new_version(), None)
            await cancel_after(verb(store, OLD, new), delay)
            left = await onlooker.read("a")
            assert left in (OLD, new)
            canary = Record(b"canary", new_version(), None)
            assert left is not None
            assert await onlooker.swap("a", canary, left.version)
            assert await store.swap("canary", canary, ABSENT)
            assert await store.read_many(["a", "canary"]) == [canary, canary]
            await store.clear()


async def test_many_calls_cancelled_in_the_queue(url: str) -> None:
    """Writers that are cancelled while they wait for their turn write nothing, and the others go on."""
    async with SQLSessionStore(url) as store:
        calls = [
            asyncio.ensure_future(store.write(f"{number}", Record(b"", new_version(), None))) for number in range(60)
        ]
        await asyncio.sleep(0)
        for call in calls[1::2]:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        stored = {session_id async for session_id in store.scan()}
        assert {f"{number}" for number in range(0, 60, 2)} <= stored
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[1::2])
        await asyncio.sleep(0.01)
        assert stored == {session_id async for session_id in store.scan()}


async def test_cancelled_init_and_close_leave_nothing_open(url: str) -> None:
    """Cancelled at any moment, init can be repeated, and close leaves no thread."""
    for delay in DELAYS:
        store = SQLSessionStore(url)
        await cancel_after(store.init(), delay)
        await store.init()
        await store.write("a", OLD)
        await cancel_after(store.close(), delay)
        await store.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("palaver")]
