"""The engine: loads, changes and saves sessions without losing an update.

Two rules hold everything up. In one process, the turns of a session run one after another (`TurnQueue`). Among
processes, a turn saves by compare-and-swap; when someone else saved first, it does its own changes again to what they
saved (`Session.rebase`) and tries once more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec

from palaver.codec import StoredSession, decode_session, encode_session, encode_state
from palaver.errors import ConflictError, InvalidOptionError, SessionTooLargeError
from palaver.record import ABSENT, Record, new_version
from palaver.round_trips import RoundTrips
from palaver.session import Session
from palaver.session_ids import check_session_id
from palaver.turn_queue import TurnQueue

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from palaver.store import SessionStore

__all__ = ("DEFAULT_MAX_PAYLOAD_BYTES", "Sessions")

DEFAULT_MAX_PAYLOAD_BYTES: Final = 1024 * 1024

_TOUCH_FRACTION: Final = 10
"""A turn that changed nothing renews the expiry once a tenth of the ttl has passed."""

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.25


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
        self._store = store
        self._max_attempts = max_attempts if on_conflict == "reapply" else 1
        self._save_on_error = save_on_error
        self._max_payload_bytes = _smaller(max_payload_bytes, store.capabilities.max_payload_bytes)
        self._queue = TurnQueue()
        self._round_trips = RoundTrips(store)
        self._is_ready = False
        self._initial = b"{}"
        self.set_initial_state(initial_state or {})

    def __repr__(self) -> str:
        return f"<Sessions on {self._store!r}: {len(self._queue)} in a turn>"

    @property
    def store(self) -> SessionStore:
        """Where sessions are kept."""
        return self._store

    def set_initial_state(self, state: Mapping[str, Any]) -> None:
        """Set what a new session starts with; sessions that are stored keep what they have.

        Raises:
            InvalidStateError: it is not JSON.
        """
        self._initial = encode_state(dict(state) if isinstance(state, Mapping) else state)

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
        check_session_id(session_id, max_bytes=self._store.capabilities.max_id_bytes)
        return _Turn(self, session_id)

    async def init(self) -> Self:
        """Open the store; idempotent, and done by the first turn if by nobody else.

        Raises:
            StoreUnavailableError: the store cannot be opened.
        """
        await self._store.init()
        self._is_ready = True
        return self

    async def close(self) -> None:
        """Close the store; idempotent."""
        await self._store.close()

    async def __aenter__(self) -> Self:
        return await self.init()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _begin(self, session_id: str) -> tuple[Session, Record | None]:
        await self._queue.enter(session_id)
        try:
            if not self._is_ready:
                await self.init()
            record = await self._read(session_id)
            session = Session(session_id, _unpack(record, session_id), self._initial, self._store.clock.now())
        except BaseException:
            self._queue.leave(session_id)
            raise
        return session, record

    async def _read(self, session_id: str) -> Record | None:
        return await self._round_trips.read(session_id, is_alone=self._is_alone)

    @property
    def _is_alone(self) -> bool:
        return len(self._queue) == 1

    async def _end(self, session: Session, record: Record | None, error: type[BaseException] | None) -> None:
        session.end()
        try:
            if error is None or (self._save_on_error and issubclass(error, Exception)):
                await self._save(session, record)
        finally:
            self._queue.leave(session.id)

    async def _save(self, session: Session, record: Record | None) -> None:
        """Save a turn: everything, or nothing."""
        for attempt in range(1, self._max_attempts + 1):
            if await self._try_to_save(session, record):
                return
            if attempt < self._max_attempts:
                await _pause(attempt)
                record = await self._read(session.id)
                session.rebase(_unpack(record, session.id))
        raise ConflictError(session.id, attempts=self._max_attempts)

    async def _try_to_save(self, session: Session, record: Record | None) -> bool:
        """Save to what `record` was read from; False when someone else was faster."""
        state = session.encode()
        if session.is_destroyed and state == self._initial:
            await self._store.destroy(session.id)
            return True
        if state == session.base and not session.is_destroyed:
            await self._keep_alive(session.id, record)
            return True
        return await self._store_record(session.id, self._pack(session, state), record)

    def _pack(self, session: Session, state: bytes) -> Record:
        now = self._store.clock.now()
        stored = StoredSession(
            id=session.id, created=session.begun_at(now), last_activity=now, state=msgspec.Raw(state)
        )
        payload = encode_session(stored)
        if len(payload) > self._max_payload_bytes:
            raise SessionTooLargeError(session.id, size=len(payload), limit=self._max_payload_bytes)
        return Record(payload, new_version(), self._store.expiry(now))

    async def _store_record(self, session_id: str, record: Record, former: Record | None) -> bool:
        if self._store.capabilities.swap:
            expected = ABSENT if former is None else former.version
            return await self._round_trips.swap(session_id, record, expected, is_alone=self._is_alone)
        # Without compare-and-swap the last writer wins among processes, as the store's author has declared.
        await self._store.write(session_id, record)
        return True

    async def _keep_alive(self, session_id: str, record: Record | None) -> None:
        """Renew the expiry of a session that a turn did not change, when that is worth a round trip.

        If it is gone by now, or someone else has saved it, there is nothing to renew.
        """
        if record is None or not self._is_worth_renewing(record):
            return
        expires_at = self._store.expiry(self._store.clock.now())
        if self._store.capabilities.touch:
            await self._store.touch(session_id, expires_at)
        else:
            await self._store_record(session_id, Record(record.payload, new_version(), expires_at), record)

    def _is_worth_renewing(self, record: Record) -> bool:
        now = self._store.clock.now()
        expires_at = self._store.expiry(now)
        if expires_at is None or record.expires_at is None:
            return expires_at is not record.expires_at
        return abs(expires_at - record.expires_at) * _TOUCH_FRACTION >= expires_at - now


class _Turn:
    """One turn, as a context manager."""

    __slots__ = ("_record", "_session", "_session_id", "_sessions")

    def __init__(self, sessions: Sessions, session_id: str) -> None:
        self._sessions = sessions
        self._session_id = session_id

    async def __aenter__(self) -> Session:
        self._session, self._record = await self._sessions._begin(self._session_id)  # noqa: SLF001  # one engine
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sessions._end(self._session, self._record, kind)  # noqa: SLF001  # one engine


def _unpack(record: Record | None, session_id: str) -> StoredSession | None:
    return None if record is None else decode_session(record.payload, session_id)


def _smaller(limit: int, other: int | None) -> int:
    return limit if other is None else min(limit, other)


async def _pause(attempt: int) -> None:
    """Wait a random time that grows with each attempt, so that rivals do not meet again.

    Full jitter, after M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    await asyncio.sleep(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)))  # noqa: S311  # no secret
