"""The engine's copy of a session during one turn: what was found, what the handler did to it, what is to be saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from palaver.engine.changes import Computed, Merged, Reset
from palaver.errors import InvalidStateError, TurnEndedError
from palaver.state.codec import check_stored, decode_state, encode_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from palaver.engine.changes import Change, Difference, State
    from palaver.state.codec import StoredSession

__all__ = ("WorkingCopy",)


class WorkingCopy:
    """One session for the time of one turn, from the engine's side; a handler sees it as a `Session`.

    Args:
        session_id: its id.
        stored: the session as the store has it, or None to begin with the initial state.
        initial: the encoded initial state.
        now: the instant of the turn, in Unix milliseconds.
        difference: makes a change of what the handler mutates.
    """

    __slots__ = (
        "_changes",
        "_checkpoint",
        "_difference",
        "_encoded",
        "_initial",
        "_settled",
        "base",
        "began",
        "has_ended",
        "id",
        "is_destroyed",
        "state",
        "stored",
    )

    def __init__(
        self, session_id: str, stored: StoredSession | None, initial: bytes, now: int, difference: Difference
    ) -> None:
        self.id = session_id
        self.began = now
        self.has_ended = False
        self.is_destroyed = False
        """Whether the handler has destroyed the session, and perhaps begun it anew."""
        self._difference = difference
        self._initial = initial
        self._changes: list[Change] = []
        self._begin(stored)

    def _begin(self, stored: StoredSession | None) -> None:
        self.stored = stored
        self.base = self._initial if stored is None else bytes(stored.state)
        """The encoded state with which the turn began."""
        # The state after the first `_settled` changes; what differs from it beyond the later ones was mutated.
        self._checkpoint = self.base
        self._settled = 0
        # The state is one or the other: encoded until somebody looks at it, and again from the end of the turn. What is
        # stored is decoded at once, so that damage is found before the handler runs.
        self._encoded = self.base
        self.state: State | None = None if stored is None else decode_state(self.base, self.id)

    # What the handler does, by way of its `Session`.

    def require_turn(self) -> None:
        """See that the turn still runs.

        Raises:
            TurnEndedError: it has ended.
        """
        if self.has_ended:
            raise TurnEndedError(self.id)

    def live_state(self) -> State:
        """Return the decoded state, the same dict each time."""
        if self.state is None:
            self.state = decode_state(self._encoded, self.id)
        return self.state

    def set_keys(self, patch: Mapping[str, Any]) -> None:
        """Set top-level keys."""
        self._apply(Merged.from_patch(patch))

    def compute(self, function: Callable[[State], Mapping[str, Any]], keys: Mapping[str, Any]) -> None:
        """Set what a function makes of the state, then some keys besides."""
        merged = Merged.from_patch(keys)
        # It may depend on what was mutated before it: that must be done before it again.
        self._settle()
        self._apply(Computed(function))
        self._mark_settled()
        self._apply(merged)

    def reset(self) -> None:
        """Set the whole state back to the initial state."""
        self._replace_state(self._initial)
        self._changes = [Reset(self._initial)]
        self._checkpoint = self._initial
        self._settled = 1

    def destroy(self) -> None:
        """Remove the session when the turn ends; what is set after this begins a new one."""
        self.reset()
        self.is_destroyed = True

    # What the engine does.

    def end(self) -> None:
        """Take the session out of the handler's hands."""
        self.has_ended = True

    def seal(self) -> bytes:
        """Return the encoded state as the handler has left it; what it still holds of it does not count any more.

        Raises:
            InvalidStateError: it holds something that is not JSON.
            CorruptSessionError: so did what was stored; the handler is not to blame.
        """
        try:
            self._encoded = self._encode()
        except InvalidStateError:
            check_stored(self.base, self.id)
            raise
        # Hundreds of turns wait for their saves at a time: without their objects, they cost no garbage collection.
        self.state = None
        return self._encoded

    def begun_at(self, now: int) -> int:
        """Return when the session to be saved at `now` began, both in Unix milliseconds."""
        return now if self.stored is None or self.is_destroyed else self.stored.created

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
            change.apply(self.live_state())
        self._mark_settled()

    def _encode(self) -> bytes:
        return self._encoded if self.state is None else encode_state(self.state)

    def _replace_state(self, encoded: bytes) -> None:
        # In place: the handler may hold the dict that `state` gave it.
        state = self.live_state()
        state.clear()
        state.update(decode_state(encoded, self.id))

    def _apply(self, change: Change) -> None:
        change.apply(self.live_state())
        self._changes.append(change)

    def _settle(self) -> None:
        """Turn what the handler has mutated in place into a change."""
        if self._settled == len(self._changes) and self._encode() == self._checkpoint:
            return
        expected = decode_state(self._checkpoint, self.id)
        for change in self._changes[self._settled :]:
            change.apply(expected)
        mutation = self._difference(expected, self.live_state(), self.id)
        if mutation is not None:
            self._changes.append(mutation)
        self._mark_settled()

    def _mark_settled(self) -> None:
        self._checkpoint = self._encode()
        self._settled = len(self._changes)
