"""Recording what several clients do at the same time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from palaver.contract.clock import ManualClock
from palaver.contract.record import ABSENT, Record
from palaver.contract.store import SessionStore
from palaver.errors import SessionTooLargeError, StoreUnavailableError, UnsupportedError
from palaver_conformance.histories.history import (
    Destroy,
    Failed,
    History,
    Ok,
    Operation,
    Read,
    Recorder,
    Remove,
    Swap,
    Touch,
    Unknown,
    Write,
    merge,
)
from palaver_conformance.histories.linearizability import Judgement, check_all

if TYPE_CHECKING:
    from palaver.contract.record import Absent
    from palaver_conformance.histories.history import Call, Outcome

CLOCK = ManualClock()

RECORD = Record(b"\x00\xff payload", "v1", None)


class RegisterStore(SessionStore):
    """A dict with a verb that waits, and one that raises what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, Any] = {}
        self.error: BaseException | None = None

    async def init(self) -> RegisterStore:
        return self

    async def read(self, session_id: str) -> Record | None:
        await asyncio.sleep(0)
        return cast("Record | None", self.records.get(session_id))

    async def write(self, session_id: str, record: Record) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.records[session_id] = record

    async def destroy(self, session_id: str) -> None:
        self.records.pop(session_id, None)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.records.get(session_id)
        if (ABSENT if live is None else live.version) != expected:
            return False
        self.records[session_id] = record
        return True

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        return session_id in self.records


async def test_a_client_records_each_verb() -> None:
    """Calls, answers and their order are what they were; the client gets the store's own answers."""
    recorder = Recorder(CLOCK)
    client = recorder.client("a", RegisterStore())
    assert await client.swap("s", RECORD, ABSENT)
    assert not await client.swap("s", RECORD, "v0")
    assert await client.read("s") == RECORD
    assert await client.touch("s", 5)
    await client.destroy("s")
    await client.write("s", RECORD)
    recorded = recorder.history()
    assert [(each.call, each.outcome) for each in recorded.operations] == [
        (Swap(RECORD, None), Ok(answer=True)),
        (Swap(RECORD, "v0"), Ok(answer=False)),
        (Read(), Ok(RECORD)),
        (Touch(5), Ok(answer=True)),
        (Destroy(), Ok()),
        (Write(RECORD), Ok()),
    ]
    assert [each.call.verb for each in recorded.operations] == ["swap", "swap", "read", "touch", "destroy", "write"]
    assert all(a.precedes(b) for a, b in zip(recorded.operations, recorded.operations[1:], strict=False))
    assert recorded.now == CLOCK.now()


async def test_operations_of_concurrent_tasks_overlap() -> None:
    """What runs at the same time is recorded as overlapping, by a counter that all tasks share."""
    recorder, store = Recorder(CLOCK), RegisterStore()
    await asyncio.gather(*(recorder.client(name, store).read("s") for name in "abc"))
    operations = recorder.history().operations
    assert not any(one.precedes(other) for one in operations for other in operations)
    stamps = [stamp for each in operations for stamp in (each.invoked, each.returned)]
    assert sorted(stamps, key=lambda stamp: stamp or 0) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("error", [SessionTooLargeError("s", size=2, limit=1), UnsupportedError("swap")])
async def test_a_refusal_has_changed_nothing(error: Exception) -> None:
    """Errors after which nothing has changed are failures, and reach the client."""
    recorder, store = Recorder(CLOCK), RegisterStore()
    store.error = error
    with pytest.raises(type(error)):
        await recorder.client("a", store).write("s", RECORD)
    assert recorder.history().operations[0].outcome == Failed(type(error).__name__)


