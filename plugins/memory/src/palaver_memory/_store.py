"""Sessions in memory: for one process, gone when it ends, the least recently used first when there are too many."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self, TypeAlias, Unpack

from palaver.errors import InvalidOptionError
from palaver.lifecycle import Lifecycle
from palaver.record import SwapDecision, decide_swap
from palaver.store import Capabilities, SessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from palaver.record import Absent, Record
    from palaver.store import StoreOptions

__all__ = ("MemorySessionStore",)

DEFAULT_MAX_SESSIONS: Final = 10_000

_Key: TypeAlias = tuple[str, str]

_logger = logging.getLogger(__name__)


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
        self._shelf = _shelf_named(name, _check_limit(max_sessions))
        self._lifecycle = Lifecycle(repr(self))
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
        self._lifecycle.require_open()
        return self._live(session_id)

    async def write(self, session_id: str, record: Record) -> None:
        self._lifecycle.require_open()
        self._shelf.put(self._key(session_id), record)

    async def destroy(self, session_id: str) -> None:
        self._lifecycle.require_open()
        self._shelf.records.pop(self._key(session_id), None)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        self._lifecycle.require_open()
        return self._swap(session_id, record, expected)

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        self._lifecycle.require_open()
        return [self._live(session_id) for session_id in session_ids]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        self._lifecycle.require_open()
        for session_id, record in items:
            self._shelf.put(self._key(session_id), record)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        self._lifecycle.require_open()
        return [self._swap(*item) for item in items]

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        self._lifecycle.require_open()
        live = self._live(session_id)
        if live is None:
            return False
        self._shelf.put(self._key(session_id), replace(live, expires_at=expires_at))
        return True

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        self._lifecycle.require_open()
        for session_id in [session_id for session_id, _ in self._own() if session_id.startswith(prefix)]:
            # Looked at once more: it may be gone since the scan began.
            record = self._shelf.records.get(self._key(session_id))
            if record is not None and not record.is_expired(self.clock.now()):
                yield session_id

    async def purge(self) -> int:
        self._lifecycle.require_open()
        now = self.clock.now()
        return self._remove([session_id for session_id, record in self._own() if record.is_expired(now)])

    async def clear(self) -> int:
        self._lifecycle.require_open()
        await self.purge()
        return self._remove([session_id for session_id, _ in self._own()])

    def _key(self, session_id: str) -> _Key:
        return self.namespace, session_id

    def _own(self) -> Iterator[tuple[str, Record]]:
        for (namespace, session_id), record in self._shelf.records.items():
            if namespace == self.namespace:
                yield session_id, record

    def _live(self, session_id: str) -> Record | None:
        record = self._shelf.get(self._key(session_id))
        return None if record is None or record.is_expired(self.clock.now()) else record

    def _swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        decision = decide_swap(self._live(session_id), record, expected)
        if decision is SwapDecision.STORE:
            self._shelf.put(self._key(session_id), record)
        return decision is not SwapDecision.REFUSE

    def _remove(self, session_ids: list[str]) -> int:
        for session_id in session_ids:
            del self._shelf.records[self._key(session_id)]
        return len(session_ids)


class _Shelf:
    """The records of one location, the least recently used first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.records: OrderedDict[_Key, Record] = OrderedDict()
        self._has_evicted = False

    def get(self, key: _Key) -> Record | None:
        record = self.records.get(key)
        if record is not None:
            self.records.move_to_end(key)
        return record

    def put(self, key: _Key, record: Record) -> None:
        self.records[key] = record
        self.records.move_to_end(key)
        if len(self.records) > self.limit:
            self._evict()

    def _evict(self) -> None:
        self.records.popitem(last=False)
        if self._has_evicted:
            return
        self._has_evicted = True
        _logger.warning(
            "more than %d sessions: the memory store forgets the least recently used from now on; "
            "raise max_sessions, or use a store that is not in memory",
            self.limit,
        )


# Named locations live as long as the process, as the name of a file lives as long as the disk.
_shelves: dict[str, _Shelf] = {}


def _shelf_named(name: str, limit: int | None) -> _Shelf:
    if not name:
        return _Shelf(limit or DEFAULT_MAX_SESSIONS)
    shelf = _shelves.setdefault(name, _Shelf(limit or DEFAULT_MAX_SESSIONS))
    if limit is not None and limit != shelf.limit:
        raise InvalidOptionError(f"memory://{name} keeps {shelf.limit} sessions already", option="max_sessions")
    return shelf


def _check_limit(limit: int | None) -> int | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidOptionError(f"{limit!r} is not a number of sessions, 1 or more", option="max_sessions")
    return limit
