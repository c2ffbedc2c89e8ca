"""Sessions in memory: for one process, gone when it ends, the least recently used first when there are too many."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self, Unpack

from palaver.contract.record import SwapDecision, decide_swap
from palaver.contract.store import Capabilities, SessionStore
from palaver.errors import InvalidOptionError
from palaver.toolkit.lifecycle import Lifecycle
from palaver_memory._shelf import shelf_named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from palaver.contract.record import Absent, Record
    from palaver.contract.store import StoreOptions
    from palaver_memory._shelf import Key, Shelf

__all__ = ("MemorySessionStore",)

_NO_LOCK: Final[AbstractContextManager[None]] = nullcontext()


class MemorySessionStore(SessionStore):
    """Keeps sessions in this process, and forgets the least recently used when there are too many.

    Args:
        name: stores with the same name share their sessions, within the process and for as long as it runs; without
            a name, a store has its sessions for itself.
        max_sessions: how many sessions to keep, in all namespaces together; 10,000 unless the name has its limit
            already.
        **options: `ttl`, `namespace` and `clock`, as for every store.

    Raises:
        InvalidOptionError: `max_sessions` is not a positive number, or not the one that the name has already.
    """

    batches_in_flight = 0

    def __init__(self, name: str = "", *, max_sessions: int | None = None, **options: Unpack[StoreOptions]) -> None:
        super().__init__(**options)
        self._name = name
        self._shelf = shelf_named(name, _check_limit(max_sessions))
        self._lifecycle = Lifecycle(repr(self), self._open)
        self.capabilities = Capabilities(
            swap=True, batch=True, touch=True, scan=True, purge=True, clear=True, shared=bool(name)
        )

    def __repr__(self) -> str:
        return f"<MemorySessionStore {self._name!r}>" if self._name else "<MemorySessionStore>"

    async def init(self) -> Self:
        await self._lifecycle.open()
        return self

    async def close(self) -> None:
        await self._lifecycle.close()

    async def read(self, session_id: str) -> Record | None:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        if shelf.lock is None:
            return self._live(shelf, session_id)
        with shelf.lock:
            return self._live(shelf, session_id)

    async def write(self, session_id: str, record: Record) -> None:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            shelf.put(self._key(session_id), record)

    async def destroy(self, session_id: str) -> None:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            shelf.remove(self._key(session_id))

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        if shelf.lock is None:
            return self._swap(shelf, session_id, record, expected)
        with shelf.lock:
            return self._swap(shelf, session_id, record, expected)

    async def remove(self, session_id: str, expected: str) -> bool:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            live = self._live(shelf, session_id)
            if live is None or live.version != expected:
                return False
            shelf.remove(self._key(session_id))
            return True

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            return [self._live(shelf, session_id) for session_id in session_ids]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            for session_id, record in items:
                shelf.put(self._key(session_id), record)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            return [self._swap(shelf, *item) for item in items]

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            live = self._live(shelf, session_id)
            if live is None:
                return False
            shelf.put(self._key(session_id), replace(live, expires_at=expires_at))
            return True

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            session_ids = shelf.ids(self.namespace)
        for session_id in session_ids:
            # Looked at only now, for it may have gone since the scan began.
            if session_id.startswith(prefix) and self._is_live(shelf, session_id):
                yield session_id

    async def purge(self) -> int:
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            return shelf.purge(self.namespace, self.clock.now())

    async def clear(self) -> int:
        await self.purge()
        shelf = self._lifecycle.here or await self._lifecycle.enter()
        with shelf.lock or _NO_LOCK:
            return shelf.clear(self.namespace)

    async def _open(self) -> Shelf:
        return self._shelf

    def _key(self, session_id: str) -> Key:
        return self.namespace, session_id

    def _is_live(self, shelf: Shelf, session_id: str) -> bool:
        record = shelf.peek(self._key(session_id))
        return record is not None and not record.is_expired(self.clock.now())

    def _live(self, shelf: Shelf, session_id: str) -> Record | None:
        record = shelf.get(self._key(session_id))
        return None if record is None or record.is_expired(self.clock.now()) else record

    def _swap(self, shelf: Shelf, session_id: str, record: Record, expected: str | Absent) -> bool:
        decision = decide_swap(self._live(shelf, session_id), record, expected)
        if decision is SwapDecision.STORE:
            shelf.put(self._key(session_id), record)
        return decision is not SwapDecision.REFUSE


def _check_limit(limit: int | None) -> int | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidOptionError(f"{limit!r} is not a number of sessions, 1 or more", option="max_sessions")
    return limit
