"""The search for an order that explains a history, and its explanation when there is none."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palaver.contract.record import Record
from palaver_conformance.histories.history import (
    Answer,
    Call,
    Destroy,
    Failed,
    History,
    Ok,
    Operation,
    Outcome,
    Read,
    Remove,
    Swap,
    Touch,
    Unknown,
    Write,
)
from palaver_conformance.histories.linearizability import DEFAULT_BUDGET, Judgement, check, check_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOW = 1_000
PAST, FUTURE = 500, 5_000

V1, V2, V3 = (Record(f"payload of {version}".encode(), version, None) for version in ("v1", "v2", "v3"))


def operation(
    client: str,
    invoked: int,
    returned: int | None,
    call: Call,
    answer: Answer | Outcome = None,
    *,
    session_id: str = "s",
) -> Operation:
    outcome = answer if isinstance(answer, Ok | Failed | Unknown) else Ok(answer)
    return Operation(
        client=client, session_id=session_id, call=call, invoked=invoked, returned=returned, outcome=outcome
    )


def history(*operations: Operation) -> History:
    return History(operations=operations, now=NOW)


def judge(*operations: Operation, initial: Record | None = None) -> Judgement:
    return check(history(*operations), initial=initial).judgement


def expired(record: Record) -> Record:
    return Record(record.payload, record.version, PAST)


# Histories from the literature, and others that show one thing each.

GOOD: dict[str, list[Operation]] = {
    "of two removes of one version one wins": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 6, Remove("v1"), answer=False),
        operation("b", 4, 5, Remove("v1"), answer=True),
        operation("c", 7, 8, Read()),
    ],
    "nothing happens": [],
    "a write, then a read of it": [operation("a", 1, 2, Write(V1)), operation("a", 3, 4, Read(), V1)],
    "a read that overlaps a write sees it": [operation("a", 1, 4, Write(V1)), operation("b", 2, 3, Read(), V1)],
    "a read that overlaps a write does not see it": [operation("a", 1, 4, Write(V1)), operation("b", 2, 3, Read())],
    "overlapping writes take effect against the order of their invocations": [
        operation("a", 1, 4, Write(V1)),
        operation("b", 2, 3, Write(V2)),
        operation("b", 5, 6, Read(), V1),
    ],
    # After an example of Herlihy and Wing, 1990.
    "reads pin the order of overlapping writes": [
        operation("a", 1, 8, Write(V1)),
        operation("b", 2, 9, Write(V2)),
        operation("c", 3, 4, Read(), V2),
        operation("c", 5, 6, Read(), V1),
    ],
    "equal stamps overlap": [operation("a", 1, 2, Write(V1)), operation("b", 2, 3, Read())],
    "a swap wins": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Swap(V2, "v1"), True),
        operation("b", 5, 6, Read(), V2),
    ],
    "of two swaps one wins": [
        operation("a", 1, 4, Swap(V1, None), True),
        operation("b", 2, 3, Swap(V2, None), False),
        operation("b", 5, 6, Read(), V1),
    ],
    "a swap is repeated": [operation("a", 1, 2, Swap(V1, None), True), operation("a", 3, 4, Swap(V1, None), True)],
    "two swaps for nothing win with a destroy between them": [
        operation("a", 1, 2, Swap(V1, None), True),
        operation("b", 1, 9, Destroy()),
        operation("c", 3, 4, Swap(V2, None), True),
    ],
    "a destroy may come before an overlapping write": [
        operation("a", 1, 5, Write(V1)),
        operation("b", 2, 4, Destroy()),
        operation("a", 6, 7, Read(), V1),
    ],
    "a touch moves the expiry": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Touch(FUTURE), True),
        operation("a", 5, 6, Read(), Record(V1.payload, "v1", FUTURE)),
    ],
    "a touch of nothing": [operation("a", 1, 2, Touch(FUTURE), False), operation("a", 3, 4, Read())],
    "a touch to the past ends the session": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Touch(PAST), True),
        operation("a", 5, 6, Read()),
        operation("a", 7, 8, Touch(FUTURE), False),
    ],
    "a record that has expired is accepted and not there": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Write(expired(V2))),
        operation("a", 5, 6, Read()),
        operation("a", 7, 8, Swap(expired(V3), None), True),
        operation("a", 9, 10, Read()),
    ],
    "an unknown write takes effect late": [
        operation("a", 1, None, Write(V1), Unknown("TimeoutError")),
        operation("b", 2, 3, Read()),
        operation("b", 4, 5, Write(V2)),
        operation("b", 6, 7, Read(), V1),
    ],
    "an unknown write never takes effect": [
        operation("a", 1, None, Write(V1), Unknown("TimeoutError")),
        operation("b", 2, 3, Read()),
    ],
    "an unknown swap has won": [
        operation("a", 1, None, Swap(V1, None), Unknown("ConnectionResetError")),
        operation("b", 5, 6, Swap(V2, None), False),
        operation("b", 7, 8, Swap(V2, "v1"), True),
    ],
    "an unknown swap answers to an unknown write": [
        operation("a", 1, None, Write(V1), Unknown("TimeoutError")),
        operation("b", 2, None, Swap(V2, "v1"), Unknown("TimeoutError")),
        operation("c", 3, 4, Read(), V2),
    ],
    "an unknown read says nothing": [operation("a", 1, None, Read(), Unknown("TimeoutError"))],
    "a cancelled write took effect before it ended": [
        operation("a", 1, 2, Write(V1), Unknown("CancelledError")),
        operation("b", 3, 4, Read(), V1),
    ],
    "a failed write has changed nothing": [
        operation("a", 1, 2, Write(V1), Failed("SessionTooLargeError")),
        operation("a", 3, 4, Read()),
    ],
}

BAD: dict[str, list[Operation]] = {
    "two removes of one version both win": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 6, Remove("v1"), answer=True),
        operation("b", 4, 5, Remove("v1"), answer=True),
    ],
    "a remove that won has left the record": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Remove("v1"), answer=True),
        operation("b", 5, 6, Read(), V1),
    ],
    "a stale read": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Write(V2)),
        operation("b", 5, 6, Read(), V1),
    ],
    "an acknowledged write is not seen": [operation("a", 1, 2, Write(V1)), operation("b", 3, 4, Read())],
    "a value that nobody wrote": [operation("a", 1, 2, Write(V1)), operation("b", 3, 4, Read(), V2)],
    "another payload": [operation("a", 1, 2, Write(V1)), operation("b", 3, 4, Read(), Record(b"?", "v1", None))],
    "another expiry": [operation("a", 1, 2, Write(V1)), operation("b", 3, 4, Read(), Record(V1.payload, "v1", 9_999))],
    "a mixture of two records": [
        operation("a", 1, 9, Write(V1)),
        operation("b", 1, 9, Write(V2)),
        operation("c", 3, 4, Read(), Record(V1.payload, "v2", None)),
    ],
    # Lamport's "new-old inversion": regular, but not atomic.
    "a new value, then the old one": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 9, Write(V2)),
        operation("b", 4, 5, Read(), V2),
        operation("c", 6, 7, Read(), V1),
    ],
    "two clients see two writes in different orders": [
        operation("a", 1, 9, Write(V1)),
        operation("b", 1, 9, Write(V2)),
        operation("c", 2, 3, Read(), V1),
        operation("c", 4, 5, Read(), V2),
        operation("d", 6, 7, Read(), V1),
    ],
    "two swaps win the same version": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 6, Swap(V2, "v1"), True),
        operation("b", 4, 5, Swap(V3, "v1"), True),
    ],
    "two swaps create one session": [
        operation("a", 1, 4, Swap(V1, None), True),
        operation("b", 2, 3, Swap(V2, None), True),
    ],
    "no swap wins": [operation("a", 1, 4, Swap(V1, None), False), operation("b", 2, 3, Swap(V2, None), False)],
    "a swap wins with an old version": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Write(V2)),
        operation("b", 5, 6, Swap(V3, "v1"), True),
    ],
    "a refused swap has changed the record": [
        operation("a", 1, 2, Write(V1)),
        operation("b", 3, 4, Swap(V2, "v3"), False),
        operation("b", 5, 6, Read(), V2),
    ],
    "a repeated swap is refused": [
        operation("a", 1, 2, Swap(V1, None), True),
        operation("a", 3, 4, Swap(V1, None), False),
    ],
    "a swap wins where nothing is": [operation("a", 1, 2, Swap(V2, "v1"), True)],
    "a destroyed session is read": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Destroy()),
        operation("b", 5, 6, Read(), V1),
    ],
    "a touch revives a destroyed session": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Destroy()),
        operation("b", 5, 6, Touch(FUTURE), True),
    ],
    "a touch of a live session says there is none": [
        operation("a", 1, 2, Write(V1)),
        operation("b", 3, 4, Touch(FUTURE), False),
    ],
    "a touch that was acknowledged has not moved the expiry": [
        operation("a", 1, 2, Write(V1)),
        operation("b", 3, 4, Touch(FUTURE), True),
        operation("b", 5, 6, Read(), V1),
    ],
    "a touch to the past leaves the session": [
        operation("a", 1, 2, Write(V1)),
        operation("a", 3, 4, Touch(PAST), True),
        operation("a", 5, 6, Read(), expired(V1)),
    ],
    "a record that has expired is read": [
        operation("a", 1, 2, Write(expired(V1))),
        operation("a", 3, 4, Read(), expired(V1)),
    ],
    "an unknown write comes and goes": [
        operation("a", 1, None, Write(V1), Unknown("TimeoutError")),
        operation("b", 2, 3, Read(), V1),
        operation("b", 4, 5, Read()),
    ],
    "an unknown write takes effect before it was invoked": [
        operation("b", 1, 2, Read(), V1),
        operation("a", 3, None, Write(V1), Unknown("TimeoutError")),
    ],
    "an unknown write takes effect twice": [
        operation("a", 1, None, Write(V1), Unknown("TimeoutError")),
        operation("b", 2, 3, Read(), V1),
        operation("b", 4, 5, Write(V2)),
        operation("b", 6, 7, Read(), V1),
    ],
    "a cancelled write takes effect after it ended": [
        operation("a", 1, 2, Write(V1), Unknown("CancelledError")),
        operation("b", 3, 4, Write(V2)),
        operation("b", 5, 6, Read(), V1),
    ],
    "a failed write has changed the record": [
        operation("a", 1, 2, Write(V1), Failed("SessionTooLargeError")),
        operation("a", 3, 4, Read(), V1),
    ],
    "a bool that is an int": [operation("a", 1, 2, Swap(V1, None), "a value of type int")],
}


@pytest.mark.parametrize("operations", GOOD.values(), ids=GOOD)
def test_a_good_history_is_linearizable(operations: list[Operation]) -> None:
    """What some order explains is no violation."""
    assert judge(*operations) is Judgement.OK


@pytest.mark.parametrize("operations", BAD.values(), ids=BAD)
def test_a_bad_history_is_a_violation(operations: list[Operation]) -> None:
    """What no order explains is a violation, with an explanation that holds by itself."""
    verdict = check(history(*operations))
    assert verdict.judgement is Judgement.VIOLATION
    assert verdict.explanation is not None
    assert verdict.explanation.culprit in verdict.explanation.operations
    assert judge(*verdict.explanation.operations) is Judgement.VIOLATION


@pytest.mark.parametrize("operations", [*GOOD.values(), *BAD.values()], ids=[*GOOD, *BAD])
def test_examples_are_judged_as_all_permutations_judge_them(operations: list[Operation]) -> None:
    """The examples themselves are right."""
    assert (judge(*operations) is Judgement.OK) == explained_by_some_permutation(operations)


def test_a_history_begins_with_what_was_there() -> None:
    """The initial record is live, and one that has expired is not."""
    assert judge(operation("a", 1, 2, Read(), V1), initial=V1) is Judgement.OK
    assert judge(operation("a", 1, 2, Read()), initial=V1) is Judgement.VIOLATION
    assert judge(operation("a", 1, 2, Read()), initial=expired(V1)) is Judgement.OK


def test_each_session_is_judged_by_itself() -> None:
    """Sessions do not explain each other."""
    verdicts = check_all(
        history(
            operation("a", 1, 2, Write(V1), session_id="one"),
            operation("a", 3, 4, Read(), V1, session_id="two"),
            operation("b", 5, 6, Read(), V2, session_id="three"),
            operation("b", 7, 8, Read(), V1, session_id="one"),
        ),
        initial={"three": V2},
    )
    assert {session_id: verdict.judgement for session_id, verdict in verdicts.items()} == {
        "one": Judgement.OK,
        "two": Judgement.VIOLATION,
        "three": Judgement.OK,
    }


def test_several_sessions_are_refused_where_one_is_judged() -> None:
    """Operations on different sessions are never mixed up."""
    with pytest.raises(ValueError, match="several session ids"):
        judge(operation("a", 1, 2, Read()), operation("a", 3, 4, Read(), session_id="other"))


# Explanations.


def test_an_explanation_leaves_out_what_does_not_matter() -> None:
    """Of a long history only the operations that contradict each other are shown."""
    noise = [operation("n", 10 * i, 10 * i + 5, Read()) for i in range(1, 10)]
    verdict = check(
        history(
            *noise,
            operation("a", 101, 102, Write(V1)),
            operation("b", 103, 104, Write(V2)),
            operation("c", 105, 106, Read(), V2),
            operation("d", 107, 108, Read(), V1),
            operation("a", 109, 110, Destroy()),
            operation("c", 111, 112, Read(), V3),
        )
    )
    assert verdict.explanation is not None
    assert str(verdict.explanation).splitlines() == [
        "d: read answered v1, which nothing explains; it could have answered v2",
        "  a: write v1 -> done",
        "  b: write v2 -> done",
        "  d: read -> v1",
    ]


def test_an_explanation_shows_the_failed_write_that_took_effect() -> None:
    """An operation that failed is shown when the culprit contradicts the failure."""
    verdict = check(history(*BAD["a failed write has changed the record"]))
    assert verdict.explanation is not None
    assert [str(each) for each in verdict.explanation.operations] == [
        "a: write v1 -> SessionTooLargeError, no change",
        "a: read -> v1",
    ]


def test_an_explanation_shows_the_refused_swap_whose_value_was_read() -> None:
    """Who brought an impossible value is shown, although the answer is impossible without that call, too."""
    verdict = check(
        history(
            operation("a", 1, 2, Write(V1)),
            operation("b", 3, 4, Swap(V3, "v2"), answer=False),
            operation("c", 5, 6, Read(), V3),
        )
    )
    assert verdict.explanation is not None
    assert [str(each) for each in verdict.explanation.operations] == ["b: swap v2 for v3 -> False", "c: read -> v3"]


def test_an_explanation_shows_payload_and_expiry_where_the_version_is_right() -> None:
    """Two records of the same version can be told apart."""
    verdict = check(history(*BAD["another expiry"]))
    assert verdict.explanation is not None
    assert verdict.explanation.reason == (
        "b: read answered v1 with b'payload of v1' until 9999, which nothing explains; "
        "it could have answered v1 with b'payload of v1' for ever"
    )


def test_an_explanation_names_the_swap_that_should_have_lost() -> None:
    """Both winners are shown, with what they expected; the one that returned last is the culprit."""
    verdict = check(history(*BAD["two swaps win the same version"]))
    assert verdict.explanation is not None
    assert verdict.explanation.culprit.client == "a"
    assert [str(each) for each in verdict.explanation.operations] == [
        "a: write v1 -> done",
        "a: swap v1 for v2 -> True",
        "b: swap v1 for v3 -> True",
    ]
    assert "could have answered False" in verdict.explanation.reason


# Against brute force.


def explained_by_some_permutation(operations: Sequence[Operation], free: Sequence[Call] = ()) -> bool:
    """Try all orders of all choices of operations: too slow for more than a few, and too simple to be wrong."""
    certain = [each for each in operations if isinstance(each.outcome, Ok)]
    optional = [each for each in operations if isinstance(each.outcome, Unknown)]
    return any(
        is_true_to_real_time(order) and explains(order, free)
        for size in range(len(optional) + 1)
        for chosen in itertools.combinations(optional, size)
        for order in itertools.permutations([*certain, *chosen])
    )


def brings(each: Operation, culprit: Operation) -> bool:
    answer = culprit.outcome.answer if isinstance(culprit.outcome, Ok) else None
    return isinstance(each.call, Write | Swap) and isinstance(answer, Record) and each.call.record == answer


def is_true_to_real_time(order: Sequence[Operation]) -> bool:
    return not any(later.precedes(earlier) for earlier, later in itertools.combinations(order, 2))


def explains(order: Sequence[Operation], free: Sequence[Call]) -> bool:
    possible = with_free_calls([{}], free)
    for each in order:
        sessions = [session for session in possible if fits(each, play(each.call, session))]
        possible = with_free_calls(sessions, free)
    return bool(possible)


def fits(each: Operation, answer: Answer) -> bool:
    return not isinstance(each.outcome, Ok) or isinstance(each.call, Write | Destroy) or answer == each.outcome.answer


def with_free_calls(sessions: Sequence[dict[str, Any]], free: Sequence[Call]) -> list[dict[str, Any]]:
    """Add all sessions that these calls can make, in any order and number."""
    possible = list(sessions)
    for session in possible:
        for call in free:
            changed = dict(session)
            play(call, changed)
            if changed not in possible:
                possible.append(changed)
    return possible


def play(call: Call, session: dict[str, Any]) -> Answer:
    """Another model than the one in use: a dict that is changed."""
    before = session.get("version")
    if isinstance(call, Read):
        return Record(session["payload"], session["version"], session["expires_at"]) if session else None
    if isinstance(call, Destroy):
        session.clear()
        return None
    if isinstance(call, Remove):
        return play_removal(call, session)
    if isinstance(call, Touch):
        answer = bool(session)
        if session:
            session["expires_at"] = call.expires_at
    elif isinstance(call, Swap) and (before == call.record.version or before != call.expected):
        return before == call.record.version
    else:
        record = call.record
        session.update(payload=record.payload, version=record.version, expires_at=record.expires_at)
        answer = True
    if session and session["expires_at"] is not None and session["expires_at"] <= NOW:
        session.clear()
    return answer


def play_removal(call: Remove, session: dict[str, Any]) -> bool:
    was_expected = session.get("version") == call.expected
    if was_expected:
        session.clear()
    return was_expected


def small_history(seed: int) -> list[Operation]:
    """Record a store that forgets some calls and gives some wrong answers; some outcomes are not known."""
    chance = random.Random(seed)
    calls = [small_call(chance) for _ in range(chance.randint(2, 6))]
    kinds = chance.choices(["ok", "unknown", "cancelled", "failed"], [9, 1, 2, 1], k=len(calls))
    effective = [chance.random() < {"ok": 0.7, "failed": 0.1}.get(kind, 0.5) for kind in kinds]
    return [
        operation(f"c{number}", invoked, *end_of(chance, kinds[number], returned, calls[number], answer))
        for number, (invoked, returned, answer) in enumerate(run_events(overlaps(chance, len(calls)), calls, effective))
    ]


def small_call(chance: random.Random) -> Call:
    record = chance.choice([V1, V1, V2, V2, expired(V3)])
    swap = Swap(record, chance.choice([None, "v1", "v2"]))
    touch = Touch(chance.choice([None, FUTURE, PAST]))
    calls: list[Call] = [Read(), Read(), Read(), Read(), Write(record), Write(record), swap, swap, Destroy(), touch]
    calls.append(Remove(chance.choice(["v1", "v2"])))
    return chance.choice(calls)


def overlaps(chance: random.Random, size: int) -> list[int]:
    """Give each operation three events, from one operation after another to all at the same time."""
    events = sorted(list(range(size)) * 3)
    for _ in range(chance.randint(0, 3 * size)):
        place = chance.randrange(len(events) - 1)
        events[place], events[place + 1] = events[place + 1], events[place]
    return events


def end_of(
    chance: random.Random, kind: str, returned: int, call: Call, answer: Answer
) -> tuple[int | None, Call, Outcome]:
    if kind == "unknown":
        return None, call, Unknown("TimeoutError")
    if kind == "cancelled":
        return returned, call, Unknown("CancelledError")
    if kind == "failed":
        return returned, call, Failed("SessionTooLargeError")
    if isinstance(call, Write | Destroy) or chance.random() < 0.9:
        return returned, call, Ok(answer)
    return returned, call, Ok(chance.choice([None, V1, V2]) if isinstance(call, Read) else not answer)


SMALL_HISTORIES = st.integers(0, 2**32).map(small_history)


def run_events(
    events: Sequence[int], calls: Sequence[Call], effective: Sequence[bool]
) -> Iterator[tuple[int, int, Answer]]:
    """Give each operation its first event as the invocation, its second as the effect, its third as the return."""
    session: dict[str, Any] = {}
    stamps: dict[int, list[int]] = {}
    answers: dict[int, Answer] = {}
    for stamp, number in enumerate(events):
        stamps.setdefault(number, []).append(stamp)
        if len(stamps[number]) == 2:
            answers[number] = play(calls[number], session if effective[number] else dict(session))
    return ((stamps[number][0], stamps[number][2], answers[number]) for number in range(len(calls)))


def test_the_search_judges_as_brute_force_does() -> None:
    """On thousands of small histories the search finds an order exactly if one of all permutations explains it."""
    judged: Counter[bool] = Counter()

    @settings(
        max_examples=4_000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(SMALL_HISTORIES)
    def compare(operations: list[Operation]) -> None:
        expected = explained_by_some_permutation(operations)
        judged[expected] += 1
        assert (judge(*operations) is Judgement.OK) == expected

    compare()
    assert judged[True] > 500
    assert judged[False] > 500


def test_explanations_hold_by_brute_force() -> None:
    """No permutation explains what an explanation shows; without any one operation that contradicts one does."""
    explained: Counter[int] = Counter()

    @settings(
        max_examples=2_000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(SMALL_HISTORIES)
    def compare(operations: list[Operation]) -> None:
        explanation = check(history(*operations)).explanation
        if explanation is None:
            return
        shown = list(explanation.operations)
        explained[len(shown)] += 1
        assert not explained_by_some_permutation(shown)
        for each in shown:
            if each is not explanation.culprit and not brings(each, explanation.culprit):
                rest = [other for other in shown if other is not each]
                free = [other.call for other in operations if other not in rest]
                assert explained_by_some_permutation(rest, free)

    compare()
    assert explained[1] > 50
    assert explained[2] > 50
    assert explained[3] > 10


# The length of the search.


def concurrent_history(seed: int, *, size: int, clients: int, unknown: float = 0.0) -> list[Operation]:
    """Record a correct store under clients that work at the same time, each on one operation after another."""
    chance = random.Random(seed)
    calls = [random_call(chance, number) for number in range(size)]
    waiting: dict[int, list[int]] = {client: [] for client in range(clients)}
    owners = {number: number % clients for number in range(size)}
    for number, client in owners.items():
        waiting[client] += [number] * 3
    events = []
    while any(waiting.values()):
        client = chance.choice([client for client, numbers in waiting.items() if numbers])
        events.append(waiting[client].pop(0))
    lost = [chance.random() < unknown for _ in calls]
    applied = [not is_lost or chance.random() < 0.5 for is_lost in lost]
    return [
        operation(
            f"c{owners[number]}",
            invoked,
            None if lost[number] else returned,
            calls[number],
            Unknown("TimeoutError") if lost[number] else answer,
        )
        for number, (invoked, returned, answer) in enumerate(run_events(events, calls, applied))
    ]


def random_call(chance: random.Random, number: int) -> Call:
    record = Record(b"%d" % number, f"n{number}", None)
    expected = chance.choice([None, *(f"n{earlier}" for earlier in range(max(0, number - 6), number))])
    calls: list[Call] = [Read(), Read(), Write(record), Swap(record, expected), Destroy(), Touch(FUTURE)]
    return chance.choice(calls)


@pytest.mark.parametrize("seed", range(20))
def test_a_long_linearizable_history_takes_few_steps(seed: int) -> None:
    """Sixty operations of eight clients on one session are judged in a few steps for each."""
    verdict = check(history(*concurrent_history(seed, size=60, clients=8)))
    assert verdict.judgement is Judgement.OK
    assert verdict.steps < 5_000


@pytest.mark.parametrize("seed", range(10))
def test_unknown_outcomes_do_not_make_the_search_explode(seed: int) -> None:
    """A fifth of sixty outcomes may be unknown."""
    verdict = check(history(*concurrent_history(seed, size=60, clients=8, unknown=0.2)))
    assert verdict.judgement is Judgement.OK
    assert verdict.steps < 20_000


@pytest.mark.parametrize("seed", range(10))
def test_a_violation_in_a_long_history_is_found_and_explained(seed: int) -> None:
    """One wrong answer at the end of sixty operations is found within the budget and explained by a few of them."""
    operations = concurrent_history(seed, size=60, clients=8, unknown=0.1)
    end = max(each.returned or each.invoked for each in operations)
    verdict = check(
        history(
            *operations,
            operation("x", end + 1, end + 2, Write(V1)),
            operation("y", end + 3, end + 4, Write(V2)),
            operation("x", end + 5, end + 6, Read(), V1),
        )
    )
    assert verdict.judgement is Judgement.VIOLATION
    assert verdict.steps < DEFAULT_BUDGET
    assert verdict.explanation is not None
    assert verdict.explanation.reason.startswith("x: read answered v1, which nothing explains; ")
    assert len(verdict.explanation.operations) <= 4


def test_a_budget_that_is_used_up_is_no_verdict() -> None:
    """A search that is not finished says so, neither ok nor violation."""
    operations = concurrent_history(1, size=60, clients=8)
    verdict = check(history(*operations), budget=20)
    assert verdict.judgement is Judgement.UNKNOWN
    assert verdict.steps == 20
    assert verdict.explanation is None
