"""Checks of a history that need no search: each looks for one well-known anomaly, and is never wrong about it.

They find less than `linearizability` does, but in a history of any length, and they say what it is.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from palaver.contract.record import Record
from palaver_conformance.histories.history import Destroy, Failed, Ok, Read, Remove, Swap, Touch, Unknown, Write
from palaver_conformance.histories.linearizability import Explanation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from palaver_conformance.histories.history import History, Operation

__all__ = ("invented_value", "lost_own_write", "no_winner", "several_winners", "stale_read")


def several_winners(history: History, *, initial: Record | None = None) -> Explanation | None:
    """Find two swaps that both won although they expected the same version.

    A version that more than one operation brings may come back, and so may the absence of a record where something
    ends sessions: swaps that expect those are left out.

    Args:
        history: the operations on one session.
        initial: the record that was there when it began.

    Returns:
        Both winners, or None when there are none.
    """
    brought = _brought(history, initial)
    absence_returns = any(_may_end(operation, history.now) for operation in history.operations)
    winners: dict[str | None, Operation] = {}
    for operation in history.operations:
        call = operation.call
        if not isinstance(call, Swap) or operation.outcome != Ok(answer=True) or brought[call.record.version] > 1:
            continue
        if absence_returns if call.expected is None else brought[call.expected] > 1:
            continue
        first = winners.setdefault(call.expected, operation)
        if first is not operation:
            reason = "two swaps that expect the same both won"
            return Explanation((first, operation), operation, reason)
    return None


def no_winner(history: History, *, initial: Record | None = None) -> Explanation | None:
    """Find that nobody won although nothing but swaps was called and all of them expected what was there.

    Args:
        history: the operations on one session.
        initial: the live record that was there when it began.

    Returns:
        All the swaps, or None when this says nothing of the history.
    """
    changes = [each for each in history.operations if not isinstance(each.call, Read) and not _has_failed(each)]
    expected = None if initial is None else initial.version
    for operation in changes:
        if not isinstance(operation.call, Swap) or operation.call.expected != expected:
            return None
        if operation.outcome != Ok(answer=False):
            return None
    if not changes:
        return None
    return Explanation(tuple(changes), changes[-1], "of swaps that all expect what is there, none won")


def invented_value(history: History, *, initial: Record | None = None) -> Explanation | None:
    """Find a record that was read although nobody wrote it: a foreign one, or a mixture of several.

    Args:
        history: the operations on one session.
        initial: the record that was there when it began.

    Returns:
        The read, or None when there is none.
    """
    for operation, record in _reads(history):
        earlier = [each for each in history.operations if not operation.precedes(each) and not _has_failed(each)]
        written = [each.call.record for each in earlier if isinstance(each.call, Write | Swap)]
        if initial is not None:
            written.append(initial)
        expiries = [each.call.expires_at for each in earlier if isinstance(each.call, Touch)]
        if not any(_could_be(record, origin, expiries) for origin in written):
            return Explanation((operation,), operation, f"{operation.client} read a record that nobody wrote")
    return None


def lost_own_write(history: History, *, initial: Record | None = None) -> Explanation | None:
    """Find a client that reads something older than what it wrote itself: read-your-writes.

    Args:
        history: the operations on one session.
        initial: the record that was there when it began.

    Returns:
        The write and the read, or None when there are none.
    """
    brought = _brought(history, initial)
    for write in history.operations:
        if not _has_written(write, history.now):
            continue
        for read in history.operations:
            if read.client == write.client and write.precedes(read) and _shows_older(read, write, history, brought):
                reason = f"{read.client} read something older than what it had written"
                return Explanation((write, read), read, reason)
    return None


def stale_read(history: History, order: Sequence[str]) -> Explanation | None:
    """Find a client that reads a version and afterwards an older one: monotonic reads.

    Args:
        history: the operations on one session.
        order: its versions, the oldest first, as one writer has written them; reads of others are left out.

    Returns:
        Both reads, or None when there are none.
    """
    ranks = {version: rank for rank, version in enumerate(order)}
    reads = [(operation, ranks[record.version]) for operation, record in _reads(history) if record.version in ranks]
    for (earlier, newer), (later, older) in combinations(reads, 2):
        if earlier.client == later.client and earlier.precedes(later) and older < newer:
            return Explanation((earlier, later), later, f"{later.client} read a version older than one it had read")
    return None


def _brought(history: History, initial: Record | None) -> Counter[str]:
    """Count what brings each version: a version that comes twice says nothing about the order."""
    calls = [operation.call for operation in history.operations]
    versions = [call.record.version for call in calls if isinstance(call, Write | Swap)]
    return Counter(versions if initial is None else [initial.version, *versions])


def _reads(history: History) -> Iterator[tuple[Operation, Record]]:
    for operation in history.operations:
        if isinstance(operation.call, Read) and isinstance(operation.outcome, Ok):
            record = operation.outcome.answer
            if isinstance(record, Record):
                yield operation, record


def _has_failed(operation: Operation) -> bool:
    return isinstance(operation.outcome, Failed)


def _could_be(record: Record, origin: Record, expiries: Sequence[int | None]) -> bool:
    if (record.payload, record.version) != (origin.payload, origin.version):
        return False
    return record.expires_at in {origin.expires_at, *expiries}


def _may_end(operation: Operation, now: int) -> bool:
    """Tell whether there may be no record after an operation."""
    if _has_failed(operation) or isinstance(operation.call, Read):
        return False
    if isinstance(operation.call, Destroy | Remove):
        return operation.outcome != Ok(answer=False)
    call = operation.call
    expires_at = call.expires_at if isinstance(call, Touch) else call.record.expires_at
    return expires_at is not None and expires_at <= now


def _has_written(operation: Operation, now: int) -> bool:
    if isinstance(operation.call, Write):
        return isinstance(operation.outcome, Ok) and not _may_end(operation, now)
    if isinstance(operation.call, Swap):
        return operation.outcome == Ok(answer=True) and not _may_end(operation, now)
    return False


def _shows_older(read: Operation, write: Operation, history: History, brought: Counter[str]) -> bool:
    if not isinstance(read.call, Read) or not isinstance(read.outcome, Ok):
        return False
    record = read.outcome.answer
    if record is None:
        # Nothing is older, unless something ended the session after the write.
        return not any(
            _may_end(other, history.now) and not other.precedes(write) and not read.precedes(other)
            for other in history.operations
        )
    if not isinstance(record, Record) or brought[record.version] != 1:
        return False
    return all(_is_over(other, write) for other in history.operations if _brings(other, record.version))


def _brings(operation: Operation, version: str) -> bool:
    return isinstance(operation.call, Write | Swap) and operation.call.record.version == version


def _is_over(operation: Operation, write: Operation) -> bool:
    return operation.precedes(write) and not isinstance(operation.outcome, Unknown)
