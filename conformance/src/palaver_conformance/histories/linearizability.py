"""Linearizability: is there one order of all operations, true to real time, that explains every answer?

The search is that of Wing and Gong ("Testing and verifying concurrent objects", Journal of Parallel and Distributed
Computing 17, 1993): whatever may come first is tried first, and what follows from it is tried in turn. As Lowe has
shown ("Testing for linearizability", Concurrency and Computation: Practice and Experience 29, 2017), it need never
visit the same set of linearised operations with the same state of the model twice. Sessions are independent of each
other, so that each is searched by itself (Herlihy and Wing, "Linearizability: a correctness condition for concurrent
objects", ACM TOPLAS 12, 1990).

Operations whose outcome is unknown are optional: the search may leave them out, or put them anywhere after their
invocation. Three observations keep it short without changing its verdict:

- What fits now and never changes anything (a read, a refused swap) may as well come now; no other way need be tried.
- To have left out more optional operations is never worse, if the mandatory ones done and the state are the same.
- An optional operation is useless if the next one would do and answer the same without it.

The model of a session is a register that holds a record or nothing (`register`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from palaver.contract.record import Record
from palaver_conformance.histories.history import (
    Destroy,
    Failed,
    Ok,
    Read,
    Swap,
    Touch,
    Unknown,
    Write,
    describe_record,
)
from palaver_conformance.histories.register import apply, live

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from palaver_conformance.histories.history import Answer, Call, History, Operation
    from palaver_conformance.histories.register import State

__all__ = ("DEFAULT_BUDGET", "Explanation", "HistoryVerdict", "Judgement", "check", "check_all")

DEFAULT_BUDGET: Final = 300_000
"""How many steps a search may take: a second or two."""

_MOST_CHOICES_SHOWN: Final = 4

_REFUSED: Final = Ok(answer=False)


class Judgement(StrEnum):
    """What is known of a history."""

    OK = "ok"
    """It is linearizable."""

    VIOLATION = "violation"
    """It is not."""

    UNKNOWN = "unknown"
    """The budget was used up before either was certain."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a history is wrong, as small as possible."""

    operations: tuple[Operation, ...]
    """Operations that contradict each other, whatever the others did, and who brought the value that should not be."""

    culprit: Operation
    """The one of them whose answer shows it: the first to return with an answer that nothing explains."""

    reason: str
    """One sentence."""

    def __str__(self) -> str:
        return "\n".join([self.reason, *(f"  {operation}" for operation in self.operations)])


@dataclass(frozen=True, slots=True)
class HistoryVerdict:
    """The judgement on the history of one session."""

    judgement: Judgement
    steps: int
    """How many steps the search took, without those for the explanation."""

    explanation: Explanation | None = None
    """Why, for a violation."""


def check_all(
    history: History, *, initial: Mapping[str, Record] | None = None, budget: int = DEFAULT_BUDGET
) -> dict[str, HistoryVerdict]:
    """Judge the history of each session by itself.

    Args:
        history: the operations on any number of sessions.
        initial: the records that were there when it began.
        budget: how many steps the search may take for each session.

    Returns:
        A verdict for each session id.
    """
    records = initial or {}
    return {
        session_id: check(part, initial=records.get(session_id), budget=budget)
        for session_id, part in history.by_session().items()
    }


def check(history: History, *, initial: Record | None = None, budget: int = DEFAULT_BUDGET) -> HistoryVerdict:
    """Judge the history of one session.

    Args:
        history: the operations, all with the same session id.
        initial: the record that was there when it began; None is none.
        budget: how many steps the search may take, and again as many in order to explain a violation.

    Raises:
        ValueError: there are several session ids.
    """
    if len({operation.session_id for operation in history.operations}) > 1:
        raise ValueError("the history has several session ids; use check_all")
    allowance = _Allowance(budget)
    try:
        found = _is_linearizable(history, initial, allowance)
    except _UsedUpError:
        return HistoryVerdict(Judgement.UNKNOWN, allowance.used)
    if found:
        return HistoryVerdict(Judgement.OK, allowance.used)
    explanation = _Explainer(history, initial, _Allowance(budget)).explain()
    return HistoryVerdict(Judgement.VIOLATION, allowance.used, explanation)


# The search.


class _UsedUpError(Exception):
    """Raised when a search has taken all the steps it may take."""


class _Allowance:
    """How many steps may still be taken."""

    def __init__(self, budget: int) -> None:
        self.used = 0
        self._budget = budget

    def take(self) -> None:
        if self.used >= self._budget:
            raise _UsedUpError
        self.used += 1


class _Node(NamedTuple):
    """A place in the search: which operations are linearised, and what state that leads to."""

    done: int
    state: State
    without: tuple[State] | None = None
    """The state before the operation that led here, if that one was optional."""


