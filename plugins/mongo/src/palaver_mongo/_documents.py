"""What a session looks like in MongoDB, and how a document is understood."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64

from palaver.contract.record import Record
from palaver.errors import CorruptSessionError
from palaver.toolkit.due import grain
from palaver_mongo._state import native_state

if TYPE_CHECKING:
    from palaver.contract.clock import Clock
    from palaver_mongo._client import Document

__all__ = ("DOCUMENT_BYTES", "DUE_AT", "EXPIRE_DATE", "FIELDS", "Documents", "session_id_of")

DUE_AT: Final = "due_at"
EXPIRE_DATE: Final = "expire_date"

FIELDS: Final = ("payload", "version", "expires_at")
"""What a record is read from; all else is for people and for the server."""

DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""The size of the largest document."""

_logger = logging.getLogger(__name__)

# The end of the year 9999: dates after that are nothing that people's tools can show, nor worth collecting.
_LAST_DATE: Final = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of one namespace.

    Args:
        namespace: whose.
        clock: what time it is for the store.
        location: where they are, for messages.
    """

    namespace: str
    clock: Clock
    location: str

    def key(self, session_id: object) -> Document:
        """Return the `_id` of a session; ids of one namespace are in the order of their UTF-8 bytes."""
        return {"namespace": self.namespace, "id": session_id}

    def document(self, session_id: str, record: Record) -> Document:
        """Return the document of a session."""
        state = native_state(session_id, record.payload)
        return {
            "_id": self.key(session_id),
            "payload": record.payload,
            "version": record.version,
            **self.expiry(record.expires_at),
            **({} if state is None else {"state": state}),
        }

    def expiry(self, expires_at: int | None) -> Document:
        """Return the fields of an expiry: the exact one, and from when on a purge and the server look at the document.

        Where there is no use of them, the last two are missing.
        """
        if expires_at is None:
            return {"expires_at": None}
        time_left = expires_at - self.clock.now()
        # So that both indexes stay as they are when a session in use is saved again.
        coarse = grain(time_left)
        # The server counts by its own clock, so it gets the time that is left, from now on.
        date = time.time_ns() // 1_000_000 + time_left
        date += -date % coarse
        return {
            "expires_at": Int64(expires_at),
            DUE_AT: Int64(expires_at - expires_at % coarse),
            **({EXPIRE_DATE: DatetimeMS(max(date, 0))} if date <= _LAST_DATE else {}),
        }

    def record(self, document: Document) -> Record:
        """Understand a document.

        Raises:
            CorruptSessionError: it is not a session's.
        """
        payload, version, expires_at = map(document.get, FIELDS)
        if type(payload) is not bytes:
            raise self._damaged(document, "its payload is not binary data")
        if type(version) is not str:
            raise self._damaged(document, "its version is not text")
        if "expires_at" not in document or not (expires_at is None or type(expires_at) in (int, Int64)):
            raise self._damaged(document, "its expires_at is neither a whole number nor null")
        return Record(payload, version, None if expires_at is None else int(expires_at))

    def listed(self, document: Document) -> tuple[str, Record] | None:
        """Understand a document of a page; None, with a warning in the log, when it is not a session's."""
        if document["_id"] != self.key(session_id_of(document)):
            return None  # somebody's own, with a key that no session has
        payload = b"" if document.get("payload") == "binData" else None
        try:
            return session_id_of(document), self.record({**document, "payload": payload})
        except CorruptSessionError as error:
            _logger.warning("%s", error)
            return None

    def _damaged(self, document: Document, reason: str) -> CorruptSessionError:
        return CorruptSessionError(reason, session_id=session_id_of(document), location=self.location)


def session_id_of(document: Document) -> str:
    """Return the session id of a document whose key is that of a session."""
    session_id: str = document["_id"].get("id")
    return session_id