@pytest.mark.parametrize("error", [StoreUnavailableError("gone"), TimeoutError(), ConnectionResetError(), ValueError()])
async def test_any_other_error_leaves_the_outcome_open(error: Exception) -> None:
    """After a lost connection or an error that the contract does not know, the call may take effect at any time."""
    recorder, store = Recorder(CLOCK), RegisterStore()
    store.error = error
    with pytest.raises(type(error)):
        await recorder.client("a", store).write("s", RECORD)
    operation = recorder.history().operations[0]
    assert operation.outcome == Unknown(type(error).__name__)
    assert operation.returned is None


@pytest.mark.parametrize("is_over", [False, True])
async def test_a_cancelled_call_is_open_or_over(is_over: bool) -> None:
    """A cancelled call may take effect later, unless it is held to the law that it does not."""
    recorder = Recorder(CLOCK, cancelled_is_over=is_over)
    task = asyncio.create_task(recorder.client("a", RegisterStore()).write("s", RECORD))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    operation = recorder.history().operations[0]
    assert operation.outcome == Unknown("CancelledError")
    assert operation.returned == (2 if is_over else None)


async def test_a_call_that_still_goes_on_is_unknown() -> None:
    """A history may be taken at any time."""
    recorder = Recorder(CLOCK)
    task = asyncio.create_task(recorder.client("a", RegisterStore()).read("s"))
    await asyncio.sleep(0)
    assert recorder.history().operations[0].outcome == Unknown("still going on")
    await task
    assert recorder.history().operations[0].outcome == Ok()


async def test_items_of_a_batch_are_recorded_by_hand() -> None:
    """One call may be several operations: each is begun and ended by its number."""
    recorder = Recorder(CLOCK)
    numbers = [recorder.begin("a", session_id, Read()) for session_id in ("s", "t")]
    for number, result in zip(numbers, [None, RECORD], strict=True):
        recorder.succeed(number, result)
    assert [(each.session_id, each.outcome) for each in recorder.history().operations] == [
        ("s", Ok()),
        ("t", Ok(RECORD)),
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "a value of type int"),
        ("v1", "a value of type str"),
        (Record(cast("Any", bytearray(b"x")), "v1", None), "a record of bytearray and str"),
        (Record(b"x", cast("Any", 1), None), "a record of bytes and int"),
        (Record(b"x", "v1", cast("Any", 1.0)), "a record that expires at a value of type float"),
        (Record(b"x", "v1", cast("Any", True)), "a record that expires at a value of type bool"),
    ],
)
async def test_an_answer_of_another_type_is_no_right_answer(value: object, words: str) -> None:
    """What is equal to a record or a bool, but is none, is recorded in words and never fits."""
    recorder, store = Recorder(CLOCK), RegisterStore()
    store.records["s"] = value
    await recorder.client("a", store).read("s")
    assert recorder.history().operations[0].outcome == Ok(words)
    assert check_all(recorder.history())["s"].judgement is Judgement.VIOLATION