def _is_linearizable(
    history: History, initial: Record | None, allowance: _Allowance, free: Iterable[Call] = ()
) -> bool:
    return _Search(history, allowance, free).succeeds(live(initial, history.now))


class _Search:
    """One search.

    Args:
        history: the operations.
        allowance: how many steps it may take.
        free: calls that may take effect at any time, any number of times or never.
    """

    def __init__(self, history: History, allowance: _Allowance, free: Iterable[Call]) -> None:
        effective = (each for each in history.operations if _matters(each))
        self._operations = sorted(effective, key=lambda operation: operation.invoked)
        self._mandatory = sum(
            1 << index for index, each in enumerate(self._operations) if not isinstance(each.outcome, Unknown)
        )
        self._ended = {
            index: each.returned
            for index, each in enumerate(self._operations)
            if isinstance(each.outcome, Unknown) and each.returned is not None
        }
        self._free = tuple(dict.fromkeys(free))
        self._now = history.now
        self._allowance = allowance
        # For the mandatory operations done and the state: which sets of optional ones were used on the way.
        self._visited: dict[tuple[int, State], list[int]] = {}

    def succeeds(self, initial: State) -> bool:
        nodes = [_Node(0, initial)]
        while nodes:
            node = nodes.pop()
            if node.done & self._mandatory == self._mandatory:
                return True
            if self._is_new(node):
                # The first that may come next is the likeliest, so it goes on top.
                nodes += reversed(self._successors(node))
        return False

    def _is_new(self, node: _Node) -> bool:
        used = node.done & ~self._mandatory
        before = self._visited.setdefault((node.done & self._mandatory, node.state), [])
        if any(other & used == other for other in before):
            return False
        before[:] = [other for other in before if other & used != used]
        before.append(used)
        return True

    def _successors(self, node: _Node) -> list[_Node]:
        successors = []
        for index in self._next(node.done):
            self._allowance.take()
            successor = self._step(node, index)
            if successor is None:
                continue
            if _only_looks(self._operations[index]) and not self._may_follow_cancelled(index, node.done):
                return [successor]
            successors.append(successor)
        return [*successors, *self._freely(node)]

    def _freely(self, node: _Node) -> Iterator[_Node]:
        for call in self._free:
            self._allowance.take()
            state, _ = apply(call, node.state, self._now)
            yield _Node(node.done, state)

    def _may_follow_cancelled(self, index: int, done: int) -> bool:
        """Tell whether an optional operation can only be done before this one, and still can be."""
        latest, invoked = self._latest(done), self._operations[index].invoked
        return any(latest <= returned < invoked for number, returned in self._ended.items() if not done >> number & 1)

    def _latest(self, done: int) -> float:
        return self._operations[done.bit_length() - 1].invoked if done else -math.inf

    def _next(self, done: int) -> Iterator[int]:
        """Yield which operations may come next: none that is left out must come before."""
        latest = self._latest(done)
        deadline = math.inf
        for index in range((~done & (done + 1)).bit_length() - 1, len(self._operations)):
            operation = self._operations[index]
            if operation.invoked > deadline:
                return
            if done >> index & 1:
                continue
            if not self._mandatory >> index & 1:
                # Once something is done that was invoked after its end, it has not taken effect.
                if latest > self._ended.get(index, math.inf):
                    continue
            elif operation.returned is not None:
                deadline = min(deadline, operation.returned)
            yield index

    def _step(self, node: _Node, index: int) -> _Node | None:
        operation = self._operations[index]
        done = node.done | 1 << index
        state, answer = apply(operation.call, node.state, self._now)
        if node.without is not None and apply(operation.call, node.without[0], self._now) == (state, answer):
            return None
        if not self._mandatory >> index & 1:
            return None if state == node.state else _Node(done, state, without=(node.state,))
        return _Node(done, state) if _is_answered(operation, answer) else None


def _matters(operation: Operation) -> bool:
    if isinstance(operation.outcome, Failed):
        return False
    return not (isinstance(operation.outcome, Unknown) and isinstance(operation.call, Read))


def _only_looks(operation: Operation) -> bool:
    return isinstance(operation.call, Read) or operation.outcome == _REFUSED


def _is_answered(operation: Operation, answer: Answer) -> bool:
    # What write and destroy return is not the history's business.
    return isinstance(operation.call, Write | Destroy) or operation.outcome == Ok(answer)


# The explanation.


