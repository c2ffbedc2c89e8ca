"""The model of one session that histories are judged by: a register that holds a record, or nothing.

It says again, in its own words, what the contract says of the verbs on one session; it shares no code with any store.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

from palaver.contract.record import Record
from palaver_conformance.histories.history import Answer, Call, Destroy, Read, Remove, Swap, Touch, Write

__all__ = ("State", "apply", "live")

State: TypeAlias = Record | None


def apply(call: Call, state: State, now: int) -> tuple[State, Answer]:
    """Carry out a call.

    Args:
        call: what to do.
        state: the live record, if there is one.
        now: by which instant expiry is judged.

    Returns:
        The live record afterwards, and the answer.
    """
    match call:
        case Read():
            return state, state
        case Write(record):
            return live(record, now), None
        case Swap(record, expected):
            return _apply_swap(record, expected, state, now)
        case Destroy():
            return None, None
        case Remove(expected):
            return _apply_remove(expected, state)
        case Touch(expires_at):
            return _apply_touch(expires_at, state, now)
        case _:
            assert_never(call)


def _apply_swap(record: Record, expected: str | None, state: State, now: int) -> tuple[State, bool]:
    version = None if state is None else state.version
    if version == record.version:
        return state, True
    if version == expected:
        return live(record, now), True
    return state, False


def _apply_remove(expected: str, state: State) -> tuple[State, bool]:
    if state is None or state.version != expected:
        return state, False
    return None, True


def _apply_touch(expires_at: int | None, state: State, now: int) -> tuple[State, bool]:
    if state is None:
        return None, False
    return live(Record(state.payload, state.version, expires_at), now), True


def live(record: Record | None, now: int) -> State:
    """Return the record unless it has expired."""
    if record is None or record.expires_at is None or record.expires_at > now:
        return record
    return None
