"""Shared round trips: who goes together, who fails alone, and that nothing is left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from palaver import (
    Absent,
    Capabilities,
    CorruptSessionError,
    Record,
    Sessions,
    SessionStore,
    StoreUnavailableError,
)
from palaver.contract.record import SwapDecision, decide_swap, new_version
from palaver.engine.round_trips import MAX_BYTES, MAX_ITEMS, SMALLEST_SHARE, RoundTrips

if TYPE_CHECKING:
    from collections.abc import Sequence


class GatedStore(SessionStore):
    """A store whose calls wait at a gate, so that a test decides when a round trip ends."""

    capabilities = Capabilities(swap=True, batch=True)

    def __init__(self, *, is_open: bool = True) -> None:
        super().__init__()
        self.records: dict[str, Record] = {}
        self.trips: list[tuple[str, tuple[str, ...]]] = []
        self.damaged: set[str] = set()
        self.locked: set[str] = set()
        self.is_away = False
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()

    async def init(self) -> Self:
        return self

    async def read(self, session_id: str) -> Record | None:
        await self._trip("read", [session_id])
        return self.records.get(session_id)

    async def write(self, session_id: str, record: Record) -> None:
        self.records[session_id] = record

    async def destroy(self, session_id: str) -> None:
        self.records.pop(session_id, None)

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        await self._trip("read_many", session_ids)
        return [self.records.get(session_id) for session_id in session_ids]

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        await self._trip("swap", [session_id])
        return self._swap(session_id, record, expected)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self._trip("swap_many", [item[0] for item in items])
        return [self._swap(*item) for item in items]

    async def _trip(self, verb: str, session_ids: Sequence[str]) -> None:
        self.trips.append((verb, tuple(session_ids)))
        await self.gate.wait()
        if self.is_away:
            raise StoreUnavailableError("no route")
        for session_id in session_ids:
            if session_id in self.damaged:
                raise CorruptSessionError("torn", session_id=session_id)
            if session_id in self.locked:
                raise StoreUnavailableError("somebody holds its lock", session_id=session_id)

    def _swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        decision = decide_swap(self.records.get(session_id), record, expected)
        if decision is SwapDecision.STORE:
            self.records[session_id] = record
        return decision is not SwapDecision.REFUSE


def record(size: int = 2) -> Record:
    return Record(b"x" * size, new_version(), None)


async def count_up(sessions: Sessions, session_id: str) -> None:
    async with sessions.turn(session_id) as session:
        session.state["n"] = session.state.get("n", 0) + 1


async def test_a_turn_that_is_alone_goes_directly() -> None:
    """One read and one swap, and no batch."""
    store = GatedStore()
    await count_up(Sessions(store), "a")

    assert store.trips == [("read", ("a",)), ("swap", ("a",))]


async def test_turns_at_the_same_moment_share_their_round_trips() -> None:
    """The first is alone when it comes; the others go together, in order of arrival, and are saved together."""
    store = GatedStore(is_open=False)
    sessions = Sessions(store)
    ids = tuple(str(number) for number in range(100))
    turns = [asyncio.create_task(count_up(sessions, session_id)) for session_id in ids]
    await asyncio.sleep(0.01)
    store.gate.set()
    await asyncio.gather(*turns)

    assert store.trips[:2] == [("read", ids[:1]), ("read_many", ids[1:])]
    assert [verb for verb, _ in store.trips[2:]] in (["swap_many"], ["swap_many"] * 2)
    assert set(store.records) == set(ids)


async def test_turns_that_come_during_a_round_trip_share_the_next() -> None:
    """There is one batch in flight; who comes meanwhile goes together when it has landed."""
    store = GatedStore(is_open=False)
    trips = RoundTrips(store)
    first = asyncio.create_task(trips.read("a", is_alone=False))
    await asyncio.sleep(0.01)
    later = [asyncio.create_task(trips.read(session_id, is_alone=False)) for session_id in "bcd"]
    await asyncio.sleep(0.01)
    assert store.trips == [("read_many", ("a",))]
    assert repr(trips) == "<RoundTrips: reads [3 waiting, 1 in flight], swaps [0 waiting, 0 in flight]>"
    store.gate.set()
    await asyncio.gather(first, *later)

    assert store.trips == [("read_many", ("a",)), ("read_many", ("b", "c", "d"))]


async def test_several_batches_are_in_flight_where_the_store_gains_from_it() -> None:
    """As many as it hints, and no more."""
    store = GatedStore(is_open=False)
    store.batches_in_flight = 2
    trips = RoundTrips(store)
    calls = []
    for session_id in "abc":
        calls.append(asyncio.create_task(trips.read(session_id, is_alone=False)))
        await asyncio.sleep(0.01)

    assert store.trips == [("read_many", ("a",)), ("read_many", ("b",))]
    store.gate.set()
    await asyncio.gather(*calls)


@pytest.mark.parametrize(
    ("calls", "shares"),
    [
        (SMALLEST_SHARE, [SMALLEST_SHARE]),
        (SMALLEST_SHARE + 5, [SMALLEST_SHARE, 5]),
        (101, [51, 50]),
        (2 * MAX_ITEMS + 7, [MAX_ITEMS, MAX_ITEMS, 7]),
    ],
)
async def test_free_places_share_evenly_what_waits(calls: int, shares: list[int]) -> None:
    """In order, but no less than is worth a batch of its own, and no more than a batch holds."""
    store = GatedStore()
    store.batches_in_flight = 2
    trips = RoundTrips(store)
    await asyncio.gather(*(trips.read(str(number), is_alone=False) for number in range(calls)))

    assert [len(ids) for _, ids in store.trips] == shares
    assert [session_id for _, ids in store.trips for session_id in ids] == [str(number) for number in range(calls)]


@pytest.mark.parametrize("hint", ["no batch", "no wait"])
async def test_a_store_that_gains_nothing_is_called_directly(hint: str) -> None:
    """One without the capability, and one that answers without waiting."""
    store = GatedStore()
    if hint == "no batch":
        store.capabilities = Capabilities(swap=True)
    else:
        store.batches_in_flight = 0
    sessions = Sessions(store)
    await asyncio.gather(*(count_up(sessions, session_id) for session_id in "ab"))

    assert {verb for verb, _ in store.trips} == {"read", "swap"}


async def test_batches_are_bounded_in_items() -> None:
    """More than that go in the next."""
    store = GatedStore()
    trips = RoundTrips(store)
    await asyncio.gather(*(trips.read(str(number), is_alone=False) for number in range(MAX_ITEMS + 5)))

    assert [len(ids) for _, ids in store.trips] == [MAX_ITEMS, 5]


async def test_batches_are_bounded_in_bytes() -> None:
    """One that is larger than that by itself still goes, alone."""
    store = GatedStore()
    trips = RoundTrips(store)
    sizes = {"a": MAX_BYTES // 2, "b": MAX_BYTES // 2, "c": 1, "d": MAX_BYTES + 1, "e": 1}
    swaps = [trips.swap(key, record(size), Absent.ABSENT, is_alone=False) for key, size in sizes.items()]

    assert await asyncio.gather(*swaps) == [True] * 5
    assert [ids for _, ids in store.trips] == [("a", "b"), ("c",), ("d",), ("e",)]


async def test_a_call_that_fails_for_its_own_reason_fails_alone() -> None:
    """The others of its batch get their answers."""
    store = GatedStore()
    store.damaged = {"b"}
    trips = RoundTrips(store)
    results = await asyncio.gather(
        *(trips.swap(session_id, record(), Absent.ABSENT, is_alone=False) for session_id in "abc"),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [bool, CorruptSessionError, bool]
    assert set(store.records) == {"a", "c"}


async def test_a_session_that_is_unavailable_by_itself_fails_alone() -> None:
    """The error names it, so all others are sent again without it."""
    store = GatedStore()
    trips = RoundTrips(store)
    store.locked.add("b")

    answers = await asyncio.gather(
        *(trips.read(session_id, is_alone=False) for session_id in "abc"), return_exceptions=True
    )

    assert [answers[0], answers[2]] == [None, None]
    assert isinstance(answers[1], StoreUnavailableError)
    assert answers[1].session_id == "b"


async def test_a_session_that_is_locked_keeps_nobody_waiting() -> None:
    """It waits beside the batches: its companions, and those who come later, have their answers before it."""
    store = GatedStore()
    store.locked.add("b")
    unlocked = asyncio.Event()

    async def read_when_unlocked(session_id: str) -> Record | None:
        await unlocked.wait()
        return None

    store.read = read_when_unlocked  # type: ignore[method-assign]
    trips = RoundTrips(store)
    first = [asyncio.create_task(trips.read(session_id, is_alone=False)) for session_id in "abc"]
    await asyncio.wait_for(asyncio.gather(first[0], first[2]), timeout=5)
    await asyncio.wait_for(asyncio.gather(*(trips.read(later, is_alone=False) for later in "de")), timeout=5)
    assert not first[1].done()
    unlocked.set()

    assert await first[1] is None


async def test_when_the_store_is_away_all_fail_at_once() -> None:
    """Each with an error of its own, and nothing is tried again."""
    store = GatedStore()
    store.is_away = True
    trips = RoundTrips(store)
    results: list[Any] = await asyncio.gather(
        *(trips.read(session_id, is_alone=False) for session_id in "abc"), return_exceptions=True
    )

    assert [str(result) for result in results] == ["no route"] * 3
    assert len({id(result) for result in results}) == 3
    assert len(store.trips) == 1


async def test_those_who_stayed_behind_fail_with_the_batch_that_found_the_store_away() -> None:
    """They have waited for as long; who came later finds out by themselves."""
    store = GatedStore(is_open=False)
    store.is_away = True
    trips = RoundTrips(store)
    calls = [asyncio.create_task(trips.read(f"a{number}", is_alone=False)) for number in range(MAX_ITEMS + 10)]
    await asyncio.sleep(0.01)
    late = asyncio.create_task(trips.read("late", is_alone=False))
    await asyncio.sleep(0.01)
    store.gate.set()
    outcomes = await asyncio.gather(*calls, late, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
    assert [len(session_ids) for _, session_ids in store.trips] == [MAX_ITEMS, 1]


async def test_a_cancelled_call_that_waits_is_never_sent() -> None:
    """And the others go as if it had not been."""
    store = GatedStore(is_open=False)
    trips = RoundTrips(store)
    first = asyncio.create_task(trips.read("a", is_alone=False))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(trips.read(session_id, is_alone=False)) for session_id in "bc"]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    store.gate.set()
    await asyncio.gather(first, *waiting, return_exceptions=True)

    assert waiting[0].cancelled()
    assert store.trips == [("read_many", ("a",)), ("read_many", ("c",))]


async def test_a_cancelled_call_in_flight_is_waited_for() -> None:
    """Its effect comes before its end, and those who fly with it do not notice."""
    store = GatedStore(is_open=False)
    trips = RoundTrips(store)
    calls = [
        asyncio.create_task(trips.swap(session_id, record(), Absent.ABSENT, is_alone=False)) for session_id in "ab"
    ]
    await asyncio.sleep(0.01)
    calls[0].cancel()
    await asyncio.sleep(0.01)
    assert not calls[0].done()
    store.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is True
    assert set(store.records) == {"a", "b"}


class Traffic(RuleBasedStateMachine):
    """Turns of several sessions, begun, cancelled and delayed at will, on a store that may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store = self.loop.run_until_complete(self._make())
        self.turns: list[tuple[str, asyncio.Task[None]]] = []

    async def _make(self) -> GatedStore:
        return GatedStore(is_open=False)

    @initialize(places=st.integers(1, 3))
    def open(self, places: int) -> None:
        self.store.batches_in_flight = places
        self.sessions = Sessions(self.store, patience=0)

    def _run(self, passes: int) -> None:
        async def wait() -> None:
            for _ in range(passes):
                await asyncio.sleep(0)

        self.loop.run_until_complete(wait())

    @rule(session_ids=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8))
    def begin_turns(self, session_ids: list[str]) -> None:
        for session_id in session_ids:
            self.turns.append((session_id, self.loop.create_task(count_up(self.sessions, session_id))))
        self._run(1)

    @rule(passes=st.integers(1, 6))
    def let_the_loop_run(self, passes: int) -> None:
        self._run(passes)

    @rule()
    def open_the_gate(self) -> None:
        self.store.gate.set()
        self._run(3)
        self.store.gate.clear()

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def cancel_a_turn(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.turns))[1].cancel()
        self._run(1)

    @rule(session_id=st.sampled_from("abcdef"))
    def damage_or_mend(self, session_id: str) -> None:
        self.store.damaged ^= {session_id}

    @rule()
    def go_away_or_come_back(self) -> None:
        self.store.is_away = not self.store.is_away

    @invariant()
    def no_batch_holds_a_session_twice(self) -> None:
        assert all(len(set(ids)) == len(ids) for _, ids in self.store.trips)

    def teardown(self) -> None:
        self.store.gate.set()
        try:
            self.loop.run_until_complete(self._check_the_end())
        finally:
            self.loop.close()

    async def _check_the_end(self) -> None:
        await asyncio.gather(*(task for _, task in self.turns), return_exceptions=True)
        counted = dict.fromkeys("abcdef", 0)
        in_doubt = dict(counted)
        for session_id, task in self.turns:
            if task.cancelled():
                in_doubt[session_id] += 1
            elif task.exception() is None:
                counted[session_id] += 1
        self.store.is_away = False
        self.store.damaged.clear()
        for session_id, count in counted.items():
            async with self.sessions.turn(session_id) as session:
                # A turn that was cancelled has saved all or nothing; one that failed may not have saved.
                assert count <= session.state.get("n", 0) <= count + in_doubt[session_id]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert repr(self.sessions) == "<Sessions on <GatedStore>: 0 in a turn>"


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
