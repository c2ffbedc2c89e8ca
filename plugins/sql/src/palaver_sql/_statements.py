"""The statements on the table of sessions, and what its rows mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from palaver.errors import CorruptSessionError, InvalidSessionIdError
from palaver.record import Record
from palaver.session_ids import MAX_ID_BYTES, check_session_id, text_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import BindParameter, Connection, Table

    from palaver_sql._dialects import Dialect

__all__ = ("PURGE_SIZE", "Key", "Statements")

PURGE_SIZE: Final = 1000

_PAGE_SIZE: Final = 1000

# Below the number of variables that every SQLite takes in one statement: 999, before version 3.32.
_CHUNK_SIZE: Final = 500


@dataclass(frozen=True, slots=True)
class Key:
    """A session id, and when it expires."""

    session_id: str
    expires_at: int | None

    def is_expired(self, now: int) -> bool:
        """Tell whether the session is gone at the instant `now`."""
        return self.expires_at is not None and self.expires_at <= now


class Statements:
    """What is done with the sessions of one namespace, built once; each method is given the connection to use.

    Args:
        dialect: the database.
        table: the table of sessions.
        namespace: whose rows.
    """

    def __init__(self, dialect: Dialect, table: Table, namespace: str) -> None:
        self._dialect = dialect
        self._namespace = namespace
        column = table.c
        own = column.namespace == namespace
        one = and_(own, column.session_id == bindparam("key"))
        now: BindParameter[int] = bindparam("now")
        live = or_(column.expires_at.is_(None), column.expires_at > now)
        expired = select(column.session_id).where(own, column.expires_at <= now).limit(PURGE_SIZE)
        keys = select(column.session_id, column.expires_at).where(own).order_by(column.session_id).limit(_PAGE_SIZE)
        self._select = select(column.session_id, column.payload, column.version, column.expires_at).where(
            own, column.session_id.in_(bindparam("keys", expanding=True))
        )
        self._upsert = dialect.upsert(table)
        self._delete = delete(table).where(one)
        self._touch = update(table).where(one, live).values(expires_at=bindparam("new"))
        self._first_page = keys.where(column.session_id >= bindparam("start"))
        self._next_page = keys.where(column.session_id > bindparam("start"))
        self._purge = delete(table).where(own, column.session_id.in_(expired))
        self._count = select(func.count()).where(own, live)
        self._clear = delete(table).where(own)

    def select(self, connection: Connection, session_ids: Sequence[str]) -> dict[str, Record]:
        """Return the records of those ids that have one, expired or not."""
        records = {}
        for keys in _chunks(list(dict.fromkeys(session_ids))):
            rows = connection.execute(self._select, {"keys": keys})
            records.update({row[0]: self._record(*row) for row in rows})
        return records

    def upsert(self, connection: Connection, records: Mapping[str, Record]) -> None:
        """Store the records, whatever is there."""
        if records:
            connection.execute(self._upsert, [self._row(*item) for item in records.items()])

    def delete(self, connection: Connection, session_id: str) -> None:
        """Remove a row, whatever is in it."""
        connection.execute(self._delete, {"key": session_id})

    def touch(self, connection: Connection, session_id: str, expires_at: int | None, now: int) -> bool:
        """Move the expiry of a live row; tell whether there was one."""
        touched = connection.execute(self._touch, {"key": session_id, "new": expires_at, "now": now})
        return touched.rowcount > 0

    def page(self, connection: Connection, prefix: str, after: str | None) -> list[Key]:
        """Return the next keys in order, those that do not begin with the prefix at the end of them."""
        statement = self._first_page if after is None else self._next_page
        rows = connection.execute(statement, {"start": prefix if after is None else after})
        return [self._key(*row) for row in rows]

    def purge(self, connection: Connection, now: int) -> int:
        """Remove up to `PURGE_SIZE` expired rows; return how many."""
        return connection.execute(self._purge, {"now": now}).rowcount

    def clear(self, connection: Connection, now: int) -> int:
        """Remove all rows of the namespace; return how many were live."""
        live = connection.scalar(self._count, {"now": now})
        connection.execute(self._clear)
        return live or 0

    def _row(self, session_id: str, record: Record) -> dict[str, Any]:
        return {
            "namespace": self._namespace,
            "session_id": session_id,
            "payload": record.payload,
            "version": record.version,
            "expires_at": record.expires_at,
        }

    def _record(self, session_id: str, payload: Any, version: Any, expires_at: Any) -> Record:
        if type(payload) is not bytes:
            raise self._corrupt("its payload is not a BLOB", session_id)
        if type(version) is not str or text_fault(version, MAX_ID_BYTES) is not None:
            raise self._corrupt("its version is not text", session_id)
        return Record(payload, version, self._expiry(session_id, expires_at))

    def _key(self, session_id: Any, expires_at: Any) -> Key:
        try:
            check_session_id(session_id)
        except InvalidSessionIdError as error:
            raise CorruptSessionError(str(error), location=self._dialect.location) from error
        return Key(session_id, self._expiry(session_id, expires_at))

    def _expiry(self, session_id: str, expires_at: Any) -> int | None:
        if expires_at is None or type(expires_at) is int:
            return expires_at
        raise self._corrupt("its expires_at is not a whole number", session_id)

    def _corrupt(self, reason: str, session_id: str) -> CorruptSessionError:
        return CorruptSessionError(reason, session_id=session_id, location=self._dialect.location)


def _chunks(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _CHUNK_SIZE):
        yield keys[start : start + _CHUNK_SIZE]
