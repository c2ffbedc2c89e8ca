"""What a turn does to a state, kept so that it can be done again to a fresher state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from palaver.codec import decode_state, encode_state
from palaver.errors import InvalidStateError

__all__ = ("Assigned", "Change", "Computed", "Merged", "Reset", "State", "difference")

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
class Assigned:
    """Top-level keys that were mutated in place: their new values, and those that were removed."""

    encoded: bytes
    removed: tuple[str, ...]

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


def difference(before: State, after: State) -> Assigned | None:
    """Return what was done to the top-level keys of `before` to make it `after`; None is nothing.

    Raises:
        InvalidStateError: `after` holds something that is not JSON.
    """
    removed = tuple(key for key in before if key not in after)
    changed = {key: value for key, value in after.items() if key not in before or _differ(before[key], value)}
    return Assigned(encode_state(changed), removed) if changed or removed else None


def _differ(before: object, after: object) -> bool:
    # Encoded, because 1, 1.0 and True are equal in Python and not in JSON.
    return encode_state({"": before}) != encode_state({"": after})
