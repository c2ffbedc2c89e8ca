"""Turns of several sessions: opened in one order, read together, each saved by itself."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from core.tests.test_round_trips import GatedStore

from palaver import (
    ConflictError,
    InvalidSessionIdError,
    Record,
    SessionBusyError,
    Sessions,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from core.tests.conftest import SwapStore


@pytest.fixture
def sessions(store: SwapStore) -> Sessions:
    return Sessions(store, initial_state={"n": 0}, patience=0)


def stored(store: SwapStore, session_id: str) -> Any:
    return json.loads(store.records[session_id].payload)["state"]


async def is_free(sessions: Sessions, *session_ids: str) -> bool:
    """Tell whether each turn can begin at once."""
    for session_id in session_ids:
        async with sessions.turn(session_id, timeout=0):
            pass
    return True


async def test_they_come_in_the_order_of_the_call(sessions: Sessions, store: SwapStore) -> None:
    """Each has its own state, and is saved."""
    async with sessions.turn("user:7", "chat:9") as (user, chat):
        user.state["name"] = "Tim"
        chat.state["n"] += 1
        assert (user.id, chat.id) == ("user:7", "chat:9")

    assert stored(store, "user:7") == {"n": 0, "name": "Tim"}
    assert stored(store, "chat:9") == {"n": 1}
    assert await is_free(sessions, "user:7", "chat:9")


async def test_opposite_orders_do_not_wait_for_each_other(sessions: Sessions, store: SwapStore) -> None:
    """However they are named, they are entered in one order."""

    async def both(first: str, second: str) -> None:
        async with sessions.turn(first, second) as (one, two):
            await asyncio.sleep(0)
            one.state["n"] += 1
            two.state["n"] += 1

    async with asyncio.timeout(10):
        await asyncio.gather(*(both(*ids) for ids in ("xy", "yx", "zx", "xz", "yz") * 4))

    assert [stored(store, session_id)["n"] for session_id in "xyz"] == [16, 12, 12]


async def test_they_share_a_batch() -> None:
    """One round trip to read them, one to save them."""
    store = GatedStore()
    async with Sessions(store).turn("a", "b", "c") as opened:
        for session in opened:
            session.state["n"] = 1

    assert [(verb, sorted(ids)) for verb, ids in store.trips] == [
        ("read_many", ["a", "b", "c"]),
        ("swap_many", ["a", "b", "c"]),
    ]


async def test_each_is_saved_by_itself(sessions: Sessions, store: SwapStore) -> None:
    """A conflict in one does not undo the other, and is raised."""
    with pytest.raises(ConflictError, match=r"state\.n of session 'b'"):
        async with sessions.turn("a", "b") as (one, other):
            one.state["n"] = 1
            other.state["n"] = 1
            async with Sessions(store, initial_state={"n": 0}).turn("b") as theirs:
                theirs.state["n"] = 5

    assert (stored(store, "a"), stored(store, "b")) == ({"n": 1}, {"n": 5})
    assert await is_free(sessions, "a", "b")


async def test_several_that_fail(sessions: Sessions, store: SwapStore) -> None:
    """The first is raised, and says that there are others."""
    with pytest.raises(ConflictError) as caught:
        async with sessions.turn("a", "b") as (one, other):
            one.state["n"] = other.state["n"] = 1
            for session_id in "ab":
                async with Sessions(store, initial_state={"n": 0}).turn(session_id) as theirs:
                    theirs.state["n"] = 5

    assert caught.value.session_id == "a"
    [note] = caught.value.__notes__
    assert note.startswith(
        "another session of this turn was not saved either: someone else changed state.n of session 'b'"
    )


async def test_an_error_in_the_block_saves_none(sessions: Sessions, store: SwapStore) -> None:
    """And frees all."""
    with pytest.raises(ValueError, match="no"):
        async with sessions.turn("a", "b") as (one, _):
            one.state["n"] = 1
            raise ValueError("no")

    assert store.records == {}
    assert await is_free(sessions, "a", "b")


async def test_one_that_cannot_be_loaded(sessions: Sessions, store: SwapStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler does not run, and all are free again."""
    read = store.read

    async def fail(session_id: str) -> Record | None:
        if session_id == "b":
            raise StoreUnavailableError("no route")
        return await read(session_id)

    with monkeypatch.context() as broken:
        broken.setattr(store, "read", fail)
        with pytest.raises(StoreUnavailableError, match="no route"):
            async with sessions.turn("a", "b", "c"):
                pytest.fail("the handler ran")

    assert await is_free(sessions, "a", "b", "c")


async def test_one_that_is_busy(sessions: Sessions) -> None:
    """The time is for all of them, and those that were entered are free again."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        async with sessions.turn("b"):
            begun.set()
            await may_end.wait()

    running = asyncio.create_task(long())
    await begun.wait()
    with pytest.raises(SessionBusyError, match="'b' is busy"):
        async with sessions.turn("a", "b", "c", timeout=0):
            pytest.fail("the handler ran")
    assert await is_free(sessions, "a", "c")
    may_end.set()
    await running


@pytest.mark.parametrize("at", range(6))
async def test_a_cancelled_one_leaves_nothing_behind(at: int) -> None:
    """Whenever it is cancelled: while it waits, while it loads, in the block."""
    store = GatedStore(is_open=False)
    sessions = Sessions(store)

    async def endless() -> None:
        async with sessions.turn("a", "b"):
            await asyncio.Event().wait()

    turn = asyncio.create_task(endless())
    for _ in range(at):
        await asyncio.sleep(0)
    turn.cancel()
    store.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await turn

    assert await is_free(sessions, "a", "b")


@pytest.mark.parametrize("at", range(6))
async def test_one_that_is_cancelled_while_it_saves(at: int) -> None:
    """Each session is saved as a whole or not at all, and is free again."""
    store = GatedStore()
    sessions, may_end = Sessions(store), asyncio.Event()

    async def turn() -> None:
        async with sessions.turn("a", "b") as opened:
            for session in opened:
                session.state["n"] = 1
            await may_end.wait()

    running = asyncio.create_task(turn())
    while not store.trips:  # noqa: ASYNC110  # as many steps as it takes
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    may_end.set()
    for _ in range(at):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])

    assert await is_free(sessions, "a", "b")
    assert all(json.loads(record.payload)["state"] == {"n": 1} for record in store.records.values())


@pytest.mark.parametrize(("session_ids", "says"), [((), "there is none"), (("a", "b", "a"), "'a' is given twice")])
def test_ids_that_mean_nothing(sessions: Sessions, session_ids: tuple[str, ...], says: str) -> None:
    """None, and one twice, are refused before anything is done."""
    with pytest.raises(InvalidSessionIdError, match=says):
        sessions.turn(*session_ids)
