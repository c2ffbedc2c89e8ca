"""The way to the nodes of a cluster: which has which key, and what to do when one says that it has moved.

redis-py lists all slots one by one each time it looks at a cluster, which keeps the event loop busy for milliseconds;
so only its connections are used here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError, TryAgainError

from palaver.toolkit.cancellation import run_to_end
from palaver_redis._connections import close_all
from palaver_redis._slots import Address, Slots, named_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from palaver_redis._connections import Answer, Command, Node, ServerConnections

__all__ = ("SlotConnections",)

_REDIRECTIONS: Final = 16
_REDIRECTIONS_AT_ONCE: Final = 4
_ASKING: Final = ("ASKING",)
_TRY_AGAIN_DELAY: Final = 0.05
_NO_CLUSTER: Final = "cluster support disabled"


class SlotConnections:
    """The way to the nodes of a cluster. All connections are its own.

    Args:
        startup: nodes to begin with; they are asked one after another until one knows which node has which slots.
        to_node: makes the way to one node.
        remap: makes of an address that a node names the one by which it is reached from here.
    """

    def __init__(
        self,
        startup: Iterable[Address],
        to_node: Callable[[Address], ServerConnections],
        remap: Callable[[str, int], tuple[str, int]] = Address,
    ) -> None:
        self._startup = tuple(startup)
        self._to_node = to_node
        self._remap = remap
        self._slots = Slots()
        self._members: dict[Address, _Member] = {}
        self._failed: set[Address] = set()
        self._is_outdated = True
        self._learning = asyncio.Lock()

    async def open(self) -> None:
        """Find the servers."""
        if not self._is_outdated:
            return
        async with self._learning:
            if self._is_outdated:
                await self._learn()

    async def run(self, commands: Sequence[Command]) -> list[Answer]:
        """Return the answers to commands in order, wherever each has to go."""
        await self.open()
        answers: list[Answer] = [None] * len(commands)
        todo = {place: (self._primary(command.key), False) for place, command in enumerate(commands)}
        for number in range(_REDIRECTIONS):
            if number > _REDIRECTIONS_AT_ONCE:
                await asyncio.sleep(_TRY_AGAIN_DELAY)  # the nodes do not agree yet who has a slot
            await _run_once(commands, todo, answers)
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

    async def nodes(self) -> Sequence[Node]:
        """Return every server that has data of its own."""
        await self.open()
        return [self._members[address] for address in self._slots.primaries()]

    async def close(self) -> None:
        """Close all connections that were opened here."""
        await close_all([member.close() for member in self._members.values()])

    def abandon(self) -> None:
        """Drop them without waiting: their event loop is closed."""
        for member in self._members.values():
            member.abandon()

    async def _learn(self) -> None:
        slots = await self._ask_for_slots()
        members = {address: self._member(address) for address in slots.primaries()}
        gone = [member for address, member in self._members.items() if address not in members]
        self._slots, self._members = slots, members
        self._failed.clear()
        self._is_outdated = False
        # To the end of all: nobody knows of them any more.
        await run_to_end(close_all([member.close() for member in gone]))

    async def _ask_for_slots(self) -> Slots:
        """Ask until a node knows of all slots; if none does, there is nothing better than what one knows of most."""
        found = Slots()
        failure: Exception = ClusterDownError("no node has any slot")
        for address in self._candidates():
            try:
                slots = await self._ask_one_for_slots(address)
            except (RedisError, OSError) as error:
                failure = error
                continue
            if slots.is_complete():
                return slots
            found = max(found, slots, key=Slots.count)
        if not found.ranges:
            raise failure
        return found

    async def _ask_one_for_slots(self, address: Address) -> Slots:
        [answer] = await self._member(address).send([("CLUSTER", "SLOTS")])
        if isinstance(answer, ResponseError):
            raise ResponseError("Cluster mode is not enabled") if _NO_CLUSTER in str(answer) else answer
        return Slots.from_answer(answer, lambda host, port: self._locate(host, port, address.host))

    def _candidates(self) -> list[Address]:
        """Return whom to ask: those known last first, and those that have just failed last."""
        return sorted(dict.fromkeys([*self._members, *self._startup]), key=self._failed.__contains__)

    def _locate(self, host: bytes | str | None, port: int, asked: str) -> Address:
        return Address(*self._remap(named_host(host, asked), port))

    def _member(self, address: Address) -> _Member:
        if address not in self._members:
            self._members[address] = _Member(address, self._to_node(address), self._note_failure)
        return self._members[address]

    def _note_failure(self, address: Address) -> None:
        # Perhaps another node has its slots by now; whoever comes next looks, and asks the others first.
        self._failed.add(address)
        self._is_outdated = True

    def _primary(self, key: bytes) -> _Member:
        # Where no node has the slot, any node says so, or who has it by now.
        return self._members[self._slots.primary(key_slot(key)) or self._slots.ranges[0].primary]

    async def _redirect(
        self, todo: dict[int, tuple[_Member, bool]], answers: list[Answer]
    ) -> dict[int, tuple[_Member, bool]]:
        """Return what has to be sent again, none of which took effect, and where."""
        again: dict[int, tuple[_Member, bool]] = {}
        for place, (member, _) in todo.items():
            answer = answers[place]
            if isinstance(answer, AskError):
                again[place] = self._named(answer, member), not isinstance(answer, MovedError)
            elif isinstance(answer, TryAgainError):
                again[place] = member, False
            elif isinstance(answer, ClusterDownError):
                self._note_failure(member.address)
        if any(isinstance(answers[place], TryAgainError) for place in again):
            await asyncio.sleep(_TRY_AGAIN_DELAY)
        return again

    def _named(self, error: AskError, asked: _Member) -> _Member:
        if isinstance(error, MovedError):
            self._is_outdated = True
        return self._member(self._locate(error.host, error.port, asked.address.host))


class _Member:
    """One node of a cluster.

    Args:
        address: where it is.
        connections: the way to it.
        note_failure: is told the address when a connection fails.
    """

    def __init__(
        self, address: Address, connections: ServerConnections, note_failure: Callable[[Address], None]
    ) -> None:
        self.address = address
        self._connections = connections
        self._note_failure = note_failure

    async def send(self, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Answer]:
        try:
            return await self._connections.send(commands)
        except (RedisError, OSError):
            self._note_failure(self.address)
            raise

    async def close(self) -> None:
        await self._connections.close()

    def abandon(self) -> None:
        self._connections.abandon()


async def _run_once(commands: Sequence[Command], todo: dict[int, tuple[_Member, bool]], answers: list[Answer]) -> None:
    by_member: dict[_Member, list[int]] = {}
    for place, (member, _) in todo.items():
        by_member.setdefault(member, []).append(place)
    # To the end of all, even when one fails: nothing may take effect after the failure was reported.
    ended = await asyncio.gather(
        *(_run_on(member, [(commands[place], todo[place][1]) for place in part]) for member, part in by_member.items()),
        return_exceptions=True,
    )
    for part, result in zip(by_member.values(), ended, strict=True):
        if isinstance(result, BaseException):
            raise result
        for place, answer in zip(part, result, strict=True):
            answers[place] = answer


async def _run_on(member: _Member, commands: Sequence[tuple[Command, bool]]) -> list[Answer]:
    words = []
    for command, asks in commands:
        words += [_ASKING, command.words] if asks else [command.words]
    answers = iter(await member.send(words))
    return [[next(answers) for _ in range(1 + asks)][-1] for _, asks in commands]
