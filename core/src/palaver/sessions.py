"""The sessions of one bot, as its author sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from palaver.codec import encode_state
from palaver.errors import InvalidOptionError
from palaver.session_ids import check_session_id
from palaver.turn import Engine, Turn

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from palaver.session import Session
    from palaver.store import SessionStore

__all__ = ("DEFAULT_MAX_PAYLOAD_BYTES", "Sessions")

DEFAULT_MAX_PAYLOAD_BYTES: Final = 1024 * 1024


class Sessions:
    """The sessions of one bot: the engine between handlers and a store.

    It belongs to one event loop. `async with sessions:` opens its store and closes it; without that, the store is
    opened by the first turn and is the caller's to close.

    Args:
        store: where sessions are kept.
        initial_state: what a new session starts with; copied for each.
        on_conflict: what to do when someone else saved a session during a turn: `"reapply"` the turn's changes to
            what they saved, or `"raise"` a `ConflictError`.
        max_attempts: how often a turn tries to save before it is a `ConflictError`.
        save_on_error: whether a turn whose handler raises an `Exception` saves what was changed until then.
        max_payload_bytes: how large an encoded session may be; the same for every store, so that a bot does not
            find out in production.

    Raises:
        InvalidStateError: the initial state is not JSON.
        InvalidOptionError: an option has no meaning.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        initial_state: Mapping[str, Any] | None = None,
        on_conflict: Literal["reapply", "raise"] = "reapply",
        max_attempts: int = 100,
        save_on_error: bool = False,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
    ) -> None:
        if on_conflict not in {"reapply", "raise"}:
            raise InvalidOptionError('it is "reapply" or "raise"', option="on_conflict")
        if max_attempts < 1:
            raise InvalidOptionError("a turn tries to save at least once", option="max_attempts")
        self._engine = Engine(
            store,
            max_attempts=max_attempts if on_conflict == "reapply" else 1,
            save_on_error=save_on_error,
            max_payload_bytes=_smaller(max_payload_bytes, store.capabilities.max_payload_bytes),
        )
        self.set_initial_state(initial_state or {})

    def __repr__(self) -> str:
        return f"<Sessions on {self.store!r}: {len(self._engine.queue)} in a turn>"

    @property
    def store(self) -> SessionStore:
        """Where sessions are kept."""
        return self._engine.store

    def set_initial_state(self, state: Mapping[str, Any]) -> None:
        """Set what a new session starts with; sessions that are stored keep what they have.

        Raises:
            InvalidStateError: it is not JSON.
        """
        self._engine.initial = encode_state(dict(state) if isinstance(state, Mapping) else state)

    def turn(self, session_id: str) -> AbstractAsyncContextManager[Session]:
        """Load a session, hand it out, and save what was changed.

        Turns of one session run one after another, in order of arrival. When the block raises, nothing is saved.

        Args:
            session_id: any text of 1 to 512 UTF-8 bytes without U+0000 or lone surrogates; bots use `platform:key`.

        Returns:
            A context manager that gives the `Session`. Entering and leaving it raise what the store raises, and:

        Raises:
            InvalidSessionIdError: there cannot be such an id.
            NestedTurnError: on entering, when the task is already in a turn of that session.
            InvalidStateError: on leaving, when the state holds something that is not JSON; nothing was saved.
            SessionTooLargeError: on leaving, when the session has grown too large; nothing was saved.
            ConflictError: on leaving, when others kept saving first; nothing was saved.
        """
        check_session_id(session_id, max_bytes=self._engine.max_id_bytes)
        return Turn(self._engine, session_id)

    async def init(self) -> Self:
        """Open the store; idempotent, and done by the first turn if by nobody else.

        Raises:
            StoreUnavailableError: the store cannot be opened.
        """
        await self._engine.init()
        return self

    async def close(self) -> None:
        """Close the store; idempotent."""
        await self._engine.store.close()

    async def __aenter__(self) -> Self:
        return await self.init()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _smaller(limit: int, other: int | None) -> int:
    return limit if other is None else min(limit, other)
