"""The second promise: the same behaviour on every store, seen through the engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palaver import (
    InvalidOptionError,
    InvalidSessionIdError,
    InvalidStateError,
    ManualClock,
    Sessions,
    SessionTooLargeError,
    StoreClosedError,
    open_store,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from palaver import SessionStore

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(state=st.dictionaries(texts, values, max_size=5))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_state_is_read_back_equal(store_url: str, state: dict[str, Any]) -> None:
    """Type for type, whatever it holds."""

    async def scenario() -> None:
        async with Sessions(open_store(store_url)) as sessions:
            async with sessions.turn("a") as session:
                session.reset_state()
                session.set_state(state)
            async with sessions.turn("a") as session:
                assert repr(session.state) == repr(state)

    asyncio.run(scenario())


def nested(depth: int) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for _ in range(depth):
        state = {"d": state}
    return state


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**63, {1, 2}, (1,), b"x", {1: 2}, "\ud800", object(), nested(200)],
    ids=lambda value: type(value).__name__,
)
async def test_a_bad_state_is_refused_and_the_stored_one_stays(store_url: str, value: Any) -> None:
    """Before anything is changed, with the path."""
    async with Sessions(open_store(store_url)) as sessions:
        async with sessions.turn("a") as session:
            session.state["x"] = "good"
        with pytest.raises(InvalidStateError, match=r"state\.x"):
            async with sessions.turn("a") as session:
                session.state["x"] = value
        async with sessions.turn("a") as session:
            assert session.state == {"x": "good"}


async def test_a_state_that_is_too_large_is_refused_and_the_stored_one_stays(store_url: str) -> None:
    """The limit is the same on every store."""
    async with Sessions(open_store(store_url)) as sessions:
        async with sessions.turn("a") as session:
            session.state["x"] = "x" * 1_000_000
        with pytest.raises(SessionTooLargeError):
            async with sessions.turn("a") as session:
                session.state["x"] += "x" * 100_000
        async with sessions.turn("a") as session:
            assert len(session.state["x"]) == 1_000_000


@pytest.mark.parametrize("session_id", ["", "x" * 513, "a\0b", "\ud800"], ids=["empty", "long", "nul", "surrogate"])
async def test_a_bad_id_is_refused(store_url: str, session_id: str) -> None:
    """By the engine, for every store alike."""
    async with Sessions(open_store(store_url)) as sessions:
        with pytest.raises(InvalidSessionIdError):
            async with sessions.turn(session_id):
                pytest.fail("there cannot be such a session")


async def test_ids_that_look_alike_are_different_sessions(store_url: str) -> None:
    """In case, in normal form, in spaces, in what looks like a path or a wildcard."""
    ids = [
        "a",
        "A",
        "a ",
        " a",
        "a.",
        "a/",
        "../a",
        "a:b",
        "a%",
        "a_",
        "a*",
        "é",
        "e\u0301",
        "x" * 511,
        "x" * 512,
        "\n",
    ]
    async with Sessions(open_store(store_url)) as sessions:
        for session_id in ids:
            async with sessions.turn(session_id) as session:
                assert session.state == {}
                session.state["id"] = session_id
        for session_id in ids:
            async with sessions.turn(session_id) as session:
                assert session.state == {"id": session_id}


async def test_a_session_expires_ttl_after_its_last_turn(store_url: str) -> None:
    """In seconds, to the millisecond."""
    clock = ManualClock()
    async with Sessions(open_store(store_url, ttl=10, clock=clock)) as sessions:
        async with sessions.turn("a") as session:
            session.state["n"] = 1
        clock.advance(9.999)
        async with sessions.turn("a") as session:
            assert session.state == {"n": 1}
        clock.advance(9.999)
        async with sessions.turn("a") as session:
            assert session.state == {"n": 1}
        clock.advance(10)
        async with sessions.turn("a") as session:
            assert session.state == {}


@pytest.mark.parametrize("ttl", [0, -5, "ten", float("nan")])
def test_a_bad_ttl_is_refused(store_url: str, ttl: Any) -> None:
    """When the store is made."""
    with pytest.raises(InvalidOptionError, match="ttl"):
        open_store(store_url, ttl=ttl)


@pytest.mark.parametrize("query", ["nonsense=1", "ttl=soon", "ttl=0", "ttl"])
def test_a_bad_option_in_the_url_is_refused(store_url: str, query: str) -> None:
    """Nothing in a URL is ignored."""
    with pytest.raises(InvalidOptionError, match=r"nonsense|ttl|option"):
        open_store(f"{store_url}{'&' if '?' in store_url else '?'}{query}")


@pytest.mark.parametrize("url", ["redis://db..svc", "mongodb://db..svc/bots", "postgresql://db..svc/bots"])
def test_a_host_that_cannot_be_is_refused(url: str) -> None:
    """When the store is made, by every driver that has hosts."""
    with pytest.raises(InvalidOptionError, match="no host name"):
        open_store(url)


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.read("a"),
        lambda store: store.destroy("a"),
        lambda store: store.read_many(["a"]),
        lambda store: store.touch("a", None),
        lambda store: store.purge(),
        lambda store: store.clear(),
        lambda store: anext(store.scan()),
    ],
)
async def test_a_store_is_of_no_use_before_init_and_after_close(
    store_url: str, use: Callable[[SessionStore], Any]
) -> None:
    """A clear error, on every verb."""
    store = open_store(store_url)
    with pytest.raises(StoreClosedError, match="not open yet"):
        await use(store)
    async with store:
        pass
    with pytest.raises(StoreClosedError, match="is closed"):
        await use(store)


async def test_turns_of_several_sessions(store_url: str) -> None:
    """Twenty tasks, two engines, two of three sessions at a time in any order: no deadlock, and all are counted."""
    pairs = ["xy", "yx", "zx", "xz", "yz"] * 4

    async def visit(sessions: Sessions, pair: str) -> None:
        async with sessions.turn(*pair) as opened:
            for session in opened:
                session.set_state(lambda state: {"n": state["n"] + 1})

    options: dict[str, Any] = {"initial_state": {"n": 0}}
    async with asyncio.timeout(60), Sessions(open_store(store_url), **options) as first:
        if "memory" in store_url:
            await asyncio.gather(*(visit(first, pair) for pair in pairs))
        else:
            async with Sessions(open_store(store_url), **options) as second:
                engines = [first, second] * 10
                await asyncio.gather(*(visit(each, pair) for each, pair in zip(engines, pairs, strict=True)))
        found = [await first.peek(session_id) for session_id in "xyz"]

    assert [snapshot.state["n"] for snapshot in found if snapshot is not None] == [16, 12, 12]
