"""An outage that is short is seen by no handler, and what was saved in it is saved once."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from palaver import InvalidOptionError, Sessions, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.tests.conftest import SwapStore

VERBS = ("init", "read", "swap", "remove", "touch")


class Outage:
    """Lets calls of a store fail, before or after they were done.

    Args:
        store: the store.
        verb: which of its verbs fails.
        failures: how often.
        is_done: whether the call takes effect, and only its answer is lost.
    """

    def __init__(self, store: SwapStore, verb: str, *, failures: int, is_done: bool = False, **error: Any) -> None:
        self.calls = 0
        self._works: Callable[..., Awaitable[Any]] = getattr(store, verb)
        self._failures, self._is_done, self._error = failures, is_done, error
        setattr(store, verb, self._call)

    async def _call(self, *arguments: Any) -> Any:
        self.calls += 1
        fails = self.calls <= self._failures
        if fails and not self._is_done:
            raise StoreUnavailableError("no route", **self._error)
        answer = await self._works(*arguments)
        if fails:
            raise StoreUnavailableError("the answer was lost", **self._error)
        return answer


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda *_: 0)


@pytest.fixture
def sessions(store: SwapStore) -> Sessions:
    return Sessions(store, initial_state={"n": 0})


async def visit(sessions: Sessions) -> int:
    """Count by mutation, as people do; what is done twice shows."""
    async with sessions.turn("a") as session:
        session.state["n"] += 1
        return int(session.state["n"])


@pytest.mark.parametrize(
    ("verb", "is_done"),
    # Of a removal whose answer is lost nobody can tell who did it: see below.
    [*((verb, False) for verb in VERBS), *((verb, True) for verb in VERBS if verb != "remove")],
)
async def test_a_short_outage_is_not_seen(sessions: Sessions, store: SwapStore, verb: str, *, is_done: bool) -> None:
    """Whichever call fails, and whether it was done or not: each handler runs once, and what it did counts once."""
    outage = Outage(store, verb, failures=3, is_done=is_done)

    assert [await visit(sessions) for _ in range(3)] == [1, 2, 3]
    store.clock.advance(60)  # type: ignore[attr-defined]
    async with sessions.turn("a") as session:
        assert session.state == {"n": 3}
    snapshot = await sessions.peek("a")
    async with sessions.turn("a") as session:
        session.destroy()

    assert snapshot is not None
    assert snapshot.state == {"n": 3}
    assert store.records == {}
    assert outage.calls > 3


async def test_an_answer_that_is_lost_for_good(sessions: Sessions, store: SwapStore) -> None:
    """Where someone else has saved meanwhile nobody can tell: the caller is told so, and not asked to try again."""
    await visit(sessions)
    outage = Outage(store, "swap", failures=1, is_done=True)

    with pytest.raises(StoreUnavailableError, match="whether it was done is not known") as caught:
        async with sessions.turn("a") as session:
            session.state["n"] += 1
            works = outage._works

            async def overtaken(*arguments: Any) -> Any:
                answer = await works(*arguments)
                outage._works = works
                await visit(Sessions(store, initial_state={"n": 0}))
                return answer

            outage._works = overtaken

    assert not caught.value.retryable
    assert caught.value.session_id == "a"
    assert json.loads(store.records["a"].payload)["state"] == {"n": 3}


async def test_a_removal_whose_answer_is_lost(sessions: Sessions, store: SwapStore) -> None:
    """Somebody else may have done it: who consumes a token once must know."""
    await visit(sessions)
    Outage(store, "remove", failures=1, is_done=True)

    with pytest.raises(StoreUnavailableError, match="whether it was done is not known"):
        async with sessions.turn("a") as session:
            session.destroy()


@pytest.mark.parametrize("verb", VERBS[:3])
async def test_what_does_not_pass_fails_at_once(sessions: Sessions, store: SwapStore, verb: str) -> None:
    """A wrong password is not tried again."""
    outage = Outage(store, verb, failures=9, retryable=False)

    with pytest.raises(StoreUnavailableError, match="no route"):
        await visit(sessions)

    assert outage.calls == 1


@pytest.mark.parametrize("verb", VERBS[:3])
async def test_without_patience_nothing_is_tried_again(store: SwapStore, verb: str) -> None:
    """Who has a platform that sends events again may want that."""
    outage = Outage(store, verb, failures=9)

    with pytest.raises(StoreUnavailableError, match="no route"):
        await visit(Sessions(store, initial_state={"n": 0}, patience=0))

    assert outage.calls == 1


async def test_a_long_outage_fails_in_the_end(store: SwapStore) -> None:
    """With what the store said last, and the handler has not run."""
    outage = Outage(store, "read", failures=1_000_000)

    with pytest.raises(StoreUnavailableError, match="no route"):
        await visit(Sessions(store, patience=0.05))

    assert outage.calls > 1


async def test_an_outage_is_logged_once(sessions: Sessions, store: SwapStore, caplog: pytest.LogCaptureFixture) -> None:
    """However many calls it fails; the next one again."""
    Outage(store, "read", failures=3)
    await visit(sessions)
    Outage(store, "swap", failures=3)
    await visit(sessions)

    assert [record.getMessage() for record in caplog.records] == ["no route; trying again for up to 10 s"] * 2


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5", True, None])
def test_a_patience_that_means_nothing_is_refused(store: SwapStore, seconds: Any) -> None:
    """When the engine is made."""
    with pytest.raises(InvalidOptionError, match="patience"):
        Sessions(store, patience=seconds)
