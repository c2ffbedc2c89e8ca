"""Stores over a network that do not bear its faults."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import msgspec

from palaver.contract.record import Absent, Record
from palaver.errors import StoreUnavailableError
from palaver_conformance.saboteurs._honest_server import Connection, ServerStore
from palaver_conformance.saboteurs._registry import saboteur
from palaver_conformance.saboteurs._server import PASSWORD, Answer, Hello, Request, send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@saboteur("unreachable-is-missing", law="FAULT-01", words="read() to raise StoreUnavailableError")
class UnreachableIsMissing(ServerStore):
    """Read takes a server that cannot be reached for an empty one."""

    async def read(self, session_id: str) -> Record | None:
        try:
            return await super().read(session_id)
        except StoreUnavailableError:
            return None


@saboteur("unreachable-foreign-error", law="FAULT-01", words="ConnectionRefusedError")
class UnreachableIsForeign(ServerStore):
    """The error of a connection that is refused comes through as it is."""

    async def exchange(self, verb: str, arguments: tuple[Any, ...]) -> Any:
        try:
            return await super().exchange(verb, arguments)
        except StoreUnavailableError as error:
            if isinstance(error.__cause__, ConnectionRefusedError):
                raise error.__cause__ from error
            raise


@saboteur("serves-from-cache", law="FAULT-01", words="read() to raise StoreUnavailableError")
class ServesFromCache(ServerStore):
    """Without its server read returns what it has seen last."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: dict[str, Record | None] = {}

    async def read(self, session_id: str) -> Record | None:
        with suppress(StoreUnavailableError):
            self.seen[session_id] = await super().read(session_id)
        return self.seen.get(session_id)


@saboteur("retries-for-ever", law="FAULT-01", words="it hangs")
class RetriesForEver(ServerStore):
    """A call tries again until the server is back."""

    async def call(self, verb: str, *arguments: Any) -> Any:
        while True:
            try:
                return await super().call(verb, *arguments)
            except StoreUnavailableError:
                await asyncio.sleep(0.05)


@saboteur("replays-later", law="FAULT-01", words="was written to")
class ReplaysLater(ServerStore):
    """A write that failed is tried again behind the scenes, over what is newer."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except StoreUnavailableError:
            self.replay = asyncio.ensure_future(self.write_later(session_id, record))
            raise

    async def write_later(self, session_id: str, record: Record) -> None:
        """Write when some time has passed."""
        await asyncio.sleep(0.1)
        with suppress(StoreUnavailableError):
            await super().write(session_id, record)


@saboteur("connects-lazily", law="FAULT-02", words="init() to raise StoreUnavailableError")
class ConnectsLazily(ServerStore):
    """Init makes an empty pool, and does not ask whether there is a server."""

    async def open(self) -> None:
        self.slots = asyncio.Semaphore(self.size)
        self.idle = []


@saboteur("no-reconnect", law="FAULT-03", words="the store to work again")
class ConnectsOnce(ServerStore):
    """A connection that was lost is not made again."""

    is_lost = False

    async def open(self) -> None:
        self.is_lost = False
        await super().open()

    async def connect(self) -> Connection:
        if self.is_lost:
            raise ConnectionError("not connected")
        return await super().connect()

    async def drop(self, connection: Connection) -> None:
        self.is_lost = True
        await super().drop(connection)


@saboteur("reconnect-wrong-db", law="FAULT-03", words="None (no live record)")
class ReconnectsElsewhere(ServerStore):
    """A connection that was lost is made again to the default database."""

    has_connected = False

    async def connect(self) -> Connection:
        location, self.location = self.location, "default" if self.has_connected and not self.idle else self.location
        try:
            return await super().connect()
        finally:
            self.location = location

    async def drop(self, connection: Connection) -> None:
        self.has_connected = True
        await super().drop(connection)


@saboteur("reconnect-forgets-namespace", law="FAULT-03", words="None (no live record)")
class ReconnectsWithoutNamespace(ServerStore):
    """A connection that was lost is made again without the namespace."""

    was_lost = False

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection(*self.address))
        await send(connection.writer, Hello(PASSWORD, self.location, "" if self.was_lost else self.namespace))
        return connection

    async def drop(self, connection: Connection) -> None:
        self.was_lost = True
        await super().drop(connection)


@saboteur("double-apply-retry", law="FAULT-04", words="got:      False")
class RetriesBlindly(ServerStore):
    """A swap whose answer was lost looks again, and takes its own record for another's."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        try:
            return await super().swap(session_id, record, expected)
        except StoreUnavailableError:
            live = await self.read(session_id)
            if live is None or live.version != expected:
                return False
            return await super().swap(session_id, record, expected)


