"""Sessions in a table of an SQL database."""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack

from palaver.contract.batches import BatchSessionStore
from palaver.contract.session_ids import MAX_ID_BYTES, text_fault
from palaver.contract.store import Capabilities
from palaver.toolkit.lifecycle import Lifecycle
from palaver_sql._database import Database
from palaver_sql._dialects import choose_dialect
from palaver_sql._schema import sessions_table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from sqlalchemy import URL, Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from palaver.contract.record import Absent, Record
    from palaver.contract.store import StoreOptions
    from palaver_sql._statements import Page, Swap

__all__ = ("SQLSessionStore",)

T = TypeVar("T")

_logger = logging.getLogger(__name__)

DEFAULT_TABLE: Final = "palaver_sessions"

# For how many seconds a batch waits for rows that somebody else has locked, and how long at a time. Of other stores a
# lock lasts for milliseconds, on a busy computer for longer. Whoever has waited in vain is sent again alone, and waits
# as long as the server lets it.
_PATIENCE: Final = 1.5
_PAUSE: Final = 0.02

_BATCHES_IN_FLIGHT: Final = 2
"""A server works on one while the bot works on the other; a database with one writer has nothing from a second."""


class SQLSessionStore(BatchSessionStore):
    """Keeps sessions in a table of an SQL database.

    Args:
        url: the database, as an SQLAlchemy URL such as `sqlite:///bot.db` or `postgresql://host/bots`, where a plain
            scheme picks the driver; or an engine of yours for PostgreSQL or MySQL, which is left open.
        table: the name of the table; it is created when it is not there.
        schema: the schema (on MySQL: the database) of the tables, which must be there; unless you say otherwise, that
            of the connection. SQLite has none.
        connect_timeout: how many seconds a connection to a server may take: 4 unless you say otherwise.
        timeout: how many seconds a server may take for what it is asked: 4 unless you say otherwise. On SQLite, how
            many seconds a save waits while another process writes: 20 unless you say otherwise.
        **options: `ttl`, `namespace` and `clock`, as for every store.

    Raises:
        InvalidOptionError: the URL cannot be used, or an option has a value that means nothing there.
    """

    def __init__(
        self,
        url: str | URL | AsyncEngine,
        *,
        table: str = DEFAULT_TABLE,
        schema: str | None = None,
        connect_timeout: float | None = None,
        timeout: float | None = None,
        **options: Unpack[StoreOptions],
    ) -> None:
        super().__init__(**options)
        timeouts = {"connect_timeout": connect_timeout, "timeout": timeout}
        given = {name: seconds for name, seconds in timeouts.items() if seconds is not None}
        self._dialect = choose_dialect(url, given, schema)
        self._table = sessions_table(table, self._dialect.schema)
        self._statements = self._dialect.statements(self._table, self.namespace, self.clock)
        self._lifecycle = Lifecycle(repr(self), self._open, Database.close, Database.abandon)
        self.batches_in_flight = min(_BATCHES_IN_FLIGHT, self._dialect.writers)
        self.capabilities = Capabilities(
            swap=True,
            batch=True,
            touch=True,
            scan=True,
            purge=True,
            clear=True,
            durable=True,
            shared=True,
            max_payload_bytes=self._dialect.max_payload_bytes,
        )

    def __repr__(self) -> str:
        return f"<SQLSessionStore {self._dialect.location} table {self._table.fullname!r}>"

    async def init(self) -> Self:
        await self._lifecycle.open()
        return self

    async def close(self) -> None:
        await self._lifecycle.close()

    async def destroy(self, session_id: str) -> None:
        await self._write_one(session_id, lambda connection: self._statements.delete(connection, session_id))

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        database = self._lifecycle.here or await self._lifecycle.enter()
        wanted = list(session_ids)
        if not wanted:
            return []
        found = await database.read(lambda connection: self._statements.select(connection, wanted))
        now = self.clock.now()
        return [_live(found.get(session_id), now) for session_id in wanted]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        database = self._lifecycle.here or await self._lifecycle.enter()
        records = dict(items)
        self.check_sizes(items)
        if len(records) == 1:
            await self._write_one(next(iter(records)), lambda connection: self._statements.upsert(connection, records))
        elif records:
            await self._write_all(database, records)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        database = self._lifecycle.here or await self._lifecycle.enter()
        swaps = list(items)
        self.check_sizes(swaps)
        if not swaps:
            return []
        if len(swaps) == 1:
            return await self._write_one(swaps[0][0], lambda connection: self._statements.swap(connection, swaps))
        return await self._swap_all(database, swaps)

    async def remove(self, session_id: str, expected: str) -> bool:
        return await self._write_one(
            session_id, lambda connection: self._statements.remove(connection, session_id, expected)
        )

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        return await self._write_one(
            session_id, lambda connection: self._statements.touch(connection, session_id, expires_at)
        )

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self._lifecycle.enter()
        if text_fault(prefix, MAX_ID_BYTES) is not None:
            return  # no id begins with it
        # Every page is a statement of its own: a slow listener keeps nothing open.
        end = None
        while True:
            page = await self._page(prefix, after=end)
            for damage in page.damage:
                _logger.warning("%s", damage)
            for session_id in page.session_ids:
                yield session_id
            end = page.end
            if end is None:
                return

    async def purge(self) -> int:
        return await self._remove(self._statements.remove_expired)

    async def clear(self) -> int:
        live = await self._remove(self._statements.remove_live)
        await self._remove(self._statements.remove_expired)
        return live

    async def _open(self) -> Database:
        database = Database(self._dialect)
        try:
            await database.prepare(self._table)
        except BaseException:
            await database.close()
            raise
        return database

    async def _write_one(self, session_id: str, work: Callable[[Connection], T]) -> T:
        def alone(connection: Connection) -> T:
            with self._statements.alone(session_id):
                return work(connection)

        database = self._lifecycle.here or await self._lifecycle.enter()
        return await database.write(alone)

    async def _write_all(self, database: Database, records: Mapping[str, Record]) -> None:
        """Write all together; if somebody has kept one locked for too long, each by itself."""

        def together(connection: Connection) -> bool:
            self._statements.upsert(connection, records)
            return True

        if await database.write(partial(self._statements.unless_locked, work=together)):
            return
        await self._each_alone(
            (session_id, partial(self._statements.upsert, records={session_id: record}))
            for session_id, record in records.items()
        )

    async def _each_alone(self, works: Iterable[tuple[str, Callable[[Connection], T]]]) -> list[T]:
        """Do what concerns one session each, so that nobody waits for another's lock.

        Raises:
            StoreUnavailableError: one failed; the others are done. It names a session if it is only about that one.
        """
        done = await asyncio.gather(*(self._write_one(*each) for each in works), return_exceptions=True)
        failures = [answer for answer in done if isinstance(answer, BaseException)]
        if failures:
            raise min(failures, key=lambda failure: getattr(failure, "session_id", None) is not None)
        return [answer for answer in done if not isinstance(answer, BaseException)]

    async def _swap_all(self, database: Database, swaps: Sequence[Swap]) -> list[bool]:
        """Swap what nobody has locked at once, and the others as soon as they are free, for a short time."""
        answers: dict[int, bool] = {}
        left = list(enumerate(swaps))
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE
        while True:
            chosen = [swap for _, swap in left]
            together = partial(self._statements.swap_free, swaps=chosen)
            found = await database.write(partial(self._statements.unless_locked, work=together))
            if found is None:
                # As when somebody's transaction is about to make one of them.
                return await self._swap_apart(swaps, left, answers)
            decided = zip(left, found, strict=True)
            answers.update((place, answer) for (place, _), answer in decided if answer is not None)
            left = [(place, swap) for place, swap in left if place not in answers]
            if not left:
                return [answers[place] for place in range(len(swaps))]
            if loop.time() > end:
                raise self._statements.locked(left[0][1][0])
            await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311  # no secret

    async def _swap_apart(
        self, swaps: Sequence[Swap], left: Sequence[tuple[int, Swap]], answers: dict[int, bool]
    ) -> list[bool]:
        """Swap what is left, the swaps of each session by themselves, in order."""
        places: dict[str, list[int]] = {}
        for place, swap in left:
            places.setdefault(swap[0], []).append(place)
        found = await self._each_alone(
            (session_id, partial(self._statements.swap, swaps=[swaps[place] for place in own]))
            for session_id, own in places.items()
        )
        for own, decided in zip(places.values(), found, strict=True):
            answers.update(zip(own, decided, strict=True))
        return [answers[place] for place in range(len(swaps))]

    async def _remove(self, piece: Callable[[Connection, int], int]) -> int:
        """Remove rows piece by piece, so that others can write in between; return how many."""
        now = self.clock.now()
        removed = 0
        database = self._lifecycle.here or await self._lifecycle.enter()
        while count := await database.write(lambda connection: piece(connection, now)):
            removed += count
        return removed

    async def _page(self, prefix: str, after: Any) -> Page:
        database = self._lifecycle.here or await self._lifecycle.enter()
        return await database.read(lambda connection: self._statements.page(connection, prefix, after))


def _live(record: Record | None, now: int) -> Record | None:
    return None if record is None or record.is_expired(now) else record
