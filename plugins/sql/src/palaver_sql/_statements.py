"""The statements on the table of sessions, and what its rows mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.exc import DBAPIError

from palaver.contract.record import ABSENT, Record, SwapDecision, decide_swap
from palaver.contract.session_ids import MAX_ID_BYTES, check_session_id, text_fault
from palaver.errors import CorruptSessionError, InvalidSessionIdError, StoreUnavailableError
from palaver.toolkit.due import due_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from sqlalchemy import BindParameter, ColumnElement, Connection, Table, TextClause

    from palaver.contract.clock import Clock
    from palaver.contract.record import Absent

    Swap: TypeAlias = tuple[str, Record, str | Absent]

__all__ = ("PAGE_SIZE", "PIECE", "Page", "Statements", "chunks", "decide_swaps", "transaction")

T = TypeVar("T")

PIECE: Final = 1000
"""How many rows one statement removes at most, so that others can write in between."""

PAGE_SIZE: Final = 1000
"""How many rows a scan reads at a time."""

# How many keys one statement names: the database has to understand each of them anew.
_CHUNK_SIZE: Final = 500


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a scan."""

    session_ids: list[str]
    """The live sessions."""

    damage: list[CorruptSessionError]
    """The rows that cannot be understood."""

    end: Any
    """The key after which the next page begins, as the database returned it; None on the last page."""


