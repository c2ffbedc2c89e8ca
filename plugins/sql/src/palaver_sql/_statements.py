"""The statements on the table of sessions, and what its rows mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.exc import DBAPIError

from palaver.due import due_at
from palaver.errors import CorruptSessionError, InvalidSessionIdError
from palaver.record import ABSENT, Record, SwapDecision, decide_swap
from palaver.session_ids import MAX_ID_BYTES, check_session_id, text_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from sqlalchemy import BindParameter, Connection, Table

    from palaver.clock import Clock
    from palaver.record import Absent
    from palaver_sql._dialects import Dialect

    Swap: TypeAlias = tuple[str, Record, str | Absent]

__all__ = ("PIECE", "Key", "Statements", "chunks", "decide_swaps", "transaction")

PIECE: Final = 1000
"""How many rows one statement removes at most, so that others can write in between."""

_PAGE_SIZE: Final = 1000

# How many keys one statement names: the database has to understand each of them anew.
_CHUNK_SIZE: Final = 500


@dataclass(frozen=True, slots=True)
class Key:
    """A session id, and when it expires."""

    session_id: str
    expires_at: int | None

    def is_expired(self, now: int) -> bool:
        """Tell whether the session is gone at the instant `now`."""
        return self.expires_at is not None and self.expires_at <= now


class Statements(ABC):
    """What is done with the sessions of one namespace, built once; each method is given the connection to use.

    Args:
        dialect: the database.
        table: the table of sessions.
        namespace: whose rows.
        clock: what time it is.
    """

    def __init__(self, dialect: Dialect, table: Table, namespace: str, clock: Clock) -> None:
        self._dialect = dialect
        self._table = table
        self._namespace = namespace
        self._clock = clock
        column = table.c
        self._own = column.namespace == namespace
        one = and_(self._own, column.session_id == bindparam("key"))
        now: BindParameter[int] = bindparam("now")
        self._live = or_(column.expires_at.is_(None), column.expires_at > now)
        self._expired = and_(column.due_at <= now, column.expires_at <= now)
        keys = select(column.session_id, column.expires_at).where(self._own).order_by(column.session_id)
        self._select = select(column.session_id, column.payload, column.version, column.expires_at).where(
            self._own, column.session_id.in_(bindparam("keys", expanding=True))
        )
        self._delete = delete(table).where(one)
        self._touch = update(table).where(one, self._live).values(expires_at=bindparam("new"), due_at=bindparam("due"))
        self._replace = (
            update(table)
            .where(one, column.version == bindparam("old"), self._live)
            .values(
                payload=bindparam("new"),
                version=bindparam("new_version"),
                expires_at=bindparam("new_expiry"),
                due_at=bindparam("due"),
            )
        )
        self._first_page = keys.where(column.session_id >= bindparam("start")).limit(_PAGE_SIZE)
        self._next_page = keys.where(column.session_id > bindparam("start")).limit(_PAGE_SIZE)
        self._remove_expired = self._remover(self._expired)
        self._remove_live = self._remover(self._live)

    @abstractmethod
    def upsert(self, connection: Connection, records: Mapping[str, Record]) -> None:
        """Store the records, whatever is there."""

    @abstractmethod
    def swap(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool]:
        """Decide each swap, in order, and store what is decided."""

    @abstractmethod
    def _remover(self, which: Any) -> Any:
        """Return the statement that removes a piece of those rows, at a cost that does not grow with all others."""

    def select(self, connection: Connection, session_ids: Iterable[str]) -> dict[str, Record]:
        """Return the records of those ids that have one, expired or not."""
        records = {}
        for keys in chunks(list(dict.fromkeys(session_ids)), _CHUNK_SIZE):
            rows = connection.execute(self._select, {"keys": keys}).all()
            records.update({row[0]: self._record(*row) for row in rows})
        return records

    def delete(self, connection: Connection, session_id: str) -> None:
        """Remove a row, whatever is in it."""
        connection.execute(self._delete, {"key": session_id})

    def touch(self, connection: Connection, session_id: str, expires_at: int | None) -> bool:
        """Move the expiry of a live row; tell whether there was one."""
        now = self._clock.now()
        row = {"key": session_id, "new": expires_at, "due": due_at(expires_at, now), "now": now}
        return connection.execute(self._touch, row).rowcount > 0

    def swap_at_once(self, connection: Connection, session_id: str, record: Record, expected: str | Absent) -> bool:
        """Do what most swaps come to, in one plain statement; False means that nothing is decided yet."""
        if expected is ABSENT or expected == record.version:
            return False
        now = self._clock.now()
        row = {"key": session_id, "old": expected, "now": now, "due": due_at(record.expires_at, now)}
        new = {"new": record.payload, "new_version": record.version, "new_expiry": record.expires_at}
        return connection.execute(self._replace, row | new).rowcount > 0

    def page(self, connection: Connection, prefix: str, after: str | None) -> list[Key]:
        """Return the next keys in order, those that do not begin with the prefix at the end of them."""
        statement = self._first_page if after is None else self._next_page
        rows = connection.execute(statement, {"start": prefix if after is None else after})
        return [self._key(*row) for row in rows]

    def remove_expired(self, connection: Connection, now: int) -> int:
        """Remove some expired rows; return how many, 0 when there are none."""
        return connection.execute(self._remove_expired, {"now": now}).rowcount

    def remove_live(self, connection: Connection, now: int) -> int:
        """Remove some live rows; return how many, 0 when there are none."""
        return connection.execute(self._remove_live, {"now": now}).rowcount

    def _record(self, session_id: str, payload: Any, version: Any, expires_at: Any) -> Record:
        if type(payload) is not bytes:
            raise self._corrupt("its payload is not a BLOB", session_id)
        if type(version) is not str or text_fault(version, MAX_ID_BYTES) is not None:
            raise self._damaged_version(session_id)
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

    def _damaged_version(self, session_id: str) -> CorruptSessionError:
        return self._corrupt("its version is not text", session_id)

    def _corrupt(self, reason: str, session_id: str) -> CorruptSessionError:
        return CorruptSessionError(reason, session_id=session_id, location=self._dialect.location)


def chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Cut a list into pieces."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def decide_swaps(swaps: Sequence[Swap], found: Mapping[str, Record], now: int) -> tuple[list[bool], dict[str, Record]]:
    """Decide swaps, in order, on rows that nobody else can change meanwhile.

    Returns:
        The answer to each, and what is to be stored.
    """
    changed: dict[str, Record] = {}
    answers = []
    for session_id, record, expected in swaps:
        old = changed.get(session_id) or found.get(session_id)
        live = None if old is None or old.is_expired(now) else old
        decision = decide_swap(live, record, expected)
        if decision is SwapDecision.STORE:
            changed[session_id] = record
        answers.append(decision is not SwapDecision.REFUSE)
    return answers, changed


@contextmanager
def transaction(connection: Connection, begin: str = "BEGIN") -> Iterator[None]:
    """Make one transaction of all statements inside, done wholly or not at all."""
    connection.exec_driver_sql(begin)
    try:
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: Connection) -> None:
    if connection.invalidated:
        return
    try:
        connection.exec_driver_sql("ROLLBACK")
    except DBAPIError:
        # What failed before may have ended the transaction; a connection that is lost must not be used again.
        connection.invalidate()
