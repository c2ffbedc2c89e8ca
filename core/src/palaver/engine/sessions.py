"""The sessions of one bot, as its author sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, get_args, overload

from palaver.contract.session_ids import check_session_id
from palaver.contract.store import SessionStore
from palaver.discovery.drivers import open_store
from palaver.engine.joint_turn import JointTurn
from palaver.engine.snapshot import Snapshot
from palaver.engine.turn import Engine, OnConflict, Turn
from palaver.errors import InvalidOptionError, InvalidSessionIdError
from palaver.state.codec import encode_state

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from palaver.engine.session import Session

__all__ = ("DEFAULT_MAX_PAYLOAD_BYTES", "Sessions")

DEFAULT_MAX_PAYLOAD_BYTES: Final = 1024 * 1024
DEFAULT_PATIENCE: Final = 10.0


class Sessions:
    """The sessions of one bot: the engine between handlers and a store.

    It belongs to one event loop. `async with sessions:` opens its store and closes it; without that, the store is
    opened by the first turn and is the caller's to close.

    Args:
        store: where sessions are kept: a store, or its URL.
        initial_state: what a new session starts with; copied for each.
        on_conflict: what to do when someone else saved a session during a turn. `"merge"` puts both changes together,
            and raises `ConflictError` for what both changed. `"overwrite"` sets the top-level keys that the turn
            mutated, whatever the other saved. `"raise"` raises `ConflictError` at once.
        max_attempts: how often a turn tries to save before it is a `ConflictError`.
        save_on_error: whether a turn whose handler raises an `Exception` saves what was changed until then.
        max_payload_bytes: how large an encoded session may be; the same for every store, so that a bot does not
            find out in production.
        patience: for how many seconds each call is tried again while the store is unavailable, so that a server that
            restarts is not noticed; 0 never tries again. What does not pass by itself, as a wrong password, fails at
            once.

    Raises:
        InvalidStateError: the initial state is not JSON.
        InvalidOptionError: an option has no meaning.
    """

    def __init__(
        self,
        store: SessionStore | str,
        *,
        initial_state: Mapping[str, Any] | None = None,
        on_conflict: OnConflict = "merge",
        max_attempts: int = 100,
        save_on_error: bool = False,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
        patience: float = DEFAULT_PATIENCE,
    ) -> None:
        if on_conflict not in get_args(OnConflict):
            raise InvalidOptionError('it is "merge", "overwrite" or "raise"', option="on_conflict")
        if max_attempts < 1:
            raise InvalidOptionError("a turn tries to save at least once", option="max_attempts")
        store = _as_store(store)
        self._engine = Engine(
            store,
            on_conflict=on_conflict,
            max_attempts=max_attempts,
            save_on_error=save_on_error,
            max_payload_bytes=_smaller(_check_limit(max_payload_bytes), store.capabilities.max_payload_bytes),
            patience=_checked_seconds(patience, option="patience"),
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

    @overload
    def turn(self, session_id: str, /, *, timeout: float | None = None) -> AbstractAsyncContextManager[Session]: ...

    @overload
    def turn(
        self, session_id: str, another: str, /, *others: str, timeout: float | None = None
    ) -> AbstractAsyncContextManager[tuple[Session, ...]]: ...

    def turn(
        self, *session_ids: str, timeout: float | None = None
    ) -> AbstractAsyncContextManager[Session] | AbstractAsyncContextManager[tuple[Session, ...]]:
        """Load a session, or several, hand out what was loaded, and save what was changed.

        Turns of one session run one after another, in order of arrival. When the block raises, nothing is saved.
        Several sessions are read in one batch, and each is saved by itself: when one of them cannot be saved, the
        others may have been.

        Args:
            session_ids: any text of 1 to 512 UTF-8 bytes without U+0000 or lone surrogates; bots use `platform:key`.
            timeout: for how many seconds to wait until other turns of the sessions have ended; None is for ever.

        Returns:
            A context manager that gives the `Session`; of several ids a tuple, in their order. Entering and leaving it
            raise what the store raises, and:

        Raises:
            InvalidSessionIdError: there cannot be such an id, there is none, or one is given twice.
            InvalidOptionError: `timeout` is not a number of seconds.
            NestedTurnError: on entering, when the task is already in a turn of that session.
            TurnDeadlockError: on entering, when the turn that runs waits for one that this task is in.
            SessionBusyError: on entering, when the turn could not begin within `timeout`.
            InvalidStateError: on leaving, when the state holds something that is not JSON; nothing was saved.
            SessionTooLargeError: on leaving, when the session has grown too large; nothing was saved.
            ConflictError: on leaving, when someone else changed what the turn changed, or saved or destroyed what it
                destroyed; nothing was saved.
        """
        engine = self._engine
        for session_id in session_ids:
            check_session_id(session_id, max_bytes=engine.max_id_bytes)
        timeout = None if timeout is None else _checked_seconds(timeout, option="timeout")
        if len(session_ids) == 1:
            return Turn(engine, session_ids[0], timeout)
        _check_several(session_ids)
        return JointTurn(engine, session_ids, timeout)

    async def peek(self, session_id: str) -> Snapshot | None:
        """Look at a session without a turn: waits for no turn, changes nothing, and does not renew its life.

        Returns:
            The session as it is stored, or None when there is none.

        Raises:
            InvalidSessionIdError: there cannot be such an id.
            StoreUnavailableError: the store cannot be read.
            CorruptSessionError: what is stored cannot be understood.
        """
        engine = self._engine
        check_session_id(session_id, max_bytes=engine.max_id_bytes)
        if not engine.is_here:
            await engine.settle()
        record = await engine.patiently(partial(engine.store.read, session_id))
        return None if record is None else Snapshot.of(session_id, record)

    async def init(self) -> Self:
        """Open the store; idempotent, and done by the first turn if by nobody else.

        Raises:
            StoreUnavailableError: the store cannot be opened.
        """
        await self._engine.init()
        return self

    async def close(self, drain: float = 30) -> None:
        """Refuse new turns, let those that have begun end and save, and close the store; idempotent.

        Args:
            drain: for how many seconds turns may go on. Those that take longer are cancelled, save nothing, and are
                named in the log; 0 cancels them at once.

        Raises:
            InvalidOptionError: `drain` is not a number of seconds; nothing was closed.
        """
        await self._engine.close(_checked_seconds(drain, option="drain"))

    async def __aenter__(self) -> Self:
        return await self.init()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _check_several(session_ids: tuple[str, ...]) -> None:
    if not session_ids:
        raise InvalidSessionIdError("there is none; say whose turn it is")
    twice = next((each for number, each in enumerate(session_ids) if each in session_ids[:number]), None)
    if twice is not None:
        raise InvalidSessionIdError(f"{twice!r} is given twice, and a session has one turn at a time")


def _as_store(store: SessionStore | str) -> SessionStore:
    if isinstance(store, str):
        return open_store(store)
    if not isinstance(store, SessionStore):
        raise InvalidOptionError(
            f"it is of type {type(store).__name__}; give a store, or a URL such as 'sqlite:///bot.db'", option="store"
        )
    return store


def _checked_seconds(seconds: float, *, option: str) -> float:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds < math.inf:
        raise InvalidOptionError(f"{seconds!r} is not a number of seconds, 0 or more", option=option)
    return seconds


def _check_limit(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidOptionError(f"{limit!r} is not a number of bytes, 1 or more", option="max_payload_bytes")
    return limit


def _smaller(limit: int, other: int | None) -> int:
    return limit if other is None else min(limit, other)
