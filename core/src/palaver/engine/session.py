"""A session while a turn has it: what the handler sees and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from palaver.engine.changes import Change, Computed, Merged, Reset, State
from palaver.errors import InvalidStateError, TurnEndedError
from palaver.state.codec import check_stored, decode_state, encode_state

if TYPE_CHECKING:
    from palaver.engine.changes import Difference
    from palaver.state.codec import StoredSession

__all__ = ("Session",)


class Session:
    """The session of one conversation, for the time of one turn.

    Handlers get it from `Sessions.turn`; after the turn, whatever would lose a change raises `TurnEndedError`.
    """

    __slots__ = (
        "_base",
        "_changes",
        "_checkpoint",
        "_created",
        "_difference",
        "_encoded",
        "_has_ended",
        "_id",
        "_initial",
        "_is_destroyed",
        "_settled",
        "_state",
        "_stored",
    )

    def __init__(
        self, session_id: str, stored: StoredSession | None, initial: bytes, now: int, difference: Difference
    ) -> None:
        """Begin with what is stored, or with the initial state when nothing is.

        Args:
            session_id: its id.
            stored: the session as the store has it, if it has it.
            initial: the encoded initial state.
            now: the instant of the turn, in Unix milliseconds.
            difference: makes a change of what the handler mutates.
        """
        self._id = session_id
        self._difference = difference
        self._initial = initial
        self._created = now
        self._has_ended = False
        self._is_destroyed = False
        self._changes: list[Change] = []
        self._begin(stored)

    def _begin(self, stored: StoredSession | None) -> None:
        self._stored = stored
        self._base = self._initial if stored is None else bytes(stored.state)
        # The state after the first `_settled` changes; what differs from it beyond the later ones was mutated.
        self._checkpoint = self._base
        self._settled = 0
        # The state is one or the other: encoded until somebody looks at it, and again from the end of the turn. What is
        # stored is decoded at once, so that damage is found before the handler runs.
        self._encoded = self._base
        self._state: State | None = None if stored is None else decode_state(self._base, self._id)

    def __repr__(self) -> str:
        return f"<Session {self._id!r}{', ended' if self._has_ended else ''}>"

    @property
    def id(self) -> str:
        """The session id."""
        return self._id

    @property
    def platform(self) -> str:
        """What stands before the first colon of the id: the platform, where a bot made the id."""
        platform, colon, _ = self._id.partition(":")
        return platform if colon else ""

    @property
    def created(self) -> datetime:
        """When the session began: for a new one, now."""
        return _instant(self._created if self._stored is None else self._stored.created)

    @property
    def last_activity(self) -> datetime | None:
        """When an earlier turn last changed the session; None when there was none."""
        return None if self._stored is None else _instant(self._stored.last_activity)

    @property
    def state(self) -> State:
        """The state, to read and to change in place; it is saved when the turn ends.

        Raises:
            TurnEndedError: the turn has ended.
        """
        # Most turns come here several times: what nearly always holds is decided without a call.
        if self._has_ended or self._state is None:
            self._require_turn()
            return self._live_state()
        return self._state

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
        self._require_turn()
        if not callable(patch):
            self._apply(Merged.from_patch({**_require_mapping(patch), **keys}))
            return
        merged = Merged.from_patch(keys)
        self._compute(patch)
        self._apply(merged)

    def reset_state(self) -> None:
        """Set the whole state back to the initial state.

        Raises:
            TurnEndedError: the turn has ended.
        """
        self._require_turn()
        self._replace_state(self._initial)
        self._changes = [Reset(self._initial)]
        self._checkpoint = self._initial
        self._settled = 1

    def destroy(self) -> None:
        """Remove the session when the turn ends; what is set after this begins a new one.

        When someone else saves or destroys the session during the turn, the turn ends with a `ConflictError`: what
        was destroyed would not be what the handler saw.

        Raises:
            TurnEndedError: the turn has ended.
        """
        self.reset_state()
        self._is_destroyed = True

    # What the engine uses.

    def end(self) -> None:
        """Take the session out of the handler's hands."""
        self._has_ended = True

    def seal(self) -> bytes:
        """Return the encoded state as the handler has left it; what it still holds of it does not count any more.

        Raises:
            InvalidStateError: it holds something that is not JSON.
            CorruptSessionError: so did what was stored; the handler is not to blame.
        """
        try:
            self._encoded = self._encode()
        except InvalidStateError:
            check_stored(self._base, self._id)
            raise
        # Hundreds of turns wait for their saves at a time: without their objects, they cost no garbage collection.
        self._state = None
        return self._encoded

    @property
    def base(self) -> bytes:
        """The encoded state with which the turn began."""
        return self._base

    @property
    def is_destroyed(self) -> bool:
        """Whether the handler has destroyed the session, and perhaps begun it anew."""
        return self._is_destroyed

    def begun_at(self, now: int) -> int:
        """Return when the session to be saved at `now` began, both in Unix milliseconds."""
        return now if self._stored is None or self._is_destroyed else self._stored.created

    def rebase(self, stored: StoredSession | None) -> None:
        """Re-apply the turn's changes to what someone else has saved meanwhile.

        Raises:
            ConflictError: someone else changed what the handler mutated.
            InvalidStateError: the outcome holds something that is not JSON.
            CorruptSessionError: what someone else has saved cannot be understood.
        """
        self._settle()
        self._begin(stored)
        for change in self._changes:
            change.apply(self._live_state())
        self._mark_settled()

    def _require_turn(self) -> None:
        if self._has_ended:
            raise TurnEndedError(self._id)

    def _live_state(self) -> State:
        if self._state is None:
            self._state = decode_state(self._encoded, self._id)
        return self._state

    def _encode(self) -> bytes:
        return self._encoded if self._state is None else encode_state(self._state)

    def _replace_state(self, encoded: bytes) -> None:
        # In place: the handler may hold the dict that `state` gave it.
        state = self._live_state()
        state.clear()
        state.update(decode_state(encoded, self._id))

    def _apply(self, change: Change) -> None:
        change.apply(self._live_state())
        self._changes.append(change)

    def _compute(self, function: Callable[[State], Mapping[str, Any]]) -> None:
        """Apply a function, which may depend on what was mutated before it: that must be done before it again."""
        self._settle()
        self._apply(Computed(function))
        self._mark_settled()

    def _settle(self) -> None:
        """Turn what the handler has mutated in place into a change."""
        if self._settled == len(self._changes) and self._encode() == self._checkpoint:
            return
        expected = decode_state(self._checkpoint, self._id)
        for change in self._changes[self._settled :]:
            change.apply(expected)
        mutation = self._difference(expected, self._live_state(), self._id)
        if mutation is not None:
            self._changes.append(mutation)
        self._mark_settled()

    def _mark_settled(self) -> None:
        self._checkpoint = self._encode()
        self._settled = len(self._changes)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def _require_mapping(patch: object) -> Mapping[str, Any]:
    if patch is None:
        return {}
    if not isinstance(patch, Mapping):
        raise InvalidStateError(f"cannot be set to a {type(patch).__name__}; give keys, a dict, or a function")
    return patch
