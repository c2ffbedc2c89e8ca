"""The records of one location: the least recently used first, and of each namespace by expiry."""

from __future__ import annotations

import logging
from collections import OrderedDict, defaultdict
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias

from palaver.errors import InvalidOptionError
from palaver_memory._calendar import Calendar

if TYPE_CHECKING:
    from palaver.contract.record import Record

__all__ = ("Key", "Shelf", "shelf_named")

DEFAULT_MAX_SESSIONS: Final = 10_000

Key: TypeAlias = tuple[str, str]
"""The namespace and the session id."""

_logger = logging.getLogger(__name__)


class Shelf:
    """The records of one location.

    Args:
        limit: how many records to keep.
        lock: for the stores of a name, which may be in several threads; a store without a name is alone.
    """

    def __init__(self, limit: int, lock: Lock | None = None) -> None:
        self.limit = limit
        self.lock = lock
        """To be held for each step, where there is one."""
        self._records: OrderedDict[Key, Record] = OrderedDict()
        # Each record is in the calendar of its namespace, with its expiry; a calendar holds nothing else.
        self._calendars: defaultdict[str, Calendar] = defaultdict(Calendar)
        self._has_evicted = False

    def peek(self, key: Key) -> Record | None:
        """Return a record; that is no use of it."""
        return self._records.get(key)

    def get(self, key: Key) -> Record | None:
        """Return a record, which is now the one that was used last."""
        record = self._records.get(key)
        if record is not None:
            self._records.move_to_end(key)
        return record

    def put(self, key: Key, record: Record) -> None:
        """Store a record, which is now the one that was used last."""
        namespace, session_id = key
        former = self._records.get(key)
        self._records[key] = record
        if former is None:
            self._calendars[namespace].add(session_id, record.expires_at)
            if len(self._records) > self.limit:
                self._evict()
            return
        self._calendars[namespace].move(session_id, former.expires_at, record.expires_at)
        self._records.move_to_end(key)

    def remove(self, key: Key) -> None:
        """Remove a record if it is there."""
        record = self._records.pop(key, None)
        if record is not None:
            self._calendars[key[0]].remove(key[1], record.expires_at)

    def purge(self, namespace: str, now: int) -> int:
        """Remove what has expired, looking only at what is due, and tell how many records."""
        calendar = self._calendars[namespace]
        removed = 0
        for session_id in calendar.take_due(now):
            record = self._records[namespace, session_id]
            if record.is_expired(now):
                del self._records[namespace, session_id]
                removed += 1
            else:
                calendar.add(session_id, record.expires_at)
        return removed

    def clear(self, namespace: str) -> int:
        """Remove a namespace, and tell how many records."""
        session_ids = self.ids(namespace)
        for session_id in session_ids:
            del self._records[namespace, session_id]
        self._calendars.pop(namespace, None)
        return len(session_ids)

    def ids(self, namespace: str) -> list[str]:
        """List the sessions of a namespace, expired ones too."""
        return list(self._calendars[namespace])

    def _evict(self) -> None:
        (namespace, session_id), record = self._records.popitem(last=False)
        self._calendars[namespace].remove(session_id, record.expires_at)
        if self._has_evicted:
            return
        self._has_evicted = True
        _logger.warning(
            "more than %d sessions: the memory store forgets the least recently used from now on; "
            "raise max_sessions, or use a store that is not in memory",
            self.limit,
        )


# Named locations live as long as the process, as the name of a file lives as long as the disk.
_shelves: dict[str, Shelf] = {}


def shelf_named(name: str, limit: int | None) -> Shelf:
    """Return the shelf of a name, or a new one where there is no name.

    Raises:
        InvalidOptionError: the name has another limit already.
    """
    if not name:
        return Shelf(limit or DEFAULT_MAX_SESSIONS)
    shelf = _shelves.setdefault(name, Shelf(limit or DEFAULT_MAX_SESSIONS, lock=Lock()))
    if limit is not None and limit != shelf.limit:
        raise InvalidOptionError(f"memory://{name} keeps {shelf.limit} sessions already", option="max_sessions")
    return shelf
