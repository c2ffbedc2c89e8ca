"""Commands on their way: packed together, sent in one write, and answered in order.

redis-py opens the connections, authenticates, finds the primary and knows the nodes of a cluster. What it offers above
that costs a Python object for each command, and repeats commands whose answer was lost, which could let a change take
effect twice; so commands go to its connections directly.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from hiredis import pack_command
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from redis.asyncio import ConnectionPool, RedisCluster
    from redis.asyncio.cluster import ClusterNode
    from redis.asyncio.connection import AbstractConnection

__all__ = (
    "Answer",
    "ClientSource",
    "Command",
    "Connections",
    "Node",
    "OwnSource",
    "ServerConnections",
    "SlotConnections",
)

Answer = Any
"""What redis-py makes of an answer: bytes, a number, None, a list of them, or a `ResponseError`."""

_REDIRECTIONS: Final = 16
_ASKING: Final = ("ASKING",)
_TRY_AGAIN_DELAY: Final = 0.05


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

    def nodes(self) -> Sequence[Node]:
        """Return every server that has data of its own."""
        ...

    async def close(self) -> None:
        """Close all connections that were opened here."""
        ...


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


class OwnSource:
    """Makes connections, and keeps them itself: to ask redis-py's pool for one costs as much as a command does.

    Args:
        pool: knows how to make a connection.
        timeout: for how many seconds a connection may take to come up.
        closes: what else to close at the end.
    """

    def __init__(self, pool: ConnectionPool, timeout: float, *closes: Any) -> None:
        self._pool = pool
        self._timeout = timeout
        self._closes = closes
        self._idle: list[AbstractConnection] = []

    async def take(self) -> AbstractConnection:
        connection = self._idle.pop() if self._idle else self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            if connection.is_connected and await connection.can_read():
                await connection.disconnect(nowait=True)  # it ended while nobody used it, as when a server restarts
            if not connection.is_connected:
                async with asyncio.timeout(self._timeout):
                    await connection.connect()
        except BaseException:
            self._idle.append(connection)
            raise
        return connection

    async def give_back(self, connection: AbstractConnection) -> None:
        self._idle.append(connection)

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        await _close_all([*(each.disconnect() for each in idle), *(each.aclose() for each in self._closes)])


class ClientSource:
    """The pool of a client that somebody else made, which has all its connections back after each use."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    async def take(self) -> AbstractConnection:
        connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        return connection

    async def give_back(self, connection: AbstractConnection) -> None:
        await self._pool.release(connection)

    async def close(self) -> None:
        """Do nothing: its owner closes it."""


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

    def nodes(self) -> Sequence[Node]:
        """Return every server that has data of its own."""
        return [self]

    async def close(self) -> None:
        """Close all connections that were opened here."""
        await self._source.close()


