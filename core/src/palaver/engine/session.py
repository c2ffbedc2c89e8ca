"""A session while a turn has it: what the handler sees and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from palaver.errors import InvalidStateError

if TYPE_CHECKING:
    from palaver.engine.changes import State
    from palaver.engine.working_copy import WorkingCopy

__all__ = ("Session",)


class Session:
    """The session of one conversation, for the time of one turn.

    Handlers get it from `Sessions.turn`; after the turn, whatever would lose a change raises `TurnEndedError`.
    """

    __slots__ = ("_copy",)

    def __init__(self, copy: WorkingCopy) -> None:
        self._copy = copy

    def __repr__(self) -> str:
        return f"<Session {self._copy.id!r}{', ended' if self._copy.has_ended else ''}>"

    @property
    def id(self) -> str:
        """The session id."""
        return self._copy.id

    @property
    def platform(self) -> str:
        """What stands before the first colon of the id: the platform, where a bot made the id."""
        platform, colon, _ = self._copy.id.partition(":")
        return platform if colon else ""

    @property
    def created(self) -> datetime:
        """When the session began: for a new one, now."""
        stored = self._copy.stored
        return _instant(self._copy.began if stored is None else stored.created)

    @property
    def last_activity(self) -> datetime | None:
        """When an earlier turn last changed the session; None when there was none."""
        stored = self._copy.stored
        return None if stored is None else _instant(stored.last_activity)

    @property
    def state(self) -> State:
        """The state, to read and to change in place; it is saved when the turn ends.

        Raises:
            TurnEndedError: the turn has ended.
        """
        # Most turns come here several times: what nearly always holds is decided without a call.
        copy = self._copy
        if copy.has_ended or copy.state is None:
            copy.require_turn()
            return copy.live_state()
        return copy.state

    def set_state(
        self, patch: Mapping[str, Any] | Callable[[State], Mapping[str, Any]] | None = None, /, **keys: Any
    ) -> None:
        """Set top-level keys of the state; the others stay.

        Args:
            patch: the keys to set, or a function of the state that returns them. When someone else saved the session
                in the meantime, the function is called again with the fresh state: it should do nothing else.
            **keys: more keys to set.

        Raises:
            InvalidStateError: a value is not JSON; nothing was changed.
            TurnEndedError: the turn has ended.
        """
        self._copy.require_turn()
        if callable(patch):
            self._copy.compute(patch, keys)
            return
        self._copy.set_keys({**_require_mapping(patch), **keys})

    def reset_state(self) -> None:
        """Set the whole state back to the initial state.

        Raises:
            TurnEndedError: the turn has ended.
        """
        self._copy.require_turn()
        self._copy.reset()

    def destroy(self) -> None:
        """Remove the session when the turn ends; what is set after this begins a new one.

        When someone else saves or destroys the session during the turn, the turn ends with a `ConflictError`: what
        was destroyed would not be what the handler saw.

        Raises:
            TurnEndedError: the turn has ended.
        """
        self._copy.require_turn()
        self._copy.destroy()


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def _require_mapping(patch: object) -> Mapping[str, Any]:
    if patch is None:
        return {}
    if not isinstance(patch, Mapping):
        raise InvalidStateError(f"cannot be set to a {type(patch).__name__}; give keys, a dict, or a function")
    return patch
