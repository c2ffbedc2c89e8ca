"""One turn: loads, changes and saves a session without losing an update.

Two rules hold everything up. In one process, the turns of a session run one after another (`TurnQueue`). Among
processes, a turn saves by compare-and-swap; when someone else saved first, it re-applies its own changes to what they
saved (`WorkingCopy.rebase`) and tries once more. What cannot be re-applied without losing something is a
`ConflictError`.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, TypeVar

from msgspec import Raw

from palaver.contract.record import ABSENT, Record, new_version
from palaver.engine.changes import Assigned, Mutated
from palaver.engine.keep_alive import HORIZON, KeepAlive
from palaver.engine.patience import Patience
from palaver.engine.round_trips import RoundTrips
from palaver.engine.session import Session
from palaver.engine.turn_queue import TurnQueue
from palaver.engine.working_copy import WorkingCopy
from palaver.errors import (
    ConflictError,
    SessionTooLargeError,
    StoreClosedError,
    StoreUnavailableError,
    WrongLoopError,
)
from palaver.state.codec import StoredSession, decode_session, encode_session
from palaver.toolkit.forks import watch_forks
from palaver.toolkit.lifecycle import plain_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

    from palaver.contract.store import SessionStore
    from palaver.engine.changes import Difference

__all__ = ("Engine", "OnConflict", "Turn")

T = TypeVar("T")

OnConflict: TypeAlias = Literal["merge", "overwrite", "raise"]

_TOUCH_FRACTION: Final = 10
"""A turn that changed nothing renews the expiry once a tenth of the ttl has passed."""

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.25


class Engine:
    """What all turns of one bot share.

    Args:
        store: where sessions are kept.
        on_conflict: what to do when someone else saved a session during a turn.
        max_attempts: how often a turn tries to save.
        save_on_error: whether a turn whose handler raises an `Exception` saves what was changed until then.
        max_payload_bytes: how large an encoded session may be.
        patience: for how many seconds a call is tried again while the store is unavailable.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        on_conflict: OnConflict,
        max_attempts: int,
        save_on_error: bool,
        max_payload_bytes: int,
        patience: float,
    ) -> None:
        self.store = store
        self.on_conflict = on_conflict
        self.difference: Difference = Assigned.between if on_conflict == "overwrite" else Mutated.between
        self.max_attempts = max_attempts
        self.save_on_error = save_on_error
        self.max_payload_bytes = max_payload_bytes
        self.max_id_bytes = store.capabilities.max_id_bytes
        self.can_swap = store.capabilities.swap
        self.queue = TurnQueue()
        self.round_trips = RoundTrips(store)
        self.patience = Patience(patience)
        self.initial = b"{}"
        """The encoded initial state."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        """The thread of the event loop, once the store is open there."""
        self._is_closed = False
        watch_forks(self)

    @property
    def is_here(self) -> bool:
        """Whether the store is open in the running event loop, as far as the engine knows."""
        # As `Lifecycle.here` finds out, and for the same reason.
        return self._thread == get_ident() and self._loop is not None and self._loop.is_running()

    async def init(self) -> None:
        """Open the store."""
        self._is_closed = False
        await self.settle()

    async def close(self, drain: float) -> None:
        """Refuse new turns, let those that run end, and close the store; only `init` opens it again.

        Args:
            drain: for how many seconds turns may go on until they are cancelled.
        """
        if self._loop is asyncio.get_running_loop():
            self._is_closed, self._thread = True, None
            await self.queue.drain(drain)
        await self.store.close()
        self._is_closed = True

    async def settle(self) -> None:
        """Be in the running event loop: open the store here, and leave behind the turns of a loop that has ended.

        Raises:
            StoreClosedError: it was closed.
            WrongLoopError: turns run in another event loop, or the store is open there.
        """
        loop = asyncio.get_running_loop()
        if self._is_closed and self._loop is loop and self.queue.is_in_a_turn(asyncio.current_task()):
            return  # a turn that has begun may open others until it ends
        if self._is_closed:
            raise StoreClosedError(plain_name(repr(self.store)))
        if self._loop is not loop:
            if self._loop is not None and self._loop.is_running():
                raise WrongLoopError(plain_name(repr(self.store)))
            self._loop, self.queue, self.round_trips = loop, TurnQueue(loop), RoundTrips(self.store)
        await self.patiently(self.store.init)
        if self._is_closed:
            raise StoreClosedError(plain_name(repr(self.store)))
        self._thread = get_ident()

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that may be made twice, and try again while the store is unavailable."""
        try:
            return await call()
        except StoreUnavailableError as error:
            return await self.patience.again(call, error)

    def leave_to_parent(self) -> object:
        """Have no turns, and be in no event loop: in a forked process."""
        left = self._loop, self.queue, self.round_trips
        self._thread = self._loop = None
        return left