class SlotConnections:
    """The way to the nodes of a cluster.

    Args:
        client: knows which node has which key.
        is_own: whether to close its connections at the end.
    """

    def __init__(self, client: RedisCluster, *, is_own: bool) -> None:
        self._client = client
        self._is_own = is_own
        self._is_outdated = True

    async def open(self) -> None:
        """Find the servers."""
        if self._is_outdated:
            # Of what the client learns when it is initialised, only which node has which slots: to ask for all commands
            # that there are, too, would keep the event loop busy for as long again.
            await self._client.nodes_manager.initialize()
            self._is_outdated = False

    async def run(self, commands: Sequence[Command]) -> list[Answer]:
        """Return the answers to commands in order, wherever each has to go."""
        await self.open()
        answers: list[Answer] = [None] * len(commands)
        nodes = self._client.nodes_manager
        todo = {
            place: (nodes.get_node_from_slot(key_slot(command.key)), False) for place, command in enumerate(commands)
        }
        for _ in range(_REDIRECTIONS):
            await self._run_once(commands, todo, answers)
            todo = await self._redirect(todo, answers)
            if not todo:
                break
        return answers

    def by_slot(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        """Group the places of keys: those of one slot."""
        groups: dict[int, list[int]] = {}
        for place, key in enumerate(keys):
            groups.setdefault(key_slot(key), []).append(place)
        return list(groups.values())

    def nodes(self) -> Sequence[Node]:
        """Return every server that has data of its own."""
        return [_SlotNode(self, node) for node in self._client.get_primaries()]

    async def close(self) -> None:
        """Close all connections that were opened here."""
        if self._is_own:
            nodes = self._client.nodes_manager
            await _close_all([nodes.aclose(), nodes.aclose("startup_nodes")])

    async def send(self, node: ClusterNode, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Answer]:
        """Return the answers of one node."""
        connection = node.acquire_connection()
        try:
            await node.disconnect_if_needed(connection)
            if connection.is_connected and await connection.can_read():
                await connection.disconnect(nowait=True)  # it ended while nobody used it; sending opens it again
            return await _exchange(connection, commands)
        except (RedisError, OSError):
            # Perhaps another node has its slots by now; whoever comes next looks.
            self._is_outdated = True
            raise
        finally:
            node.release(connection)

    async def _run_once(
        self, commands: Sequence[Command], todo: dict[int, tuple[ClusterNode, bool]], answers: list[Answer]
    ) -> None:
        by_node: dict[ClusterNode, list[int]] = {}
        for place, (node, _) in todo.items():
            by_node.setdefault(node, []).append(place)
        # To the end of all, even when one fails: nothing may take effect after the failure was reported.
        ended = await asyncio.gather(
            *(
                self._run_on(node, [(commands[place], todo[place][1]) for place in part])
                for node, part in by_node.items()
            ),
            return_exceptions=True,
        )
        for part, result in zip(by_node.values(), ended, strict=True):
            if isinstance(result, BaseException):
                raise result
            for place, answer in zip(part, result, strict=True):
                answers[place] = answer

    async def _run_on(self, node: ClusterNode, commands: Sequence[tuple[Command, bool]]) -> list[Answer]:
        words = []
        for command, asks in commands:
            words += [_ASKING, command.words] if asks else [command.words]
        answers = iter(await self.send(node, words))
        return [[next(answers) for _ in range(1 + asks)][-1] for _, asks in commands]

    async def _redirect(
        self, todo: dict[int, tuple[ClusterNode, bool]], answers: list[Answer]
    ) -> dict[int, tuple[ClusterNode, bool]]:
        """Return what has to be sent again, none of which took effect, and where."""
        again: dict[int, tuple[ClusterNode, bool]] = {}
        for place, (node, _) in todo.items():
            answer = answers[place]
            if isinstance(answer, AskError):
                again[place] = await self._named(answer, node), not isinstance(answer, MovedError)
            elif isinstance(answer, TryAgainError):
                again[place] = node, False
            elif isinstance(answer, ClusterDownError):
                self._is_outdated = True
        if any(isinstance(answers[place], TryAgainError) for place in again):
            await asyncio.sleep(_TRY_AGAIN_DELAY)
        return again

    async def _named(self, error: AskError, asked: ClusterNode) -> ClusterNode:
        host, port = error.host or asked.host, error.port
        if isinstance(error, MovedError):
            self._is_outdated = True
        node = self._client.get_node(host=host, port=port)
        if node is None:
            await self._client.nodes_manager.initialize()
            node = self._client.get_node(host=host, port=port)
        return asked if node is None else node


class _SlotNode:
    """One primary of a cluster."""

    def __init__(self, connections: SlotConnections, node: ClusterNode) -> None:
        self._connections = connections
        self._node = node

    async def send(self, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Answer]:
        return await self._connections.send(self._node, commands)


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
    except BaseException:
        # Answers that nobody has read would be taken for those of the next commands.
        await connection.disconnect(nowait=True)
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


async def _close_all(closings: Sequence[Awaitable[None]]) -> None:
    for closing in closings:
        # A connection that fails while it is closed is closed.
        with suppress(RedisError, OSError):
            await closing
