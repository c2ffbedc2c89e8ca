"""Commands on their way: packed together, sent in one write, and answered in order.

redis-py opens the connections, authenticates, and finds the primary that Sentinel names. What it offers above that
costs a Python object for each command, and repeats commands whose answer was lost, which could let a change take effect
twice; so commands go to its connections directly.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from hiredis import pack_command
from redis.exceptions import ConnectionError, MaxConnectionsError, RedisError, ResponseError  # noqa: A004

from palaver.toolkit.transports import drop_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio import ConnectionPool
    from redis.asyncio.connection import AbstractConnection

__all__ = (
    "Answer",
    "ClientSource",
    "Command",
    "Connections",
    "Node",
    "OwnSource",
    "ServerConnections",
    "close_all",
)

Answer = Any
"""What redis-py makes of an answer: bytes, a number, None, a list of them, or a `ResponseError`."""


class Command(NamedTuple):
    """A command, and a key of it, which says to which node of a cluster it goes."""

    key: bytes
    words: tuple[str | bytes | int, ...]


class Node(Protocol):
    """One server that has data of its own."""

    async def send(self, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Answer]:
        """Return the answers to commands in order; those of this server to errors are among them.

        Raises:
            RedisError: the connection failed; whether the commands took effect is not known.
        """
        ...


class Connections(Protocol):
    """The way to one server or to many."""

    async def open(self) -> None:
        """Find the servers."""
        ...

    async def run(self, commands: Sequence[Command]) -> list[Answer]:
        """Return the answers to commands in order, wherever each has to go."""
        ...

    def by_slot(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        """Group the places of keys, in order, so that one command can have those of a group together."""
        ...

    async def nodes(self) -> Sequence[Node]:
        """Return every server that has data of its own."""
        ...

    async def close(self) -> None:
        """Close all connections that were opened here."""
        ...

    def abandon(self) -> None:
        """Drop them without waiting: their event loop is closed."""
        ...


_CLOSED_IN_UVLOOP: Final = "the handler is closed"
"""What uvloop says, in a `RuntimeError`, to who writes to a connection that has ended."""

_POOL_POLL_SECONDS: Final = 0.005


class Source(Protocol):
    """Where connections to one server come from."""

    async def take(self) -> AbstractConnection:
        """Return a connection that is open, and that nobody else uses."""
        ...

    async def give_back(self, connection: AbstractConnection) -> None:
        """Take it back, in whatever state it is."""
        ...

    async def close(self) -> None:
        """Close what was opened here."""
        ...

    def abandon(self) -> None:
        """Drop it without waiting: its event loop is closed."""
        ...


class OwnSource:
    """Makes connections, and keeps them itself: to ask redis-py's pool for one costs as much as a command does.

    Args:
        make: makes a connection, which is not open yet.
        timeout: for how many seconds a connection may take to come up; None is as long as it allows itself.
        closes: what else to close at the end.
    """

    def __init__(self, make: Callable[[], AbstractConnection], timeout: float | None, *closes: Any) -> None:
        self._make = make
        self._timeout = timeout
        self._closes = closes
        self._idle: list[AbstractConnection] = []
        self._is_closed = False

    async def take(self) -> AbstractConnection:
        connection = self._idle.pop() if self._idle else self._make()
        try:
            if connection.is_connected and await connection.can_read():
                await connection.disconnect(nowait=True)  # it ended while nobody used it, as when a server restarts
            if not connection.is_connected:
                async with asyncio.timeout(self._timeout):
                    await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            await self.give_back(connection)
            raise
        return connection

    async def give_back(self, connection: AbstractConnection) -> None:
        if self._is_closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close what nobody uses now, and each other connection when it is given back."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        await close_all([*(each.disconnect() for each in idle), *(each.aclose() for each in self._closes)])

    def abandon(self) -> None:
        """Drop what nobody uses; whoever used another one has ended with the event loop."""
        idle, self._idle = self._idle, []
        for connection in idle:
            writer, connection._writer = connection._writer, None  # noqa: SLF001  # it has no other name
            drop_transport(None if writer is None else writer.transport)


class ClientSource:
    """The pool of a client that somebody else made, which has all its connections back after each use.

    Args:
        pool: the pool.
        patience: for how many seconds to wait for a connection while others have all that the pool allows.
    """

    def __init__(self, pool: ConnectionPool, patience: float) -> None:
        self._pool = pool
        self._patience = patience

    async def take(self) -> AbstractConnection:
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            except MaxConnectionsError:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                # The pool tells nobody when a connection comes back.
                await asyncio.sleep(_POOL_POLL_SECONDS)
            else:
                return connection

    async def give_back(self, connection: AbstractConnection) -> None:
        await self._pool.release(connection)

    async def close(self) -> None:
        """Do nothing: its owner closes it."""

    def abandon(self) -> None:
        """Do nothing, likewise."""


class ServerConnections:
    """The way to one server, be it at a fixed address or the primary that Sentinel names.

    Args:
        source: where connections come from.
        timeout: for how many seconds an answer may take; None is as long as the connections themselves allow.
    """

    def __init__(self, source: Source, timeout: float | None = None) -> None:
        self._source = source
        self._timeout = timeout

    async def open(self) -> None:
        """Find the servers."""

    async def run(self, commands: Sequence[Command]) -> list[Answer]:
        """Return the answers to commands in order, wherever each has to go."""
        return await self.send([command.words for command in commands])

    async def send(self, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Answer]:
        """Return the answers to commands in order."""
        connection = await self._source.take()
        try:
            return await _exchange(connection, commands, self._timeout)
        finally:
            await self._source.give_back(connection)

    def by_slot(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        """Group the places of keys: one server takes all keys together."""
        return [range(len(keys))] if keys else []

    async def nodes(self) -> Sequence[Node]:
        """Return every server that has data of its own."""
        return [self]

    async def close(self) -> None:
        """Close all connections that were opened here."""
        await self._source.close()

    def abandon(self) -> None:
        """Drop them without waiting: their event loop is closed."""
        self._source.abandon()


async def _exchange(
    connection: AbstractConnection, commands: Sequence[tuple[str | bytes | int, ...]], patience: float | None = None
) -> list[Answer]:
    """Return the answers to commands; each may take `patience` seconds, None is as the connection has it."""
    try:
        async with asyncio.timeout(patience) as deadline:
            await connection.send_packed_command(b"".join(map(_pack, commands)))
            answers = []
            for _ in commands:
                if patience is not None:
                    deadline.reschedule(asyncio.get_running_loop().time() + patience)
                answers.append(await _answer(connection))
    except BaseException as error:
        # Answers that nobody has read would be taken for those of the next commands.
        await connection.disconnect(nowait=True)
        if isinstance(error, RuntimeError) and _CLOSED_IN_UVLOOP in str(error):
            raise ConnectionError("Connection lost") from error
        raise
    return answers


def _pack(words: tuple[str | bytes | int, ...]) -> bytes:
    packed: bytes = pack_command(words)  # type: ignore[arg-type]  # its stub says: a tuple of one
    return packed


async def _answer(connection: AbstractConnection) -> Answer:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


async def close_all(closings: Sequence[Awaitable[None]]) -> None:
    """Wait for all closings, whatever becomes of any."""
    for closing in closings:
        # A connection that fails while it is closed is closed.
        with suppress(RedisError, OSError):
            await closing
