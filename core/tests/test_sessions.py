"""The engine: nothing lost, nothing wasted, nothing half done."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from core.tests.conftest import FourMethodStore

from palaver import (
    Capabilities,
    ConflictError,
    CorruptSessionError,
    InvalidOptionError,
    InvalidSessionIdError,
    InvalidStateError,
    NestedTurnError,
    Record,
    SessionBusyError,
    Sessions,
    SessionTooLargeError,
    StoreClosedError,
    StoreUnavailableError,
    TurnDeadlockError,
    TurnEndedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.tests.conftest import SwapStore

    from palaver import Absent, ManualClock, Session

INITIAL: dict[str, Any] = {"n": 0, "cart": []}
TTL = 100


@pytest.fixture
def sessions(store: SwapStore) -> Sessions:
    return Sessions(store, initial_state=INITIAL, patience=0)


def stored_state(store: FourMethodStore, session_id: str = "a") -> Any:
    return json.loads(store.records[session_id].payload)["state"]


async def meanwhile(store: FourMethodStore, change: Callable[[Session], None], **options: Any) -> None:
    """Do what another process would do: a turn of the same session through an engine of its own."""
    async with Sessions(store, initial_state=INITIAL, **options).turn("a") as session:
        change(session)


class TestState:
    async def test_a_new_session_starts_with_a_copy_of_the_initial_state(self, sessions: Sessions) -> None:
        """What one session does to its state, no other sees."""
        async with sessions.turn("a") as session:
            session.state["cart"].append("apple")
        async with sessions.turn("b") as session:
            assert session.state == {"n": 0, "cart": []}

        assert INITIAL == {"n": 0, "cart": []}

    async def test_any_mutation_is_saved(self, sessions: Sessions) -> None:
        """Nested ones too, without a call."""
        async with sessions.turn("a") as session:
            session.state["cart"].append({"sku": 1})
        async with sessions.turn("a") as session:
            session.state["cart"][0]["sku"] += 1
        async with sessions.turn("a") as session:
            assert session.state == {"n": 0, "cart": [{"sku": 2}]}

    async def test_set_state_merges_one_level_deep(self, sessions: Sessions) -> None:
        """By keywords, by a dict, by both, and by a function of the state; it is visible at once."""
        async with sessions.turn("a") as session:
            session.set_state(name="Tim")
            session.set_state({"cart": ["pear"]}, n=1)
            session.set_state(lambda state: {"n": state["n"] + 1})
            session.set_state(lambda state: {"m": state["n"] + 1}, n=7)

            assert session.state == {"n": 7, "cart": ["pear"], "name": "Tim", "m": 3}

    async def test_set_state_takes_values_not_objects(self, sessions: Sessions) -> None:
        """What the caller does to its objects afterwards changes no session."""
        shared: list[str] = []
        async with sessions.turn("a") as session:
            session.set_state(cart=shared)
            session.state["cart"].append("mine")

        assert shared == []

    async def test_reset_state_sets_the_initial_state(self, sessions: Sessions) -> None:
        """All of it, in the dict that the handler holds."""
        async with sessions.turn("a") as session:
            state = session.state
            session.set_state(n=5, other=1)
            session.reset_state()
            state["cart"].append("still seen")
        async with sessions.turn("a") as session:
            assert session.state == {"n": 0, "cart": ["still seen"]}

    @pytest.mark.parametrize("patch", [5, "text", ["n"], lambda state: None, lambda state: [("n", 1)]])
    async def test_set_state_refuses_what_is_no_patch(self, sessions: Sessions, patch: Any) -> None:
        """The error says what to give, and the state stays."""
        async with sessions.turn("a") as session:
            with pytest.raises(InvalidStateError, match=r"give keys|returns a dict"):
                session.set_state(patch)

            assert session.state == INITIAL

    @pytest.mark.parametrize(
        "call",
        [
            lambda session: session.set_state(n={1}),
            lambda session: session.set_state({"n": 1}, cart=(1,)),
            lambda session: session.set_state(lambda state: {"n": 1}, cart=(1,)),
            lambda session: session.set_state(lambda state: {"n": float("nan")}),
        ],
    )
    async def test_set_state_refuses_bad_values_where_they_are_set(
        self, sessions: Sessions, call: Callable[[Session], None]
    ) -> None:
        """The error comes from the line that is wrong, and nothing was changed."""
        async with sessions.turn("a") as session:
            with pytest.raises(InvalidStateError, match=r"state\.(n|cart)"):
                call(session)

            assert session.state == INITIAL

    async def test_an_initial_state_that_is_not_json_is_refused(self, store: SwapStore) -> None:
        """When the engine is made, not at the first message."""
        with pytest.raises(InvalidStateError, match=r"state\.when"):
            Sessions(store, initial_state={"when": {1}})


class TestSaving:
    async def test_an_unchanged_session_is_not_written(self, sessions: Sessions, store: SwapStore) -> None:
        """Neither a new one, nor one that was changed and changed back."""
        async with sessions.turn("a") as session:
            session.state["n"] = 1
            session.state["n"] = 0
        assert store.records == {}

        async with sessions.turn("a") as session:
            session.state["n"] = 1
        store.calls.clear()
        async with sessions.turn("a") as session:
            assert session.state["n"] == 1

        assert store.calls == ["read"]

    async def test_a_change_of_type_alone_is_a_change(self, sessions: Sessions) -> None:
        """Although 1, 1.0 and True are equal in Python."""
        for value in (1, 1.0, True):
            async with sessions.turn("a") as session:
                session.state["n"] = value
            async with sessions.turn("a") as session:
                assert type(session.state["n"]) is type(value)

    async def test_what_is_stored_is_json_for_people(
        self, sessions: Sessions, store: SwapStore, clock: ManualClock
    ) -> None:
        """Id, times and state, in plain JSON."""
        began = clock.now()
        async with sessions.turn("a") as session:
            session.state["n"] = 1
        clock.advance(5)
        async with sessions.turn("a") as session:
            session.state["n"] = 2

        assert json.loads(store.records["a"].payload) == {
            "id": "a",
            "created": began,
            "last_activity": began + 5000,
            "state": {"n": 2, "cart": []},
        }

    async def test_a_handler_that_raises_saves_nothing(self, sessions: Sessions, store: SwapStore) -> None:
        """The error comes through, and the next turn runs."""
        with pytest.raises(ZeroDivisionError):
            async with sessions.turn("a") as session:
                session.state["n"] = 1 // session.state["n"]

        assert store.records == {}
        async with sessions.turn("a") as session:
            assert session.state == INITIAL

    async def test_what_a_raising_handler_did_can_be_kept(self, store: SwapStore) -> None:
        """With save_on_error its changes are saved, and the error still comes through; not so a cancellation."""
        sessions = Sessions(store, initial_state=INITIAL, save_on_error=True)
        with pytest.raises(ZeroDivisionError):
            async with sessions.turn("a") as session:
                session.state["n"] = 1
                raise ZeroDivisionError
        with pytest.raises(asyncio.CancelledError):
            async with sessions.turn("b") as session:
                session.state["n"] = 1
                raise asyncio.CancelledError

        assert stored_state(store)["n"] == 1
        assert "b" not in store.records

    @pytest.mark.parametrize("value", [float("nan"), 2**63, {1}, {1: 2}, b"x"])
    async def test_a_state_that_is_not_json_is_refused_and_the_old_one_stays(
        self, sessions: Sessions, store: SwapStore, value: Any
    ) -> None:
        """It is found at the end of the turn, with its path."""
        async with sessions.turn("a") as session:
            session.state["n"] = 1
        with pytest.raises(InvalidStateError, match=r"state\.cart\[0\]"):
            async with sessions.turn("a") as session:
                session.state["cart"].append(value)

        assert stored_state(store) == {"n": 1, "cart": []}

    async def test_a_session_that_is_too_large_is_refused_and_the_old_one_stays(self, store: SwapStore) -> None:
        """By the engine's limit or the store's, whichever is smaller."""
        store.capabilities = Capabilities(swap=True, max_payload_bytes=300)
        sessions = Sessions(store)
        async with sessions.turn("a") as session:
            session.state["text"] = "x" * 100
        with pytest.raises(SessionTooLargeError) as caught:
            async with sessions.turn("a") as session:
                session.state["text"] = "x" * 300

        assert caught.value.limit == 300
        assert caught.value.size is not None
        assert caught.value.size > 300
        assert stored_state(store) == {"text": "x" * 100}

    async def test_the_limit_of_the_engine_is_a_mebibyte(self, sessions: Sessions, store: SwapStore) -> None:
        """The same for every store."""
        with pytest.raises(SessionTooLargeError, match="1048576"):
            async with sessions.turn("a") as session:
                session.state["text"] = "x" * 1024 * 1024

        assert store.records == {}

    async def test_destroy_removes_the_session(self, sessions: Sessions, store: SwapStore) -> None:
        """Nothing of it is written back, and the next turn starts anew."""
        async with sessions.turn("a") as session:
            session.state["n"] = 1
        async with sessions.turn("a") as session:
            session.state["n"] = 2
            session.destroy()
            assert session.state == INITIAL

        assert store.records == {}

    async def test_what_is_set_after_destroy_begins_a_new_session(
        self, sessions: Sessions, store: SwapStore, clock: ManualClock
    ) -> None:
        """With its own beginning."""
        async with sessions.turn("a") as session:
            session.state["n"] = 1
        clock.advance(50)
        async with sessions.turn("a") as session:
            session.destroy()
            session.state["cart"].append("new")

        assert stored_state(store) == {"n": 0, "cart": ["new"]}
        assert json.loads(store.records["a"].payload)["created"] == clock.now()


class TestExpiry:
    async def test_it_is_rolling_from_the_last_turn(self, sessions: Sessions, clock: ManualClock) -> None:
        """Every turn that changes something gives the whole ttl again; then the session is new."""
        for _ in range(3):
            async with sessions.turn("a") as session:
                session.state["n"] += 1
            clock.advance(99)
        async with sessions.turn("a") as session:
            assert session.state["n"] == 3
            session.state["n"] += 1
        clock.advance(100)
        async with sessions.turn("a") as session:
            assert session.state == INITIAL

    async def test_a_turn_that_changes_nothing_touches_when_it_is_worth_it(
        self, sessions: Sessions, store: SwapStore, clock: ManualClock
    ) -> None:
        """Not before a tenth of the ttl has passed, and without writing the payload."""
        async with sessions.turn("a") as session:
            session.state["n"] = 1
        version = store.records["a"].version
        store.calls.clear()

        clock.advance(9)
        async with sessions.turn("a"):
            pass
        assert store.calls == ["read"]

        clock.advance(1)
        async with sessions.turn("a"):
            pass
        assert store.calls == ["read", "read", "touch"]
        assert store.records["a"] == Record(store.records["a"].payload, version, clock.now() + 100_000)

    async def test_a_clock_that_went_back_shortens_no_life(self, store: SwapStore, clock: ManualClock) -> None:
        """A turn that only reads moves the expiry forward or not at all."""
        async with Sessions(store).turn("a") as session:
            session.set_state(n=1)
        expires_at = store.records["a"].expires_at
        clock.advance(-60)
        async with Sessions(store).turn("a"):
            pass

        assert store.records["a"].expires_at == expires_at

    async def test_without_touch_the_session_is_saved_again(
        self, four_method_store: FourMethodStore, clock: ManualClock
    ) -> None:
        """A store with four verbs has rolling expiry as well."""
        sessions = Sessions(four_method_store, initial_state=INITIAL)
        async with sessions.turn("a") as session:
            session.state["n"] = 1
        clock.advance(60)
        async with sessions.turn("a"):
            pass
        clock.advance(60)
        async with sessions.turn("a") as session:
            assert session.state["n"] == 1

    async def test_a_session_without_ttl_never_expires(
        self, four_method_store: FourMethodStore, clock: ManualClock
    ) -> None:
        """And is not renewed for nothing."""
        store = type(four_method_store)(ttl=None, clock=clock)
        sessions = Sessions(store)
        async with sessions.turn("a") as session:
            session.state["n"] = 1
        clock.advance(10**9)
        store.calls.clear()
        async with sessions.turn("a") as session:
            assert session.state == {"n": 1}

        assert store.calls == ["read"]


class TestSlowHandler:
    """The session expires while its handler runs."""

    @pytest.mark.parametrize("on_conflict", ["merge", "overwrite", "raise"])
    async def test_it_is_saved_as_the_handler_saw_it(
        self, store: SwapStore, clock: ManualClock, on_conflict: Any
    ) -> None:
        """A session lives while its turn runs, and keeps its beginning."""
        sessions = Sessions(store, initial_state=INITIAL, on_conflict=on_conflict)
        async with sessions.turn("a") as session:
            session.set_state(name="Tim", cart=["apple"])
        began = json.loads(store.records["a"].payload)["created"]
        async with sessions.turn("a") as session:
            clock.advance(TTL + 1)
            session.set_state(step="paid")

        assert stored_state(store) == {"n": 0, "cart": ["apple"], "name": "Tim", "step": "paid"}
        assert json.loads(store.records["a"].payload)["created"] == began

    async def test_one_that_changed_nothing_keeps_it(
        self, sessions: Sessions, store: SwapStore, clock: ManualClock
    ) -> None:
        """What the handler has read is there at the next turn."""
        async with sessions.turn("a") as session:
            session.set_state(name="Tim")
        async with sessions.turn("a"):
            clock.advance(TTL + 1)

        async with sessions.turn("a") as session:
            assert session.state["name"] == "Tim"

    async def test_what_someone_else_began_meanwhile_is_not_overwritten(
        self, sessions: Sessions, store: SwapStore, clock: ManualClock
    ) -> None:
        """It is a conflict like any other: patches are merged into the session that is there."""
        async with sessions.turn("a") as session:
            session.set_state(name="Tim")
        async with sessions.turn("a") as session:
            clock.advance(TTL + 1)
            session.set_state(step="paid")
            await meanwhile(store, lambda other: other.set_state(name="Kim"))

        assert stored_state(store) == {"n": 0, "cart": [], "name": "Kim", "step": "paid"}

    async def test_it_is_kept_alive_in_the_store(
        self, store: SwapStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The expiry moves while the handler runs, so that nobody else finds the session expired."""
        touched = asyncio.Event()
        touch = store.touch

        async def touch_and_tell(session_id: str, expires_at: int | None) -> bool:
            is_alive = await touch(session_id, expires_at)
            touched.set()
            return is_alive

        monkeypatch.setattr(store, "ttl", timedelta(milliseconds=20))
        monkeypatch.setattr(store, "touch", touch_and_tell)
        sessions = Sessions(store, initial_state=INITIAL)
        async with sessions.turn("a") as session:
            session.set_state(name="Tim")
        async with sessions.turn("a"):
            clock.advance(0.015)
            await touched.wait()
            assert store.records["a"].expires_at == clock.now() + 20

    @pytest.mark.parametrize("destroys", [True, False])
    async def test_one_that_someone_else_destroyed_is_not_taken_for_expired(
        self, store: SwapStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, destroys: bool
    ) -> None:
        """Who destroys it too gets a conflict: a token is consumed once. What else the turn does begins it anew."""
        asked = asyncio.Event()
        touch = store.touch

        async def touch_and_tell(session_id: str, expires_at: int | None) -> bool:
            asked.set()
            return await touch(session_id, expires_at)

        monkeypatch.setattr(store, "ttl", timedelta(milliseconds=20))
        monkeypatch.setattr(store, "touch", touch_and_tell)
        sessions = Sessions(store, initial_state=INITIAL)
        async with sessions.turn("a") as session:
            session.set_state(token="secret")

        async def slow() -> None:
            async with sessions.turn("a") as session:
                assert session.state["token"] == "secret"
                await meanwhile(store, lambda other: other.destroy())
                clock.advance(0.015)
                await asked.wait()
                await asyncio.sleep(0)
                clock.advance(1)
                if destroys:
                    session.destroy()
                else:
                    session.set_state(step="paid")

        if destroys:
            with pytest.raises(ConflictError):
                await slow()
            assert "a" not in store.records
            return
        await slow()
        assert stored_state(store) == {"n": 0, "cart": [], "step": "paid"}

    async def test_one_that_expired_is_not_destroyed_unseen(
        self, sessions: Sessions, store: SwapStore, clock: ManualClock
    ) -> None:
        """Nobody knows what became of it before: who consumes a token must have been the only one."""
        async with sessions.turn("a") as session:
            session.set_state(token="secret")
        with pytest.raises(ConflictError):
            async with sessions.turn("a") as session:
                clock.advance(TTL + 1)
                session.destroy()

    async def test_a_renewal_that_fails_is_tried_again(
        self, store: SwapStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """For as long as the session lives, with one line in the log."""
        renewed = asyncio.Event()
        touch, failures = store.touch, 3

        async def fail_at_first(session_id: str, expires_at: int | None) -> bool:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise StoreUnavailableError("it is away")
            renewed.set()
            return await touch(session_id, expires_at)

        monkeypatch.setattr(store, "ttl", timedelta(milliseconds=20))
        monkeypatch.setattr(store, "touch", fail_at_first)
        sessions = Sessions(store, initial_state=INITIAL)
        async with sessions.turn("a") as session:
            session.set_state(name="Tim")
        async with sessions.turn("a"):
            clock.advance(0.015)
            await renewed.wait()

        assert len(caplog.records) == 1

    async def test_a_turn_that_only_reads_undoes_nothing(self, clock: ManualClock) -> None:
        """Also where the store can neither compare nor touch, and its life can be renewed by writing it only."""
        store = FourMethodStore(ttl=TTL, clock=clock)
        sessions = Sessions(store, initial_state=INITIAL)
        async with sessions.turn("a") as session:
            session.set_state(n=1)
        async with sessions.turn("a"):
            clock.advance(TTL / 2)
            await meanwhile(store, lambda other: other.set_state(n=2))

        assert stored_state(store)["n"] == 2


class TestDeadStore:
    """A store that does not answer."""

    async def test_those_who_wait_behind_a_failed_turn_fail_with_it(
        self, sessions: Sessions, store: SwapStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once each, and not one after another for as long as each of them would wait."""
        answered = asyncio.Event()
        reads = 0

        async def never_read(session_id: str) -> Record | None:
            nonlocal reads
            reads += 1
            await answered.wait()
            raise StoreUnavailableError("it did not answer in time")

        async def turn() -> None:
            async with sessions.turn("a"):
                pytest.fail("there is no session to hand out")

        monkeypatch.setattr(store, "read", never_read)
        turns = [asyncio.create_task(turn()) for _ in range(10)]
        await asyncio.sleep(0)
        answered.set()
        outcomes = await asyncio.gather(*turns, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 10
        assert reads == 1
        assert repr(sessions).endswith("0 in a turn>")


class TestLooking:
    """A session is looked at without a turn."""

    async def test_peek_shows_what_is_stored_and_changes_nothing(
        self, sessions: Sessions, store: SwapStore, clock: ManualClock
    ) -> None:
        """Not even the life of the session; and it waits for no turn."""
        async with sessions.turn("a") as session:
            session.set_state(n=1)
        began = clock.now()
        clock.advance(TTL // 2)
        store.calls.clear()
        async with sessions.turn("a") as session:
            session.state["n"] = 2
            snapshot = await sessions.peek("a")

        assert snapshot is not None
        assert (snapshot.id, snapshot.state) == ("a", {"n": 1, "cart": []})
        assert snapshot.created.timestamp() * 1000 == snapshot.last_activity.timestamp() * 1000 == began
        assert snapshot.expires_at is not None
        assert snapshot.expires_at.timestamp() * 1000 == began + TTL * 1000
        assert store.calls == ["read", "read", "swap"]

    async def test_there_is_nothing_to_see_where_no_session_is(self, sessions: Sessions) -> None:
        """An initial state is not a session."""
        assert await sessions.peek("a") is None


class TestConflict:
    """Someone else saves during a turn."""

    async def test_patches_and_functions_are_done_again(self, sessions: Sessions, store: SwapStore) -> None:
        """To what the other has saved: both changes are there."""
        async with sessions.turn("a") as session:
            session.set_state(lambda state: {"n": state["n"] + 1})
            session.set_state(mine=True)
            await meanwhile(store, lambda other: other.set_state(n=10, theirs=True))

        assert stored_state(store) == {"n": 11, "cart": [], "theirs": True, "mine": True}

    async def test_mutated_keys_are_set_again(self, sessions: Sessions, store: SwapStore) -> None:
        """The top-level keys that the turn mutated or removed, and no others."""
        async with sessions.turn("a") as session:
            session.set_state(old=1, n=1)
        async with sessions.turn("a") as session:
            session.state["cart"].append("mine")
            del session.state["old"]
            await meanwhile(store, lambda other: other.set_state(n=10))

        assert stored_state(store) == {"n": 10, "cart": ["mine"]}

    async def test_what_both_mutated_is_a_conflict(self, sessions: Sessions, store: SwapStore) -> None:
        """It names the paths, and saves nothing of the turn, not even what would have fitted."""
        async with sessions.turn("a") as session:
            session.set_state(n=5, user={"name": "Tim", "age": 3})
        with pytest.raises(ConflictError) as raised:
            async with sessions.turn("a") as session:
                session.state["n"] += 1
                session.state["user"]["name"] = "Tom"
                session.state["cart"].append("mine")
                await meanwhile(store, lambda other: other.set_state(n=6, user={"name": "Kim", "age": 4}))

        assert raised.value.paths == ("state.n", "state.user.name")
        assert raised.value.retryable
        assert stored_state(store) == {"n": 6, "cart": [], "user": {"name": "Kim", "age": 4}}

    async def test_nested_keys_and_appended_items_are_put_together(self, sessions: Sessions, store: SwapStore) -> None:
        """What two turns added to one dict and to one list is all there, theirs first."""
        async with sessions.turn("a") as session:
            session.set_state(user={"name": "Tim"})

        def change(other: Session) -> None:
            other.state["cart"].append("theirs")
            other.state["user"]["age"] = 3

        async with sessions.turn("a") as session:
            session.state["cart"].append("mine")
            session.state["user"]["town"] = "Taipei"
            await meanwhile(store, change)

        assert stored_state(store) == {
            "n": 0,
            "cart": ["theirs", "mine"],
            "user": {"name": "Tim", "age": 3, "town": "Taipei"},
        }

    async def test_overwrite_sets_mutated_keys_whatever_the_other_saved(self, store: SwapStore) -> None:
        """That is what on_conflict="overwrite" asks for, and destroying then has no condition."""
        sessions = Sessions(store, initial_state=INITIAL, on_conflict="overwrite")
        async with sessions.turn("a") as session:
            session.state["n"] += 1
            await meanwhile(store, lambda other: other.set_state(n=10, theirs=True))
        assert stored_state(store) == {"n": 1, "cart": [], "theirs": True}

        async with sessions.turn("a") as session:
            session.destroy()
            await meanwhile(store, lambda other: other.set_state(n=11))
        assert store.records == {}

    @pytest.mark.parametrize("on_conflict", ["merge", "raise"])
    async def test_destroying_what_someone_else_changed_is_a_conflict(self, store: SwapStore, on_conflict: Any) -> None:
        """Also when something new was begun after it: the handler has not seen what it would destroy."""
        sessions = Sessions(store, initial_state=INITIAL, on_conflict=on_conflict)
        for begin_anew in (False, True):
            async with sessions.turn("a") as session:
                session.set_state(n=1)
            with pytest.raises(ConflictError):
                async with sessions.turn("a") as session:
                    session.destroy()
                    if begin_anew:
                        session.set_state(n=7)
                    await meanwhile(store, lambda other: other.set_state(n=2))

            assert stored_state(store)["n"] == 2

    async def test_what_was_destroyed_once_cannot_be_destroyed_again(
        self, sessions: Sessions, store: SwapStore
    ) -> None:
        """Of two turns that read a one-time token and destroy it, one succeeds."""
        async with sessions.turn("a") as session:
            session.set_state(token="once")
        with pytest.raises(ConflictError):
            async with sessions.turn("a") as session:
                session.destroy()
                await meanwhile(store, lambda other: other.destroy())

        assert store.records == {}

    async def test_mutations_of_a_session_destroyed_meanwhile_are_a_conflict(
        self, sessions: Sessions, store: SwapStore
    ) -> None:
        """What the handler made of the old state is not revived."""
        async with sessions.turn("a") as session:
            session.set_state(n=5)
        with pytest.raises(ConflictError) as raised:
            async with sessions.turn("a") as session:
                session.state["n"] += 1
                await meanwhile(store, lambda other: other.destroy())

        assert raised.value.paths == ("state.n",)
        assert store.records == {}

    async def test_the_order_of_changes_is_kept(self, sessions: Sessions, store: SwapStore) -> None:
        """A function that depends on what was mutated before it sees it again."""
        async with sessions.turn("a") as session:
            session.set_state(step=1)
        async with sessions.turn("a") as session:
            session.state["step"] = 5
            session.set_state(lambda state: {"n": state["n"] + state["step"]})
            session.state["step"] = 7
            await meanwhile(store, lambda other: other.set_state(n=100))

        assert stored_state(store) == {"n": 105, "cart": [], "step": 7}

    async def test_what_was_set_and_mutated_back_is_done_again(self, sessions: Sessions, store: SwapStore) -> None:
        """The value counts with which the turn ended, even where it is the one that the turn has found."""
        async with sessions.turn("a") as session:
            session.set_state(lambda state: {"counted": state["n"] + 1})
            session.set_state(n=7)
            session.state["n"] = 0
            await meanwhile(store, lambda other: other.set_state(n=10))

        assert stored_state(store) == {"n": 0, "cart": [], "counted": 11}

    async def test_what_a_handler_still_holds_after_its_turn_does_not_count(
        self, sessions: Sessions, store: SwapStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A dict that was kept, and is changed while the turn is saved, changes nothing, at no attempt."""
        kept: dict[str, Any] = {}
        swap = store.swap

        async def swap_late(session_id: str, record: Record, expected: str | Absent) -> bool:
            kept["n"] = 99
            return await swap(session_id, record, expected)

        async with sessions.turn("a") as session:
            kept = session.state
            kept["mine"] = True
            await meanwhile(store, lambda other: other.set_state(theirs=True))
            monkeypatch.setattr(store, "swap", swap_late)

        assert kept["n"] == 99
        assert stored_state(store) == {"n": 0, "cart": [], "mine": True, "theirs": True}

    async def test_a_reset_is_done_again(self, sessions: Sessions, store: SwapStore) -> None:
        """What the other has saved is reset, too."""
        async with sessions.turn("a") as session:
            session.set_state(n=1)
        async with sessions.turn("a") as session:
            session.set_state(lost=True)
            session.reset_state()
            session.set_state(asking=True)
            await meanwhile(store, lambda other: other.set_state(n=10, theirs=True))

        assert stored_state(store) == {"n": 0, "cart": [], "asking": True}

    async def test_a_session_destroyed_meanwhile_begins_anew(self, sessions: Sessions, store: SwapStore) -> None:
        """As if the turn had come after the destroying."""
        async with sessions.turn("a") as session:
            session.set_state(n=5, secret="forget me")
        async with sessions.turn("a") as session:
            session.set_state(lambda state: {"n": state["n"] + 1})
            await meanwhile(store, lambda other: other.destroy())

        assert stored_state(store) == {"n": 1, "cart": []}

    async def test_a_session_that_ends_up_as_the_other_saved_it_is_not_written(
        self, sessions: Sessions, store: SwapStore
    ) -> None:
        """Both did the same: once is enough."""
        async with sessions.turn("a") as session:
            session.set_state(n=10)
            await meanwhile(store, lambda other: other.set_state(n=10))
            version = store.records["a"].version

        assert store.records["a"].version == version

    async def test_it_can_be_an_error_instead(self, store: SwapStore) -> None:
        """With on_conflict="raise" the other's state stays, and nothing of the turn's."""
        sessions = Sessions(store, initial_state=INITIAL, on_conflict="raise")
        with pytest.raises(ConflictError, match="'a'"):
            async with sessions.turn("a") as session:
                session.set_state(mine=True)
                await meanwhile(store, lambda other: other.set_state(theirs=True))

        assert stored_state(store) == {"n": 0, "cart": [], "theirs": True}

    async def test_it_gives_up_after_a_bounded_number_of_attempts(
        self, store: SwapStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Somebody who always comes first ends in an error that says how often it was tried."""
        attempts = 0

        async def always_late(session_id: str, record: Record, expected: object) -> bool:
            nonlocal attempts
            attempts += 1
            return False

        monkeypatch.setattr(store, "swap", always_late)
        with pytest.raises(ConflictError, match="3 times"):
            async with Sessions(store, max_attempts=3).turn("a") as session:
                session.set_state(n=1)

        assert attempts == 3

    async def test_without_compare_and_swap_the_last_writer_wins(self, four_method_store: FourMethodStore) -> None:
        """That is all that a store with four verbs can do among processes."""
        sessions = Sessions(four_method_store, initial_state=INITIAL)
        async with sessions.turn("a") as session:
            session.set_state(mine=True)
            await meanwhile(four_method_store, lambda other: other.set_state(theirs=True))

        assert stored_state(four_method_store) == {"n": 0, "cart": [], "mine": True}


class TestTurns:
    async def test_a_thousand_concurrent_turns_lose_nothing(self, sessions: Sessions) -> None:
        """Each reads, waits, and writes; all are counted."""

        async def turn() -> None:
            async with sessions.turn("a") as session:
                n = session.state["n"]
                await asyncio.sleep(0)
                session.state["n"] = n + 1

        await asyncio.gather(*(turn() for _ in range(1000)))

        async with sessions.turn("a") as session:
            assert session.state["n"] == 1000
        assert repr(sessions) == "<Sessions on <SwapStore>: 0 in a turn>"

    async def test_a_session_is_of_no_use_after_its_turn(self, sessions: Sessions) -> None:
        """A change would be lost, so it is an error."""
        async with sessions.turn("a") as session:
            pass

        for late in (
            lambda: session.state,
            lambda: session.set_state(n=1),
            session.reset_state,
            session.destroy,
        ):
            with pytest.raises(TurnEndedError, match="'a'"):
                late()

    def test_a_turn_without_async_says_so(self, sessions: Sessions) -> None:
        """Python alone would speak of a protocol."""
        with pytest.raises(TypeError, match="async with"), sessions.turn("a"):  # type: ignore[attr-defined]
            pytest.fail("there is no such turn")

    def test_what_is_no_store_is_refused(self) -> None:
        """When the engine is made, and not at the first turn."""
        with pytest.raises(InvalidOptionError, match=r"sqlite:///bot\.db"):
            Sessions(object())  # type: ignore[arg-type]

    async def test_a_turn_inside_a_turn_of_the_same_session_is_refused(self, sessions: Sessions) -> None:
        """A turn of another session is not; and afterwards all is as ever."""
        async with sessions.turn("a"):
            async with sessions.turn("b") as other:
                other.state["n"] = 1
            with pytest.raises(NestedTurnError):
                async with sessions.turn("a"):
                    pass
        async with sessions.turn("a"):
            pass

    @pytest.mark.parametrize("session_id", ["", "x" * 513, "a\0", "\ud800", None])
    async def test_an_impossible_id_is_refused_before_the_store_sees_it(
        self, sessions: Sessions, store: SwapStore, session_id: Any
    ) -> None:
        """The engine checks, so that no driver needs to."""
        with pytest.raises(InvalidSessionIdError):
            sessions.turn(session_id)

        assert store.calls == []

    async def test_a_store_may_take_shorter_ids_only(self, store: SwapStore) -> None:
        """What it declares is what the engine asks for."""
        store.capabilities = Capabilities(max_id_bytes=5)

        with pytest.raises(InvalidSessionIdError, match="more than 5"):
            Sessions(store).turn("x" * 6)

    async def test_a_cancelled_handler_saves_nothing_and_the_next_turn_runs(
        self, sessions: Sessions, store: SwapStore
    ) -> None:
        """Cancelled in the middle of the block."""

        async def handler() -> None:
            async with sessions.turn("a") as session:
                session.state["n"] = 1
                await asyncio.Event().wait()

        task = asyncio.create_task(handler())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert store.records == {}
        async with sessions.turn("a") as session:
            assert session.state == INITIAL

    async def test_a_store_that_fails_is_never_no_session(
        self, sessions: Sessions, store: SwapStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The handler does not run, nothing is written, and the next turn finds the session."""
        async with sessions.turn("a") as session:
            session.state["n"] = 1

        async def fail(session_id: str) -> Record | None:
            raise StoreUnavailableError("no route", store="<Store>")

        with monkeypatch.context() as broken:
            broken.setattr(store, "read", fail)
            with pytest.raises(StoreUnavailableError, match="no route"):
                async with sessions.turn("a"):
                    pytest.fail("the handler ran")

        async with sessions.turn("a") as session:
            assert session.state["n"] == 1

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"garbage",
            b"[]",
            b'{"id":"a","created":1,"last_activity":1}',
            b'{"id":"a","created":1,"last_activity":1,"state":[]}',
            b'{"id":"b","created":1,"last_activity":1,"state":{}}',
            b'{"id":"a","created":1,"last_activity":1,"state":{"x":"\xff"}}',
            b'{"id":"a","created":1,"last_activity":1,"state":{"x":1e999}}',
            b'{"id":"a","created":1,"last_activity":1,"state":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        ],
    )
    async def test_a_record_that_is_no_session_is_corrupt_and_stays(
        self, sessions: Sessions, store: SwapStore, payload: bytes
    ) -> None:
        """It is an error with the id in it, and is not overwritten."""
        store.records["a"] = Record(payload, "v", None)

        with pytest.raises(CorruptSessionError, match="'a'"):
            async with sessions.turn("a"):
                pytest.fail("the handler ran")

        assert store.records["a"].payload == payload

    @pytest.mark.parametrize("value", [b"123456789012345678901234567890", b"[" * 500 + b"]" * 500], ids=["big", "deep"])
    async def test_a_stored_state_that_no_turn_could_save_is_corrupt_and_stays(
        self, sessions: Sessions, store: SwapStore, value: bytes
    ) -> None:
        """The handler is not blamed for what it has found."""
        payload = b'{"id":"a","created":1,"last_activity":1,"state":{"x":' + value + b"}}"
        store.records["a"] = Record(payload, "v", None)

        with pytest.raises(CorruptSessionError, match=r"state\.x.*(64 bits|deeper)"):
            async with sessions.turn("a") as session:
                session.state["n"] = 1

        assert store.records["a"].payload == payload

    async def test_the_first_turn_opens_the_store(self, sessions: Sessions, store: SwapStore) -> None:
        """Once."""
        for _ in range(2):
            async with sessions.turn("a"):
                pass

        assert store.calls == ["init", "read", "read"]

    async def test_a_block_opens_and_closes_the_store(self, store: SwapStore) -> None:
        """`async with sessions` is the life of the store."""
        async with Sessions(store) as sessions, sessions.turn("a"):
            pass

        assert store.calls == ["init", "read", "close"]

    @pytest.mark.parametrize(
        "options",
        [
            {"on_conflict": "reapply"},
            {"max_attempts": 0},
            {"max_payload_bytes": None},
            {"max_payload_bytes": 0},
            {"max_payload_bytes": True},
        ],
    )
    def test_an_option_without_meaning_is_refused(self, store: SwapStore, options: Any) -> None:
        """When the engine is made."""
        with pytest.raises(InvalidOptionError, match=next(iter(options))):
            Sessions(store, **options)


class TestFacts:
    async def test_a_session_tells_its_id_its_platform_and_its_times(
        self, sessions: Sessions, clock: ManualClock
    ) -> None:
        """As aware datetimes; a new session has had no activity."""
        async with sessions.turn("telegram:42") as session:
            assert (session.id, session.platform) == ("telegram:42", "telegram")
            assert session.created.timestamp() * 1000 == clock.now()
            assert session.created.tzinfo is not None
            assert session.last_activity is None
            session.state["n"] = 1
        began = clock.now()
        clock.advance(20)
        async with sessions.turn("telegram:42") as session:
            assert session.created.timestamp() * 1000 == began
            assert session.last_activity is not None
            assert session.last_activity.timestamp() * 1000 == began
            assert repr(session) == "<Session 'telegram:42'>"
        assert repr(session) == "<Session 'telegram:42', ended>"

    async def test_an_id_without_a_colon_has_no_platform(self, sessions: Sessions) -> None:
        """Nothing is made up."""
        async with sessions.turn("somebody") as session:
            assert session.platform == ""


class TestWaiting:
    async def test_a_turn_that_cannot_begin_in_time(self, sessions: Sessions) -> None:
        """Its caller is told that the session is busy; the turn that runs is not disturbed."""
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def long() -> None:
            async with sessions.turn("a") as session:
                begun.set()
                await may_end.wait()
                session.state["n"] = 1

        running = asyncio.create_task(long())
        await begun.wait()
        with pytest.raises(SessionBusyError, match="'a' is busy"):
            async with sessions.turn("a", timeout=0):
                pass
        may_end.set()
        await running

        async with sessions.turn("a", timeout=0) as session:
            assert session.state["n"] == 1

    async def test_two_turns_in_opposite_order(self, sessions: Sessions) -> None:
        """One of the tasks is told so instead of both waiting for ever, and the other one goes on."""

        async def both(first: str, second: str) -> None:
            async with sessions.turn(first):
                await asyncio.sleep(0)
                async with sessions.turn(second) as session:
                    session.state["n"] += 1

        outcomes = await asyncio.gather(both("x", "y"), both("y", "x"), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [type(None), TurnDeadlockError]
        async with sessions.turn("y") as session:
            assert session.state["n"] == 1

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5", True])
    async def test_a_timeout_that_means_nothing_is_refused(self, sessions: Sessions, seconds: Any) -> None:
        """Before anything is waited for."""
        with pytest.raises(InvalidOptionError, match="timeout"):
            sessions.turn("a", timeout=seconds)


class TestClosing:
    async def test_turns_that_run_end_and_save(self, sessions: Sessions, store: SwapStore) -> None:
        """So do those that wait for them, and those that they open; new ones are refused."""
        may_end = asyncio.Event()

        async def slow(session_id: str, inner_id: str) -> None:
            async with sessions.turn(session_id) as session:
                await may_end.wait()
                session.state["n"] += 1
                async with sessions.turn(inner_id) as inner:
                    inner.state["n"] = 5

        running = [asyncio.create_task(slow(*ids)) for ids in ("ax", "ay", "bz")]
        await asyncio.sleep(0)
        closing = asyncio.create_task(sessions.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreClosedError):
            async with sessions.turn("c"):
                pass
        with pytest.raises(StoreClosedError):
            await sessions.peek("a")
        may_end.set()
        await closing

        assert all(task.done() and task.exception() is None for task in running)
        assert (stored_state(store)["n"], stored_state(store, "b")["n"], len(store.records)) == (2, 1, 5)
        assert store.calls[-1] == "close"

    async def test_turns_that_take_too_long_are_cancelled(
        self, sessions: Sessions, store: SwapStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        """They save nothing, and the log says which; 0 waits for none."""

        async def endless() -> None:
            async with sessions.turn("a") as session:
                session.state["n"] = 1
                await asyncio.Event().wait()

        running = asyncio.create_task(endless(), name="endless")
        await asyncio.sleep(0)
        await sessions.close(drain=0)

        with pytest.raises(asyncio.CancelledError):
            await running
        assert store.records == {}
        assert "'a' (task 'endless')" in caplog.text

    async def test_closing_inside_a_turn(self, sessions: Sessions, store: SwapStore) -> None:
        """It does not wait for itself."""
        async with sessions.turn("a") as session:
            session.state["n"] = 1
            await sessions.close()
        with pytest.raises(StoreClosedError):
            async with sessions.turn("a"):
                pass
        await sessions.close()
        await sessions.init()

        async with sessions.turn("a") as session:
            session.state["n"] = 2
        assert stored_state(store)["n"] == 2

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5", True, None])
    async def test_a_drain_that_means_nothing_is_refused(self, sessions: Sessions, seconds: Any) -> None:
        """Before anything is closed."""
        with pytest.raises(InvalidOptionError, match="drain"):
            await sessions.close(drain=seconds)
        async with sessions.turn("a"):
            pass
