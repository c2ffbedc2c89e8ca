"""The checks of a history that need no search."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from palaver.contract.record import Record
from palaver_conformance.histories.anomalies import (
    invented_value,
    lost_own_write,
    no_winner,
    several_winners,
    stale_read,
)
from palaver_conformance.histories.history import Destroy, History, Ok, Operation, Read, Swap, Touch, Unknown, Write
from palaver_conformance.histories.linearizability import Judgement, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from palaver_conformance.histories.history import Call, Outcome
    from palaver_conformance.histories.linearizability import Explanation

NOW = 1_000
PAST, FUTURE = 500, 5_000

V1, V2, V3 = (Record(f"payload of {version}".encode(), version, None) for version in ("v1", "v2", "v3"))

TIMEOUT = Unknown("TimeoutError")


def operation(client: str, invoked: int, returned: int | None, call: Call, outcome: Outcome) -> Operation:
    return Operation(client=client, session_id="s", call=call, invoked=invoked, returned=returned, outcome=outcome)


def history(*operations: Operation) -> History:
    return History(operations=operations, now=NOW)


def clients(explanation: Explanation | None) -> list[str]:
    return [] if explanation is None else [each.client for each in explanation.operations]


def test_two_winners_are_found() -> None:
    """Two swaps that expect one version and both win are shown."""
    swaps = [
        operation("a", 1, 4, Swap(V2, "v1"), Ok(answer=True)),
        operation("b", 2, 3, Swap(V3, "v1"), Ok(answer=True)),
    ]
    assert clients(several_winners(history(*swaps), initial=V1)) == ["a", "b"]


def test_two_creators_are_found_unless_something_ends_the_session() -> None:
    """Two swaps that expect nothing may both win only with a destroy, or an expiry, between them."""
    swaps = [
        operation("a", 1, 2, Swap(V1, None), Ok(answer=True)),
        operation("b", 5, 6, Swap(V2, None), Ok(answer=True)),
    ]
    assert clients(several_winners(history(*swaps))) == ["a", "b"]
    assert several_winners(history(*swaps, operation("c", 3, None, Destroy(), TIMEOUT))) is None
    assert several_winners(history(*swaps, operation("c", 3, 4, Touch(PAST), Ok(answer=True)))) is None


def test_a_repeated_swap_is_one_winner() -> None:
    """The same record may be swapped in twice."""
    swaps = [operation("a", stamp, stamp + 1, Swap(V1, None), Ok(answer=True)) for stamp in (1, 3)]
    assert several_winners(history(*swaps)) is None


def test_a_race_that_nobody_wins_is_found() -> None:
    """Somebody wins when all expect what is there, unless an answer was lost."""
    lost = [
        operation("a", 1, 4, Swap(V2, "v1"), Ok(answer=False)),
        operation("b", 2, 3, Swap(V3, "v1"), Ok(answer=False)),
    ]
    assert clients(no_winner(history(*lost), initial=V1)) == ["a", "b"]
    assert no_winner(history(*lost)) is None
    assert no_winner(history(*lost, operation("c", 1, None, Swap(V3, "v1"), TIMEOUT)), initial=V1) is None
    assert no_winner(history()) is None


def test_a_mixture_of_two_records_is_invented() -> None:
    """Payload and version belong together."""
    written = [operation("a", 1, 2, Write(V1), Ok()), operation("a", 3, 4, Write(V2), Ok())]
    torn = operation("b", 5, 6, Read(), Ok(Record(V1.payload, "v2", None)))
    assert clients(invented_value(history(*written, torn))) == ["b"]
    assert invented_value(history(*written, operation("b", 5, 6, Read(), Ok(V1)))) is None


def test_a_record_from_the_future_is_invented() -> None:
    """What is written only after the read cannot have been read."""
    read, write = operation("b", 1, 2, Read(), Ok(V1)), operation("a", 3, 4, Write(V1), Ok())
    assert clients(invented_value(history(read, write))) == ["b"]
    assert invented_value(history(read, write), initial=V1) is None


def test_an_expiry_that_nobody_set_is_invented() -> None:
    """Expiries come from the record or from a touch."""
    write = operation("a", 1, 2, Write(V1), Ok())
    read = operation("b", 5, 6, Read(), Ok(Record(V1.payload, "v1", FUTURE)))
    assert clients(invented_value(history(write, read))) == ["b"]
    assert invented_value(history(write, operation("a", 3, None, Touch(FUTURE), TIMEOUT), read)) is None


def test_an_unknown_write_may_be_read() -> None:
    """What may have been written is not invented."""
    write, read = operation("a", 1, None, Write(V1), TIMEOUT), operation("b", 5, 6, Read(), Ok(V1))
    assert invented_value(history(write, read)) is None


def test_an_older_record_after_the_own_write_is_found() -> None:
    """A client sees what it wrote or something newer."""
    writes = [operation("b", 1, 2, Write(V1), Ok()), operation("a", 3, 4, Write(V2), Ok())]
    assert clients(lost_own_write(history(*writes, operation("a", 5, 6, Read(), Ok(V1))))) == ["a", "a"]
    assert lost_own_write(history(*writes, operation("a", 5, 6, Read(), Ok(V2)))) is None
    newer = operation("b", 3, 9, Write(V3), Ok())
    assert lost_own_write(history(*writes, newer, operation("a", 5, 6, Read(), Ok(V3)))) is None


def test_nothing_after_the_own_write_is_found_unless_something_ends_the_session() -> None:
    """A client's own session is there until somebody destroys it."""
    write, read = operation("a", 1, 2, Write(V1), Ok()), operation("a", 5, 6, Read(), Ok())
    assert clients(lost_own_write(history(write, read))) == ["a", "a"]
    assert lost_own_write(history(write, read, operation("b", 3, None, Destroy(), TIMEOUT))) is None


