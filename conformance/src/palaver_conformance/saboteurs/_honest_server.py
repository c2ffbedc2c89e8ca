"""A store over a network that keeps the contract under every fault: what saboteurs of connections are made of."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from palaver.contract.record import ABSENT, Absent, Record
from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver.toolkit.cancellation import run_to_end
from palaver.toolkit.lifecycle import Lifecycle
from palaver_conformance.saboteurs._honest import DAMAGED, HonestStore, Medium
from palaver_conformance.saboteurs._server import ANSWERS, PASSWORD, Answer, Hello, Request, receive, send, the_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from palaver.contract.clock import Clock

__all__ = ("Connection", "ServerHarness", "ServerStore")


class Connection:
    """A connection to the server, for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: Request) -> Answer:
        await send(self.writer, request)
        return msgspec.msgpack.decode(await receive(self.reader), type=Answer)

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


class ServerStore(HonestStore):
    """The contract, over a pool of connections.

    A call has a connection for itself, goes on to its end whoever is cancelled, and gives back only a connection
    on which it got its whole answer.
    """

    patience: float = 1.0
    """After how many seconds without an answer a call gives up."""

    size: Final = 8
    """How many connections there are at most."""

    slots: asyncio.Semaphore
    """There while the store is open, like the connections."""

    idle: list[Connection]

    def __init__(self, address: tuple[str, int], location: str, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(Medium(), clock=clock, namespace=namespace)
        self.address = address
        self.location = location
        self.lifecycle: Lifecycle[bool] = Lifecycle(repr(self), self.begin_use, self.end_use)

    async def init(self) -> Self:
        await self.lifecycle.open()
        return self

    async def close(self) -> None:
        await self.lifecycle.close()

    async def begin_use(self) -> bool:
        await self.open()
        return True

    async def end_use(self, _: bool) -> None:
        await self.end()

    async def read(self, session_id: str) -> Record | None:
        answer: Record | None = await self.call("read", session_id)
        return answer

    async def write(self, session_id: str, record: Record) -> None:
        await self.call("write", session_id, record)

    async def destroy(self, session_id: str) -> None:
        await self.call("destroy", session_id)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        answer: bool = await self.call("swap", session_id, record, _or_none(expected))
        return answer

    async def remove(self, session_id: str, expected: str) -> bool:
        answer: bool = await self.call("remove", session_id, expected)
        return answer

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        answer: list[Record | None] = await self.call("read_many", list(session_ids))
        return answer

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self.call("write_many", list(items))

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        answer: list[bool] = await self.call("swap_many", [(*item, _or_none(expected)) for *item, expected in items])
        return answer

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        answer: bool = await self.call("touch", session_id, expires_at)
        return answer

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        for session_id in await self.call("scan", prefix):
            yield session_id

    async def purge(self) -> int:
        answer: int = await self.call("purge")
        return answer

    async def clear(self) -> int:
        answer: int = await self.call("clear")
        return answer

    # The steps.

    async def open(self) -> None:
        self.slots = asyncio.Semaphore(self.size)
        self.idle = []
        try:
            await self.exchange("read", ("any",))
        except BaseException:
            await self.end()
            raise

    async def end(self) -> None:
        for _ in range(self.size):
            # Whoever has a connection gives it back first.
            await self.slots.acquire()
        for connection in self.idle:
            await connection.close()

    async def call(self, verb: str, *arguments: Any) -> Any:
        await self.lifecycle.enter()
        return await run_to_end(self.exchange(verb, arguments))

    async def exchange(self, verb: str, arguments: tuple[Any, ...]) -> Any:
        request = Request(verb, self.clock.now(), msgspec.Raw(msgspec.msgpack.encode(arguments)))
        try:
            async with asyncio.timeout(self.patience), self.connection() as connection:
                answer = await connection.ask(request)
        except (OSError, EOFError) as error:
            raise StoreUnavailableError(type(error).__name__, store=repr(self)) from error
        return self.understand(verb, answer)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        async with self.slots:
            connection = self.idle.pop() if self.idle else await self.connect()
            try:
                yield connection
            except BaseException:
                await self.drop(connection)
                raise
            self.idle.append(connection)

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection(*self.address))
        try:
            await send(connection.writer, Hello(PASSWORD, self.location, self.namespace))
        except BaseException:
            await self.drop(connection)
            raise
        return connection

    async def drop(self, connection: Connection) -> None:
        connection.writer.transport.abort()
        await connection.close()

    def understand(self, verb: str, answer: Answer) -> Any:
        if answer.error == "CorruptSessionError":
            raise CorruptSessionError("it is damaged", session_id=msgspec.msgpack.decode(answer.value, type=str))
        if answer.error is not None:
            raise StoreUnavailableError("the server is out of order", store=repr(self))
        return msgspec.msgpack.decode(answer.value, type=ANSWERS[verb])


class ServerHarness:
    """Makes stores of the server that is in this process."""

    store: type[ServerStore] = ServerStore
    secrets = (PASSWORD,)

    def __reduce__(self) -> str:
        raise TypeError("its server is in this process: no other can make the same stores")

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", the_server().port

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> ServerStore:
        return self.make_at(self.address, location, clock=clock, namespace=namespace)

    def make_at(self, address: tuple[str, int], location: str, *, clock: Clock, namespace: str = "") -> ServerStore:
        return self.store(address, location, clock=clock, namespace=namespace)

    async def remove(self, location: str) -> None:
        the_server().media.pop(location, None)

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        the_server().medium(location).records[namespace, session_id] = DAMAGED

    async def fail(self, location: str) -> None:
        the_server().medium(location).is_away = True

    async def mend(self, location: str) -> None:
        the_server().medium(location).is_away = False

    async def cut(self, location: str) -> None:
        await the_server().cut(location)

    def make_unusable(self, *, clock: Clock) -> ServerStore:
        # Nobody listens on the first port.
        return self.make_at(("127.0.0.1", 1), "nowhere", clock=clock)


def _or_none(expected: str | Absent) -> str | None:
    return None if expected is ABSENT else expected