class Turn:
    """One turn: loads a session, hands it out, and saves what was changed.

    This runs for every message, so that what seldom has to wait is decided without a coroutine of its own.
    """

    __slots__ = ("_copy", "_engine", "_id", "_is_lost", "_keep_alive", "_record", "_timeout")

    _copy: WorkingCopy

    def __init__(self, engine: Engine, session_id: str, timeout: float | None = None) -> None:
        self._engine = engine
        self._id = session_id
        self._timeout = timeout
        self._record: Record | None = None
        self._is_lost = False
        """Whether somebody has destroyed what the record was, before it could expire."""
        self._keep_alive: KeepAlive | None = None

    def __enter__(self) -> NoReturn:
        raise TypeError("a turn waits for its store: write `async with sessions.turn(...)`, not `with`")

    def __exit__(self, *_: object) -> None:
        """Never called: Python looks for it before it calls `__enter__`, which says what is wrong."""

    def __aenter__(self) -> Coroutine[Any, Any, Session]:
        engine = self._engine
        if engine.is_here and engine.queue.enter_at_once(self._id):
            return self.load()
        return self._enter_and_load()

    async def _enter_and_load(self) -> Session:
        await self.enter(self._timeout)
        return await self.load()

    async def enter(self, timeout: float | None) -> None:  # noqa: ASYNC109  # it has its error
        """Wait until the turn may begin; `load` comes next."""
        engine = self._engine
        if not engine.is_here:
            await engine.settle()
        await engine.queue.enter(self._id, timeout)

    async def load(self) -> Session:
        """Load the session of a turn that was entered; if that fails, the turn is over."""
        try:
            try:
                record = await self._read()
            except StoreUnavailableError as unavailable:
                record = await self._engine.patience.again(self._read, unavailable)
            self._begin(record)
        except BaseException as error:
            self.leave(error)
            raise
        return Session(self._copy)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._copy.end()
        try:
            if self._keep_alive is not None:
                await self._stop(self._keep_alive)
            if kind is None or (self._engine.save_on_error and issubclass(kind, Exception)):
                saving = self._what_to_save()
                if saving is not None:
                    # Not `_save`, which would cost each turn a coroutine more.
                    try:
                        is_saved = await saving()
                    except StoreUnavailableError as unavailable:
                        is_saved = await self._save_late(saving, unavailable)
                    if not is_saved:
                        await self._save_again()
        except BaseException as failure:
            self.leave(failure)
            raise
        self._engine.queue.leave(self._id)

    def abandon(self, error: BaseException) -> None:
        """End a turn whose session was loaded, because something else has failed, and save nothing."""
        self._copy.end()
        if self._keep_alive is not None:
            self._keep_alive.stop_soon()
        self.leave(error)

    def leave(self, error: BaseException) -> None:
        """End a turn that has failed, and save nothing."""
        queue = self._engine.queue
        if isinstance(error, StoreUnavailableError):
            # Those who have waited for this turn would now wait for the same dead store, one after another.
            queue.fail_waiting(self._id, error)
        queue.leave(self._id)

    def _begin(self, record: Record | None) -> None:
        engine = self._engine
        now = engine.store.clock.now()
        self._record = record
        self._copy = WorkingCopy(self._id, _unpack(record, self._id), engine.initial, now, engine.difference)
        expires_at = None if record is None else record.expires_at
        if expires_at is not None and expires_at - now <= HORIZON and engine.store.capabilities.touch:
            self._keep_alive = KeepAlive(engine.store, self._id, expires_at)

    async def _stop(self, keep_alive: KeepAlive) -> None:
        await keep_alive.stop()
        self._is_lost = keep_alive.is_lost
        if self._record is not None:
            self._record = replace(self._record, expires_at=keep_alive.expires_at)

    def _read(self) -> Awaitable[Record | None]:
        return self._engine.round_trips.read(self._id, is_alone=self._engine.queue.is_alone)

    async def _save(self, saving: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await saving()
        except StoreUnavailableError as error:
            return await self._save_late(saving, error)

    async def _save_late(self, saving: Callable[[], Awaitable[bool]], error: StoreUnavailableError) -> bool:
        """Save what could not be saved at once; a save whose answer was lost is known by its version (law SWAP-03).

        Raises:
            StoreUnavailableError: the store stays unavailable, or whether it has saved cannot be found out.
        """
        if await self._engine.patience.again(saving, error):
            return True
        reason = "the answer to a save was lost, and someone else has saved since: whether it was done is not known"
        raise StoreUnavailableError(reason, session_id=self._id, retryable=False) from error

    async def _save_again(self) -> None:
        """Save to what someone else has saved meanwhile, everything or nothing.

        Raises:
            ConflictError: the turn's changes do not fit to what someone else did, or others were faster at each
                attempt.
        """
        attempts = self._engine.max_attempts
        for attempt in range(1, attempts):
            await _pause(attempt)
            await self._catch_up()
            saving = self._what_to_save()
            if saving is None or await self._save(saving):
                return
        raise ConflictError(self._id, attempts=attempts)

    async def _catch_up(self) -> None:
        """Re-apply the turn's changes to what is stored now.

        Raises:
            ConflictError: they do not fit to it.
        """
        has_expired = self._has_expired()
        self._record = await self._engine.patiently(self._read)
        self._is_lost = False
        if self._record is None and has_expired and not self._copy.is_destroyed:
            # As far as is known nobody else was there: the session expired while its handler ran, and is saved as the
            # handler saw it. Whoever destroys it must know: somebody may have destroyed it before it expired.
            return
        if self._engine.on_conflict == "raise" or not self._can_be_rebased():
            raise ConflictError(self._id)
        self._copy.rebase(_unpack(self._record, self._id))

    def _can_be_rebased(self) -> bool:
        # Who destroys a session destroys what the handler saw, and nothing else.
        return self._engine.on_conflict == "overwrite" or not self._copy.is_destroyed

    def _what_to_save(self) -> Callable[[], Awaitable[bool]] | None:
        """Return the call that saves to what the record was read from; None when there is nothing to save.

        Its answer is False when someone else was faster. It may be made again, as long as it has failed.
        """
        copy = self._copy
        state = copy.seal()
        if copy.is_destroyed:
            if state == self._engine.initial:
                return None if self._finds_nothing() else self._destroy
        elif state == copy.base:
            return self._keep_unchanged()
        return partial(self._store_record, self._pack(state))

    def _pack(self, state: bytes) -> Record:
        engine = self._engine
        now = engine.store.clock.now()
        payload = encode_session(StoredSession(self._id, self._copy.begun_at(now), now, Raw(state)))
        if len(payload) > engine.max_payload_bytes:
            raise SessionTooLargeError(self._id, size=len(payload), limit=engine.max_payload_bytes)
        return Record(payload, new_version(), engine.store.expiry(now))

    def _store_record(self, record: Record) -> Awaitable[bool]:
        engine = self._engine
        if not engine.can_swap:
            return self._write(record)
        expected = ABSENT if self._record is None or self._has_expired() else self._record.version
        return engine.round_trips.swap(self._id, record, expected, is_alone=engine.queue.is_alone)

    async def _write(self, record: Record) -> bool:
        """Save without compare-and-swap: the last writer wins among processes, as the store's author has declared."""
        await self._engine.store.write(self._id, record)
        return True

    async def _destroy(self) -> bool:
        """Destroy what the record was read from, or whatever is there."""
        if self._record is not None and self._compares():
            return await self._engine.store.remove(self._id, self._record.version)
        await self._engine.store.destroy(self._id)
        return True

    def _finds_nothing(self) -> bool:
        """Tell whether there was nothing to destroy, and what somebody may have saved since is not to be destroyed."""
        return self._record is None and self._compares()

    def _compares(self) -> bool:
        return self._engine.can_swap and self._engine.on_conflict != "overwrite"

    def _has_expired(self) -> bool:
        record = self._record
        return record is not None and not self._is_lost and record.is_expired(self._engine.store.clock.now())

    def _keep_unchanged(self) -> Callable[[], Awaitable[bool]] | None:
        """Return the call that renews the expiry of a session that did not change, when that is worth a round trip."""
        store, record = self._engine.store, self._record
        if record is None:
            return None
        now = store.clock.now()
        expires_at = store.expiry(now)
        if not _is_worth_renewing(record, expires_at, now):
            return None
        return partial(self._renew, record, expires_at)

    async def _renew(self, record: Record, expires_at: int | None) -> bool:
        """Renew the expiry; if the session is gone by now, or someone else has saved it, there is nothing to renew."""
        store = self._engine.store
        if store.capabilities.touch and not self._has_expired():
            await store.touch(self._id, expires_at)
        elif self._engine.can_swap or await self._is_still_there(record):
            await self._store_record(Record(record.payload, new_version(), expires_at))
        return True

    async def _is_still_there(self, record: Record) -> bool:
        """Look once more, where nothing else keeps a turn that only reads from undoing what someone else saved."""
        found = await self._engine.store.read(self._id)
        return found is not None and found.version == record.version


def _is_worth_renewing(record: Record, expires_at: int | None, now: int) -> bool:
    if expires_at is None or record.expires_at is None:
        return expires_at is not record.expires_at
    # Never shortened: the clock may have gone back.
    return (expires_at - record.expires_at) * _TOUCH_FRACTION >= expires_at - now


def _unpack(record: Record | None, session_id: str) -> StoredSession | None:
    return None if record is None else decode_session(record.payload, session_id)


async def _pause(attempt: int) -> None:
    """Wait a random time that grows with each attempt, so that rivals do not meet again.

    Full jitter, after M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    await asyncio.sleep(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)))  # noqa: S311  # no secret