def test_going_back_in_time_is_found_for_each_client() -> None:
    """One client never reads an older version after a newer one; two may differ."""
    first, second = operation("a", 1, 2, Read(), Ok(V2)), operation("a", 3, 4, Read(), Ok(V1))
    assert clients(stale_read(history(first, second), ["v1", "v2"])) == ["a", "a"]
    assert stale_read(history(first, second), ["v2", "v1"]) is None
    assert stale_read(history(first, operation("b", 3, 4, Read(), Ok(V1))), ["v1", "v2"]) is None


def test_what_the_checks_find_is_a_violation_by_the_search() -> None:
    """On thousands of histories no check raises a false alarm, and each of them finds something."""
    checks: list[Callable[..., Explanation | None]] = [several_winners, no_winner, invented_value, lost_own_write]
    found: Counter[str] = Counter()

    @settings(max_examples=3_000, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, 2**32))
    def compare(seed: int) -> None:
        recorded = random_history(random.Random(seed))
        alarms = [check.__name__ for check in checks if check(recorded, initial=V1) is not None]
        found.update(alarms)
        if alarms:
            assert check(recorded, initial=V1).judgement is Judgement.VIOLATION

    compare()
    assert set(found) == {check.__name__ for check in checks}


def random_history(chance: random.Random) -> History:
    """Make up calls and answers of two clients, one call after another for each of them."""
    operations = []
    for client in "ab":
        stamps = sorted(chance.sample(range(20), 2 * chance.randint(1, 3)))
        for invoked, returned in zip(stamps[::2], stamps[1::2], strict=True):
            operations.append(random_operation(chance, client, invoked, returned))
    return history(*sorted(operations, key=lambda each: each.invoked))


def random_operation(chance: random.Random, client: str, invoked: int, returned: int) -> Operation:
    if chance.random() < 0.4:
        answer = chance.choice([V1, V2, V3, None])
        return operation(client, invoked, returned, Read(), Ok(answer))
    calls: list[Call] = [Swap(chance.choice([V2, V3]), "v1"), Write(V2), Write(V3), Destroy()]
    call = chance.choice(calls)
    if chance.random() < 0.2:
        return operation(client, invoked, None, call, TIMEOUT)
    return operation(client, invoked, returned, call, Ok(chance.random() < 0.5 if isinstance(call, Swap) else None))