@saboteur("hang-on-blackhole", law="FAULT-05", words="it hangs")
class WaitsForEver(ServerStore):
    """A call waits for its answer for as long as it takes."""

    patience = 3_600.0

    async def call(self, verb: str, *arguments: Any) -> Any:
        # Not to its end: whoever is tired of waiting may go.
        await self.lifecycle.enter()
        return await self.exchange(verb, arguments)


@saboteur("timeout-foreign-error", law="FAULT-05", words="TimeoutError")
class TimeoutIsForeign(ServerStore):
    """The error of a call that took too long comes through as it is."""

    async def exchange(self, verb: str, arguments: tuple[Any, ...]) -> Any:
        try:
            return await super().exchange(verb, arguments)
        except StoreUnavailableError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise error.__cause__ from error
            raise


@saboteur("init-hangs", law="FAULT-05", words="init() to end")
class InitWaitsForEver(ServerStore):
    """Init waits for an answer for as long as it takes."""

    async def init(self) -> Self:
        self.patience = 3_600.0
        try:
            return await super().init()
        finally:
            self.patience = 1.0


@saboteur("slow-slice", law="FAULT-06", words="StoreUnavailableError")
class ReadsOnce(ServerStore):
    """What arrives with the first bytes is taken for the whole answer."""

    async def connect(self) -> Connection:
        connection = await super().connect()
        return _ReadsOnce(connection.reader, connection.writer)


class _ReadsOnce(Connection):
    async def ask(self, request: Request) -> Answer:
        await send(self.writer, request)
        try:
            return msgspec.msgpack.decode((await self.reader.read(65_536))[4:], type=Answer)
        except msgspec.DecodeError as error:
            raise EOFError from error


@saboteur("truncated-reply", law="FAULT-07", words="payloads differ")
class TakesWhatCame(ServerStore):
    """What came of an answer that was cut short is taken for the payload."""

    async def connect(self) -> Connection:
        connection = await super().connect()
        return _TakesWhatCame(connection.reader, connection.writer)


class _TakesWhatCame(Connection):
    async def ask(self, request: Request) -> Answer:
        try:
            return await super().ask(request)
        except asyncio.IncompleteReadError as error:
            if request.verb != "read" or not error.partial:
                raise
            return Answer(None, msgspec.Raw(msgspec.msgpack.encode(Record(error.partial, "0", None))))


@saboteur("reply-reset-lies", law="FAULT-07", words="None (no live record)")
class CutIsMissing(ServerStore):
    """An answer that is cut short is taken for "no session"."""

    async def read(self, session_id: str) -> Record | None:
        try:
            return await super().read(session_id)
        except StoreUnavailableError as error:
            if isinstance(error.__cause__, EOFError | ConnectionResetError):
                return None
            raise


@saboteur("cancel-poison-connection", law="FAULT-08", words="was written to")
class GivesBackTooEarly(ServerStore):
    """A call that is cancelled gives its connection back, with its answer still on the way."""

    async def call(self, verb: str, *arguments: Any) -> Any:
        await self.lifecycle.enter()
        return await self.exchange(verb, arguments)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        async with self.slots:
            connection = self.idle.pop() if self.idle else await self.connect()
            try:
                yield connection
            except asyncio.CancelledError:
                self.idle.append(connection)
                raise
            except BaseException:
                await self.drop(connection)
                raise
            self.idle.append(connection)


@saboteur("conn-leak", law="FAULT-09", words="StoreUnavailableError")
class LosesSlots(ServerStore):
    """A call that fails keeps its place in the pool."""

    patience = 0.2

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        await self.slots.acquire()
        connection = self.idle.pop() if self.idle else await self.connect()
        try:
            yield connection
        except BaseException:
            await self.drop(connection)
            raise
        self.idle.append(connection)
        self.slots.release()

    async def end(self) -> None:
        for connection in self.idle:
            await connection.close()


def _is_lost(error: StoreUnavailableError) -> bool:
    return isinstance(error.__cause__, EOFError | ConnectionError)


@saboteur("lost-request-acknowledged", law="FAULT-11", words="900 bytes b'new")
class LostIsWritten(ServerStore):
    """A write whose connection broke is taken for one whose answer was lost only."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except StoreUnavailableError as error:
            if not _is_lost(error):
                raise


@saboteur("lost-request-swapped", law="FAULT-11", words="900 bytes b'new")
class LostIsSwapped(ServerStore):
    """A swap whose connection broke is taken for one that has stored."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        try:
            return await super().swap(session_id, record, expected)
        except StoreUnavailableError as error:
            if not _is_lost(error):
                raise
            return True


@saboteur("lost-request-refused", law="FAULT-11", words="True or StoreUnavailableError")
class LostIsRefused(ServerStore):
    """A touch whose connection broke has found no session, it says."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        try:
            return await super().touch(session_id, expires_at)
        except StoreUnavailableError as error:
            if not _is_lost(error):
                raise
            return False
