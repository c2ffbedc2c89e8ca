"""Three-way merge of states: what two turns did to one state, put together without losing either.

A value that only one side changed is taken from that side. Of what both changed, dicts are merged key by key, and lists
that both only appended to are joined, theirs first. Everything else that both changed is a conflict, even when both
wrote the same value: two turns that each added one to 5 both wrote 6, and 6 would lose one of them.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, TypeAlias

from palaver.state.codec import encode_state
from palaver.state.json_state import path_step

__all__ = ("MISSING", "Missing", "differ", "merge")


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""What a key has that is not there."""

Value: TypeAlias = Any
"""A JSON value, or `MISSING`."""

Sides: TypeAlias = tuple[Value, Value, Value]
"""What both began with, theirs, mine."""


def merge(sides: Sides, path: str, conflicts: list[str]) -> Value:
    """Merge what two sides made of one value.

    Args:
        sides: the value with which both sides began, what the other side, which has saved already, made of it, and
            what this side made of it.
        path: where the value is, for example `state.cart`.
        conflicts: gets the path of each value that both sides changed and that cannot be merged.

    Returns:
        The merged value; it may share parts with `theirs` and `mine`.
    """
    base, theirs, mine = sides
    if not differ(base, theirs):
        return mine
    if not differ(base, mine):
        return theirs
    if _are_all(dict, sides):
        return _merge_dicts(({} if base is MISSING else base, theirs, mine), path, conflicts)
    if _are_all(list, sides):
        start: list[Value] = [] if base is MISSING else base
        if _begins_with(theirs, start) and _begins_with(mine, start):
            return theirs + mine[len(start) :]
    conflicts.append(path)
    return theirs


def differ(before: Value, after: Value) -> bool:
    """Tell whether two values differ as JSON does, where 1, 1.0 and True are not equal.

    Raises:
        InvalidStateError: one of them is not JSON.
    """
    if before is MISSING or after is MISSING:
        return before is not after
    return encode_state({"": before}) != encode_state({"": after})


def _merge_dicts(sides: Sides, path: str, conflicts: list[str]) -> dict[str, Value]:
    base, theirs, mine = sides
    merged = {}
    # Theirs first, then what only this side has, so that the order of their keys stays.
    for key in [*theirs, *(key for key in mine if key not in theirs)]:
        values = base.get(key, MISSING), theirs.get(key, MISSING), mine.get(key, MISSING)
        value = merge(values, path + path_step(key), conflicts)
        if value is not MISSING:
            merged[key] = value
    conflicts.extend(path + path_step(key) for key in base if key not in theirs and key not in mine)
    return merged


def _are_all(kind: type, sides: Sides) -> bool:
    # Both sides may have added the value: then they began with an empty one.
    base, theirs, mine = sides
    return type(theirs) is kind and type(mine) is kind and (base is MISSING or type(base) is kind)


def _begins_with(values: Value, start: list[Value]) -> bool:
    return not differ(values[: len(start)], start)