class _Explainer:
    """Finds the first operation that cannot be explained, and the few others that make it so."""

    def __init__(self, history: History, initial: Record | None, allowance: _Allowance) -> None:
        self._history = history
        self._initial = initial
        self._allowance = allowance

    def explain(self) -> Explanation:
        answered = [each for each in self._history.operations if isinstance(each.outcome, Ok)]
        ends = sorted(answered, key=_end)
        # If a prefix is a violation, so is all that begins with it: the search for the shortest is a binary one.
        length = bisect_left(range(len(ends) - 1), True, key=lambda index: self._is_wrong(self._prefix(ends, index)))
        prefix, culprit = self._prefix(ends, length), ends[length]
        return Explanation(self._fewest(prefix, culprit), culprit, self._reason(prefix, culprit))

    def _prefix(self, ends: list[Operation], index: int) -> dict[int, Operation]:
        """Cut the history after the end of one operation: what goes on then has no answer yet."""
        pending = {id(operation) for operation in ends[index + 1 :]}
        return {
            number: _pending(operation) if id(operation) in pending else operation
            for number, operation in enumerate(self._history.operations)
            if operation.invoked <= _end(ends[index])
        }

    def _fewest(self, prefix: dict[int, Operation], culprit: Operation) -> tuple[Operation, ...]:
        """Keep only the operations that matter.

        Some do not matter if there is a violation even when they are free to take effect at any time, any number of
        times or never. That is tried for halves, quarters and so on. The calls that brought the impossible value stay
        whatever they answered: who reads the explanation asks for them first.
        """
        kept = dict(prefix)
        needed = [culprit, *(each for each in prefix.values() if _brings_answer(each, culprit))]
        others = [number for number, operation in prefix.items() if not any(operation is each for each in needed)]
        reads = [number for number in others if _only_looks(prefix[number])]
        parts = [[number for number in others if number not in reads], reads]
        while parts:
            part = parts.pop()
            rest = {number: operation for number, operation in kept.items() if number not in part}
            if self._is_wrong(rest, free=[each.call for number, each in prefix.items() if number not in rest]):
                kept = rest
            elif len(part) > 1:
                parts += part[len(part) // 2 :], part[: len(part) // 2]
        return tuple(self._history.operations[number] for number in kept)

    def _is_wrong(self, operations: dict[int, Operation], free: Iterable[Call] = ()) -> bool:
        return self._fits(operations, free) is False

    def _fits(self, operations: dict[int, Operation], free: Iterable[Call] = ()) -> bool | None:
        """Tell whether operations are linearizable; None when the allowance does not suffice."""
        try:
            return _is_linearizable(self._history.replace(operations.values()), self._initial, self._allowance, free)
        except _UsedUpError:
            return None

    def _reason(self, prefix: dict[int, Operation], culprit: Operation) -> str:
        number = next(number for number, operation in prefix.items() if operation is culprit)
        choices = (
            answer
            for answer in self._answers(culprit)
            if self._fits(prefix | {number: msgspec.structs.replace(culprit, outcome=Ok(answer))})
        )
        return _sentence(culprit, list(islice(choices, _MOST_CHOICES_SHOWN + 1)))

    def _answers(self, culprit: Operation) -> Iterable[Answer]:
        """Return all that the call could ever answer."""
        if not isinstance(culprit.call, Read):
            return False, True
        calls = [operation.call for operation in self._history.operations if _matters(operation)]
        # The newest first: they are the likeliest.
        records = [call.record for call in reversed(calls) if isinstance(call, Write | Swap)]
        if self._initial is not None:
            records.append(self._initial)
        expiries = [call.expires_at for call in calls if isinstance(call, Touch)]
        touched = [Record(each.payload, each.version, expires_at) for each in records for expires_at in expiries]
        return dict.fromkeys([*records, None, *touched])


def _brings_answer(operation: Operation, culprit: Operation) -> bool:
    """Tell whether an operation, successful or not, has written the version that another one answered."""
    answer = culprit.outcome.answer if isinstance(culprit.outcome, Ok) else None
    if not isinstance(operation.call, Write | Swap):
        return False
    return operation.call.record.version == _version(answer)


def _end(operation: Operation) -> int:
    return operation.invoked if operation.returned is None else operation.returned


def _pending(operation: Operation) -> Operation:
    return msgspec.structs.replace(operation, returned=None, outcome=Unknown("still going on"))


def _sentence(culprit: Operation, choices: list[Answer]) -> str:
    given = culprit.outcome.answer if isinstance(culprit.outcome, Ok) else None
    # Where the version alone does not show what is wrong, the whole record does.
    fully = any(_version(choice) == _version(given) for choice in choices if isinstance(choice, Record))
    shown = [_describe(choice, fully=fully) for choice in choices[:_MOST_CHOICES_SHOWN]]
    if len(choices) > len(shown):
        shown.append("something else that was written")
    sentence = f"{culprit.client}: {culprit.call} answered {_describe(given, fully=fully)}, which nothing explains"
    return f"{sentence}; it could have answered {' or '.join(shown)}" if shown else sentence


def _version(answer: Answer) -> str | None:
    return answer.version if isinstance(answer, Record) else None


def _describe(answer: Answer, *, fully: bool) -> str:
    return describe_record(answer, fully=fully) if isinstance(answer, Record) else str(Ok(answer))
