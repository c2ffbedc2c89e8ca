"""What a turn does to a state, kept so that it can be done again to a fresher state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from palaver.errors import ConflictError, InvalidStateError
from palaver.state.codec import decode_state, encode_state
from palaver.state.json_state import path_step
from palaver.state.merge import MISSING, differ, merge

__all__ = ("Assigned", "Change", "Computed", "Difference", "Merged", "Mutated", "Reset", "State")

State: TypeAlias = dict[str, Any]


class Change(Protocol):
    """Something that a turn did to a state."""

    def apply(self, state: State) -> None:
        """Do it to `state`, in place."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Keys that were set, whatever they were before."""

    encoded: bytes

    @classmethod
    def from_patch(cls, patch: Mapping[str, Any]) -> Merged:
        """Take the values of a patch, so that later changes of the caller's objects do not matter."""
        return cls(encode_state(dict(patch)))

    def apply(self, state: State) -> None:
        state.update(decode_state(self.encoded, "of a patch"))


@dataclass(frozen=True, slots=True)
class Computed:
    """Keys that were set to what a function made of the state."""

    function: Callable[[State], Mapping[str, Any]]

    def apply(self, state: State) -> None:
        patch = self.function(state)
        if not isinstance(patch, Mapping):
            raise InvalidStateError(
                f"cannot be changed by a function that returns {type(patch).__name__}; "
                "a function given to set_state() returns a dict of the keys to set"
            )
        Merged.from_patch(patch).apply(state)


@dataclass(frozen=True, slots=True)
class Mutated:
    """Top-level keys that were mutated in place: what they were and what they became, to be merged."""

    session_id: str
    keys: tuple[str, ...]
    before: bytes
    after: bytes

    @classmethod
    def between(cls, before: State, after: State, session_id: str) -> Mutated | None:
        """Return what was done to `before` to make it `after`; None is nothing.

        Raises:
            InvalidStateError: `after` holds something that is not JSON.
        """
        keys = _changed_keys(before, after)
        if not keys:
            return None
        return cls(session_id, keys, encode_state(_only(before, keys)), encode_state(_only(after, keys)))

    def apply(self, state: State) -> None:
        """Merge it into `state`, in place.

        Raises:
            ConflictError: someone else changed the same values; nothing was changed.
        """
        base = decode_state(self.before, self.session_id)
        mine = decode_state(self.after, self.session_id)
        conflicts: list[str] = []
        merged = {}
        for key in self.keys:
            place = "state" + path_step(key)
            sides = base.get(key, MISSING), state.get(key, MISSING), mine.get(key, MISSING)
            merged[key] = merge(sides, place, conflicts)
        if conflicts:
            raise ConflictError(self.session_id, paths=tuple(conflicts))
        for key, value in merged.items():
            _set_or_remove(state, key, value)


@dataclass(frozen=True, slots=True)
class Assigned:
    """Top-level keys that were mutated in place: their new values, which overwrite whatever someone else saved."""

    encoded: bytes
    removed: tuple[str, ...]

    @classmethod
    def between(cls, before: State, after: State, session_id: str) -> Assigned | None:  # noqa: ARG003  # a `Difference`
        """Return what was done to `before` to make it `after`; None is nothing.

        Raises:
            InvalidStateError: `after` holds something that is not JSON.
        """
        keys = _changed_keys(before, after)
        if not keys:
            return None
        return cls(encode_state(_only(after, keys)), tuple(key for key in keys if key not in after))

    def apply(self, state: State) -> None:
        for key in self.removed:
            state.pop(key, None)
        state.update(decode_state(self.encoded, "of a mutation"))


@dataclass(frozen=True, slots=True)
class Reset:
    """The whole state was set back."""

    initial: bytes

    def apply(self, state: State) -> None:
        state.clear()
        state.update(decode_state(self.initial, "of the initial state"))


Difference: TypeAlias = Callable[[State, State, str], Change | None]
"""Makes a change of what was mutated: of the state before it, the state after it, and the session id."""


def _changed_keys(before: State, after: State) -> tuple[str, ...]:
    return tuple(key for key in {**before, **after} if differ(before.get(key, MISSING), after.get(key, MISSING)))


def _only(state: State, keys: tuple[str, ...]) -> State:
    return {key: state[key] for key in keys if key in state}


def _set_or_remove(state: State, key: str, value: Any) -> None:
    if value is MISSING:
        state.pop(key, None)
    else:
        state[key] = value