class RacyStore(RegisterStore):
    """Compares and writes in two steps."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.records.get(session_id)
        await asyncio.sleep(0)
        if (ABSENT if live is None else live.version) != expected:
            return False
        self.records[session_id] = record
        return True


@pytest.mark.parametrize(
    ("store", "judgement"), [(RegisterStore(), Judgement.OK), (RacyStore(), Judgement.VIOLATION)], ids=["right", "racy"]
)
async def test_what_concurrent_clients_record_can_be_judged(store: SessionStore, judgement: Judgement) -> None:
    """Five clients that create one session at the same time show whether a store swaps atomically."""
    recorder = Recorder(CLOCK)
    swaps = (
        recorder.client(f"c{number}", store).swap("s", Record(b"", f"v{number}", None), ABSENT) for number in range(5)
    )
    await asyncio.gather(*swaps)
    assert check_all(recorder.history())["s"].judgement is judgement


def test_a_history_survives_json() -> None:
    """Every call and outcome comes back equal, arbitrary bytes and a missing end too."""
    calls: list[Call] = [
        Read(),
        Write(RECORD),
        Swap(RECORD, None),
        Swap(RECORD, "v0"),
        Destroy(),
        Remove("v0"),
        Touch(None),
        Touch(5),
    ]
    outcomes: list[Outcome] = [
        Ok(RECORD),
        Ok(),
        Ok(answer=True),
        Ok("a value of type int"),
        Failed("Error"),
        Unknown("TimeoutError"),
    ]
    operations = [
        Operation(client="ä", session_id="s\n", call=call, invoked=stamp, returned=None, outcome=outcome)
        for stamp, (call, outcome) in enumerate((call, outcome) for call in calls for outcome in outcomes)
    ]
    history = History(operations=tuple(operations), now=7, stamps="monotonic")
    assert History.from_json(history.to_json()) == history


def test_what_is_no_history_is_refused() -> None:
    """Other JSON is an error, not an empty history."""
    with pytest.raises(msgspec.DecodeError):
        History.from_json(b"{}")


def test_a_history_is_split_by_session() -> None:
    """Each part has the operations of one session in their order, and the same time."""
    history = History(operations=(at(1, "s"), at(2, "t"), at(3, "s")), now=7)
    parts = history.by_session()
    assert {session_id: [each.invoked for each in part.operations] for session_id, part in parts.items()} == {
        "s": [1, 3],
        "t": [2],
    }
    assert parts["s"].now == 7


def at(stamp: int, session_id: str = "s", client: str = "a") -> Operation:
    return Operation(client=client, session_id=session_id, call=Read(), invoked=stamp, returned=stamp + 1, outcome=Ok())


def test_histories_of_processes_are_merged_in_the_order_of_their_clock() -> None:
    """The merged history is one in which the stamps of all are compared."""
    one = History(operations=(at(1), at(5)), now=7, stamps="monotonic")
    other = History(operations=(at(3, client="b"),), now=8, stamps="monotonic")
    merged = merge(one, other)
    assert [(each.client, each.invoked) for each in merged.operations] == [("a", 1), ("b", 3), ("a", 5)]
    assert merged.now == 8
    assert merged.stamps == "monotonic"


def test_what_cannot_be_compared_is_not_merged() -> None:
    """Counters of different processes mean nothing to each other, and clients need names of their own."""
    counted = History(operations=(at(1),), now=7)
    with pytest.raises(ValueError, match="across_processes"):
        merge(counted, History(operations=(), now=7, stamps="monotonic"))
    timed = History(operations=(at(1),), now=7, stamps="monotonic")
    with pytest.raises(ValueError, match="same name"):
        merge(timed, timed)


CHILD = """
import asyncio
from palaver.contract.clock import ManualClock
from palaver_conformance.histories.history import Read, Recorder

async def main():
    recorder = Recorder(ManualClock(), across_processes=True)
    await recorder.run("child", "s", Read(), asyncio.sleep(0))
    print(recorder.history().to_json().decode())

asyncio.run(main())
"""


def test_stamps_of_another_process_are_in_real_time_order() -> None:
    """What another process did between two calls of this one lies between them."""
    recorder = Recorder(CLOCK, across_processes=True)
    asyncio.run(recorder.run("before", "s", Read(), asyncio.sleep(0)))
    output = subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True, timeout=60).stdout
    asyncio.run(recorder.run("after", "s", Read(), asyncio.sleep(0)))
    merged = merge(recorder.history(), History.from_json(output))
    before, child, after = merged.operations
    assert [before.client, child.client, after.client] == ["before", "child", "after"]
    assert before.precedes(child)
    assert child.precedes(after)


def test_an_operation_reads_as_a_line() -> None:
    """Verb, versions and answer are named, payloads are not."""
    long = Record(b"secret", "0123456789abcdef", None)
    calls = [Swap(RECORD, None), Swap(long, "v1"), Touch(None), Touch(0), Write(long)]
    assert [str(call) for call in calls] == [
        "swap absent for v1",
        "swap v1 for 01234567..",
        "touch for ever",
        "touch until 0",
        "write 01234567..",
    ]
    assert str(at(1)) == "a: read -> nothing"