class Statements(ABC):
    """What is done with the sessions of one namespace, built once; each method is given the connection to use.

    Args:
        location: where the database is, for errors.
        table: the table of sessions.
        namespace: whose rows.
        clock: what time it is.
    """

    def __init__(self, location: str, table: Table, namespace: str, clock: Clock) -> None:
        self._location = location
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
        healthy = and_(one, self._live, self._is_healthy())
        self._touch = update(table).where(healthy).values(expires_at=bindparam("new"), due_at=bindparam("due"))
        self._remove = delete(table).where(healthy, column.version == bindparam("old"))
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
        self._first_page = keys.where(column.session_id >= bindparam("start")).limit(PAGE_SIZE)
        self._next_page = keys.where(column.session_id > bindparam("start")).limit(PAGE_SIZE)
        self._remove_expired = self._remover(self._expired)
        self._remove_live = self._remover(self._live)

    @abstractmethod
    def upsert(self, connection: Connection, records: Mapping[str, Record]) -> None:
        """Store the records, whatever is there."""

    @abstractmethod
    def swap(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool]:
        """Decide each swap, in order, and store what is decided."""

    def swap_free(self, connection: Connection, swaps: Sequence[Swap]) -> Sequence[bool | None]:
        """Do what `swap` does, but leave out what somebody else has locked: the answer is None, and nothing is done."""
        return self.swap(connection, swaps)

    @contextmanager
    def alone(self, session_id: str) -> Iterator[None]:
        """Name the session in the error, when the statements inside have waited in vain for the lock on its row.

        Raises:
            StoreUnavailableError: somebody else has kept it locked.
        """
        try:
            yield
        except DBAPIError as error:
            if not self._is_locked(error):
                raise
            raise self.locked(session_id) from None

    def unless_locked(self, connection: Connection, work: Callable[[Connection], T]) -> T | None:
        """Do `work`, which may be done again; return None when it has waited in vain for a lock."""
        try:
            return work(connection)
        except DBAPIError as error:
            if not self._is_locked(error):
                raise
            return None

    def locked(self, session_id: str) -> StoreUnavailableError:
        """Return the error for a session that somebody else keeps locked."""
        reason = "somebody else has kept it locked for too long"
        return StoreUnavailableError(reason, store=self._location, session_id=session_id)

    def _is_locked(self, error: DBAPIError) -> bool:  # noqa: ARG002  # for those that can tell
        """Tell whether a statement has waited in vain for a lock on rows."""
        return False

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
        if connection.execute(self._touch, row).rowcount > 0:
            return True
        self.select(connection, [session_id])  # raises if the row is damaged
        return False

    def remove(self, connection: Connection, session_id: str, expected: str) -> bool:
        """Remove a live row of that version; tell whether there was one."""
        row = {"key": session_id, "old": expected, "now": self._clock.now()}
        if connection.execute(self._remove, row).rowcount > 0:
            return True
        self.select(connection, [session_id])  # raises if the row is damaged
        return False

    def swap_at_once(self, connection: Connection, session_id: str, record: Record, expected: str | Absent) -> bool:
        """Do what most swaps come to, in one plain statement; False means that nothing is decided yet."""
        if expected is ABSENT or expected == record.version:
            return False
        now = self._clock.now()
        row = {"key": session_id, "old": expected, "now": now, "due": due_at(record.expires_at, now)}
        new = {"new": record.payload, "new_version": record.version, "new_expiry": record.expires_at}
        return connection.execute(self._replace, row | new).rowcount > 0

    def page(self, connection: Connection, prefix: str, after: Any) -> Page:
        """Return the next sessions, in the order of their ids, of those whose id begins with the prefix."""
        rows = self._keys(connection, prefix, after)
        now = self._clock.now()
        page = Page([], [], rows[-1][0] if len(rows) == PAGE_SIZE else None)
        for session_id, expires_at in rows:
            if not _begins_with(session_id, prefix):
                return replace(page, end=None)
            try:
                check_session_id(session_id)
                expiry = self._expiry(session_id, expires_at)
            except InvalidSessionIdError as error:
                reason = f"its id {session_id!r} is damaged: {error}"
                page.damage.append(CorruptSessionError(reason, location=self._location))
            except CorruptSessionError as error:
                page.damage.append(error)
            else:
                if expiry is None or expiry > now:
                    page.session_ids.append(session_id)
        return page

    def remove_expired(self, connection: Connection, now: int) -> int:
        """Remove some expired rows; return how many, 0 when there are none."""
        return connection.execute(self._remove_expired, {"now": now}).rowcount

    def remove_live(self, connection: Connection, now: int) -> int:
        """Remove some live rows; return how many, 0 when there are none."""
        return connection.execute(self._remove_live, {"now": now}).rowcount

    def _record(self, session_id: str, payload: Any, version: Any, expires_at: Any) -> Record:
        if type(payload) is not bytes:
            raise self._corrupt("its payload is not a BLOB", session_id)
        if type(version) is not str or not version or text_fault(version, MAX_ID_BYTES) is not None:
            raise self._damaged_version(session_id)
        return Record(payload, version, self._expiry(session_id, expires_at))

    def _keys(self, connection: Connection, prefix: str, after: Any) -> Sequence[Any]:
        """Return the ids and expiries of a page, all at once: an open cursor would keep an old snapshot alive."""
        statement = self._first_page if after is None else self._next_page
        return connection.execute(statement, {"start": prefix if after is None else after}).all()

    @abstractmethod
    def _is_healthy(self) -> ColumnElement[bool] | TextClause:
        """Return the condition that a row can be understood, as `_record` decides it."""

    def _expiry(self, session_id: str, expires_at: Any) -> int | None:
        if expires_at is None or type(expires_at) is int:
            return expires_at
        raise self._corrupt("its expires_at is not a whole number", session_id)

    def _damaged_version(self, session_id: str) -> CorruptSessionError:
        return self._corrupt("its version is not text", session_id)

    def _corrupt(self, reason: str, session_id: str) -> CorruptSessionError:
        return CorruptSessionError(reason, session_id=session_id, location=self._location)


def _begins_with(session_id: Any, prefix: str) -> bool:
    """Tell whether an id begins with the prefix, be it the bytes of damaged text."""
    return session_id.startswith(prefix if isinstance(session_id, str) else prefix.encode())  # type: ignore[no-any-return]


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
