"""Histories: who called which verb on which session, from when to when, and what came of it.

A history is recorded while several clients use a store at the same time, and judged afterwards (`linearizability`).
All it knows of time are stamps: an operation is before another exactly if it returned at a smaller stamp than the
other one was invoked at. Everything else overlaps, equal stamps too.

A stamp of an invocation is taken before the call begins, and that of a return after it has ended. So an interval is
never shorter than the call was, and an order that the stamps show is an order that was.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from palaver.contract.record import Absent, Record
from palaver.errors import (
    CorruptSessionError,
    InvalidOptionError,
    InvalidSessionIdError,
    SessionTooLargeError,
    StoreClosedError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from palaver.contract.clock import Clock
    from palaver.contract.store import SessionStore

__all__ = (
    "Answer",
    "Call",
    "Destroy",
    "Failed",
    "History",
    "Ok",
    "Operation",
    "Outcome",
    "Read",
    "RecordedClient",
    "Recorder",
    "Remove",
    "Swap",
    "Touch",
    "Unknown",
    "Write",
    "describe_record",
    "merge",
)

T = TypeVar("T")

Answer: TypeAlias = Record | bool | str | None
"""What a verb returned: None, a bool or a record; text says what came instead of these."""

_LONGEST_SHOWN: Final = 12

Stamps: TypeAlias = Literal["counter", "monotonic"]

_NOTHING_CHANGED: Final = (
    CorruptSessionError,
    InvalidOptionError,
    InvalidSessionIdError,
    SessionTooLargeError,
    StoreClosedError,
    UnsupportedError,
)
"""The errors after which, by the contract, a call has changed nothing. After any other one it may have."""


# What was called.


class _Call(msgspec.Struct, frozen=True, tag_field="verb", tag=str.lower):
    @property
    def verb(self) -> str:
        """The name of the method."""
        return type(self).__name__.lower()

    def __str__(self) -> str:
        return self.verb


class Read(_Call, frozen=True):
    """`read(session_id)`."""


class Write(_Call, frozen=True):
    """`write(session_id, record)`."""

    record: Record

    def __str__(self) -> str:
        return f"write {describe_record(self.record)}"


class Swap(_Call, frozen=True):
    """`swap(session_id, record, expected)`."""

    record: Record
    expected: str | None
    """The expected version; None is `ABSENT`."""

    def __str__(self) -> str:
        expected = "absent" if self.expected is None else _short(self.expected)
        return f"swap {expected} for {describe_record(self.record)}"


class Destroy(_Call, frozen=True):
    """`destroy(session_id)`."""


class Remove(_Call, frozen=True):
    """`remove(session_id, expected)`."""

    expected: str

    def __str__(self) -> str:
        return f"remove {_short(self.expected)}"


class Touch(_Call, frozen=True):
    """`touch(session_id, expires_at)`."""

    expires_at: int | None

    def __str__(self) -> str:
        return f"touch {_until(self.expires_at)}"


Call: TypeAlias = Read | Write | Swap | Destroy | Remove | Touch


# What came of it.


class _Outcome(msgspec.Struct, frozen=True, tag_field="kind", tag=str.lower):
    pass


class Ok(_Outcome, frozen=True):
    """The call returned."""

    answer: Answer = None

    def __str__(self) -> str:
        if isinstance(self.answer, Record):
            return describe_record(self.answer)
        return "nothing" if self.answer is None else str(self.answer)


class Failed(_Outcome, frozen=True):
    """The call raised an error after which nothing has changed."""

    error: str

    def __str__(self) -> str:
        return f"{self.error}, no change"


class Unknown(_Outcome, frozen=True):
    """The call ended without an answer, or has not ended: it has taken effect, or will, or never does."""

    reason: str

    def __str__(self) -> str:
        return f"no answer ({self.reason})"


Outcome: TypeAlias = Ok | Failed | Unknown


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One call on one session."""

    client: str
    session_id: str
    call: Call
    invoked: int
    returned: int | None
    """When it ended; None for an unknown outcome that may take effect at any later time.

    An unknown outcome with an end may have taken effect before that end, but does not afterwards.
    """

    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.client}: {self.call} -> {self.answer}"

    @property
    def answer(self) -> str:
        """What came of it, in a few words."""
        if isinstance(self.outcome, Ok) and isinstance(self.call, Write | Destroy):
            return "done"
        return str(self.outcome)

    def precedes(self, other: Operation) -> bool:
        """Tell whether it was certainly over when the other one began."""
        return self.returned is not None and self.returned < other.invoked


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The operations of several clients, in the order in which they began."""

    operations: tuple[Operation, ...]
    now: int
    """By which instant expiry is judged, in Unix milliseconds: time does not pass during a history."""

    stamps: Stamps = "counter"
    """What the stamps are: a counter of one process, or nanoseconds of the computer's monotonic clock."""

    def by_session(self) -> dict[str, History]:
        """Split into one history for each session id."""
        split: dict[str, list[Operation]] = {}
        for operation in self.operations:
            split.setdefault(operation.session_id, []).append(operation)
        return {session_id: self.replace(operations) for session_id, operations in split.items()}

    def replace(self, operations: Iterable[Operation]) -> History:
        """Return a history of other operations and the same time."""
        return msgspec.structs.replace(self, operations=tuple(operations))

    def to_json(self) -> bytes:
        """Encode for a file or another process."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, encoded: bytes) -> History:
        """Decode what `to_json` made.

        Raises:
            msgspec.DecodeError: it is not a history.
        """
        return msgspec.json.decode(encoded, type=cls)


def merge(*histories: History) -> History:
    """Put the histories of several processes into one.

    Their stamps are comparable when each was recorded with `Recorder(..., across_processes=True)` on one computer, in
    containers that do not shift the clock (Linux time namespaces): `CLOCK_MONOTONIC` of Linux, `mach_absolute_time`
    of macOS and the performance counter or tick count of Windows are clocks of the system, not of a process. They
    have no meaning on another computer or after a restart. Where such a clock is coarse, stamps are equal more often,
    which makes operations overlap and the verdict milder, never wrong.

    Expiries must be far enough from the time of the recording to mean the same to all the processes.

    Raises:
        ValueError: the stamps are counters of different processes, or two histories have a client of the same name.
    """
    if len(histories) > 1 and any(history.stamps != "monotonic" for history in histories):
        raise ValueError("only histories that were recorded with across_processes=True can be merged")
    clients = [client for history in histories for client in {operation.client for operation in history.operations}]
    if len(clients) > len(set(clients)):
        raise ValueError("two histories have a client of the same name")
    operations = sorted((each for history in histories for each in history.operations), key=lambda each: each.invoked)
    return History(
        operations=tuple(operations),
        now=max(history.now for history in histories),
        stamps=histories[0].stamps,
    )


@dataclass(slots=True)
class _Begun:
    client: str
    session_id: str
    call: Call
    invoked: int
    returned: int | None = None
    outcome: Outcome | None = None


class Recorder:
    """Records what the tasks of this process do; every one of them uses the same recorder.

    Args:
        clock: the store's clock, which must stand still, or be far from every expiry, while the recorder is used.
        across_processes: take stamps that can be compared with those of other processes (see `merge`).
        cancelled_is_over: hold cancelled calls to law CANCEL-01: they may have taken effect, but only before they
            ended. Otherwise they may do so at any later time.
    """

    def __init__(self, clock: Clock, *, across_processes: bool = False, cancelled_is_over: bool = False) -> None:
        self._now = clock.now()
        self._across_processes = across_processes
        self._cancelled_is_over = cancelled_is_over
        self._stamp: Callable[[], int] = time.monotonic_ns if across_processes else itertools.count(1).__next__
        self._begun: list[_Begun] = []

    def client(self, name: str, store: SessionStore) -> RecordedClient:
        """Return a client whose every call on `store` is recorded."""
        return RecordedClient(self, name, store)

    async def run(self, client: str, session_id: str, call: Call, answer: Awaitable[T]) -> T:
        """Await `answer`, which is what `call` says, and record what comes of it; errors are passed on."""
        number = self.begin(client, session_id, call)
        try:
            result = await answer
        except BaseException as error:
            self.fail(number, error)
            raise
        self.succeed(number, result)
        return result

    def begin(self, client: str, session_id: str, call: Call) -> int:
        """Record that a call is about to begin.

        Returns:
            A number for `succeed` or `fail`. Without either of them the outcome is unknown.
        """
        self._begun.append(_Begun(client, session_id, call, self._stamp()))
        return len(self._begun) - 1

    def succeed(self, number: int, result: object) -> None:
        """Record that a call has returned."""
        self._begun[number].returned = self._stamp()
        self._begun[number].outcome = Ok(_answer_from(result))

    def fail(self, number: int, error: BaseException) -> None:
        """Record that a call has raised."""
        begun = self._begun[number]
        reason = type(error).__name__
        if isinstance(error, _NOTHING_CHANGED):
            begun.returned, begun.outcome = self._stamp(), Failed(reason)
            return
        begun.outcome = Unknown(reason)
        if self._cancelled_is_over and isinstance(error, asyncio.CancelledError):
            begun.returned = self._stamp()

    def history(self) -> History:
        """Return what has been recorded; calls that still go on have an unknown outcome."""
        return History(
            operations=tuple(_operation_from(begun) for begun in self._begun),
            now=self._now,
            stamps="monotonic" if self._across_processes else "counter",
        )


class RecordedClient:
    """One client of a store: the verbs that a history knows, recorded."""

    def __init__(self, recorder: Recorder, name: str, store: SessionStore) -> None:
        self.name = name
        self._recorder = recorder
        self._store = store

    async def read(self, session_id: str) -> Record | None:
        """Call `read` of the store."""
        return await self._run(session_id, Read(), self._store.read(session_id))

    async def write(self, session_id: str, record: Record) -> None:
        """Call `write` of the store."""
        await self._run(session_id, Write(record), self._store.write(session_id, record))

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        """Call `swap` of the store."""
        call = Swap(record, None if isinstance(expected, Absent) else expected)
        return await self._run(session_id, call, self._store.swap(session_id, record, expected))

    async def destroy(self, session_id: str) -> None:
        """Call `destroy` of the store."""
        await self._run(session_id, Destroy(), self._store.destroy(session_id))

    async def remove(self, session_id: str, expected: str) -> bool:
        """Call `remove` of the store."""
        return await self._run(session_id, Remove(expected), self._store.remove(session_id, expected))

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        """Call `touch` of the store."""
        return await self._run(session_id, Touch(expires_at), self._store.touch(session_id, expires_at))

    async def _run(self, session_id: str, call: Call, answer: Awaitable[T]) -> T:
        return await self._recorder.run(self.name, session_id, call, answer)


def describe_record(record: Record, *, fully: bool = False) -> str:
    """Name a record by its version; `fully` also by the beginning of its payload and its expiry."""
    if not fully:
        return _short(record.version)
    return f"{_short(record.version)} with {record.payload[:24]!r} {_until(record.expires_at)}"


def _until(expires_at: int | None) -> str:
    return "for ever" if expires_at is None else f"until {expires_at}"


def _short(version: str) -> str:
    return version if len(version) <= _LONGEST_SHOWN else f"{version[:8]}.."


def _operation_from(begun: _Begun) -> Operation:
    return Operation(
        client=begun.client,
        session_id=begun.session_id,
        call=begun.call,
        invoked=begun.invoked,
        returned=begun.returned,
        outcome=begun.outcome or Unknown("still going on"),
    )


def _answer_from(result: Any) -> Answer:
    # By exact types: 1 is no bool, and a bytearray no payload, although they are equal to one.
    if result is None or type(result) is bool:
        return result
    if not isinstance(result, Record):
        return f"a value of type {type(result).__name__}"
    if type(result.payload) is not bytes or type(result.version) is not str:
        return f"a record of {type(result.payload).__name__} and {type(result.version).__name__}"
    if result.expires_at is not None and type(result.expires_at) is not int:
        return f"a record that expires at a value of type {type(result.expires_at).__name__}"
    return Record(result.payload, result.version, result.expires_at)
