"""The commands of one open store: so many calls at a time, and their failures in Palaver's words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from redis.exceptions import NoScriptError, RedisError, ResponseError

from palaver.errors import StoreUnavailableError
from palaver.toolkit.cancellation import run_to_end
from palaver.toolkit.places import Places
from palaver_redis._connections import Command
from palaver_redis._errors import explain, is_cut, is_lasting, mapped_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from palaver_redis._connections import Answer, Connections, Node
    from palaver_redis._scripts import Script

__all__ = ("Channel", "chunks")

T = TypeVar("T")

_CHUNK_ITEMS: Final = 256
_CHUNK_BYTES: Final = 4 * 1024 * 1024
"""A server does one command after the other: long ones would keep all its other clients waiting."""


class _Run(Protocol):
    async def __call__(self, commands: Sequence[Command]) -> list[Answer]: ...


class Channel:
    """The way of one open store to its servers.

    Args:
        connections: where commands go.
        shown: where that is, without any credential.
        calls: how many calls there are at a time; more wait for their turn.
        timeout: after how many seconds those that wait give up when the last call had no answer.
    """

    def __init__(self, connections: Connections, shown: str, *, calls: int, timeout: float) -> None:
        self.shown = shown
        self._connections = connections
        self._places = Places(calls, patience=timeout, store=shown)

    async def ask(self, commands: Sequence[Command]) -> list[Answer]:
        """Send what changes nothing; errors of the server are among the answers. Can be cancelled at once.

        When the connection ends before all answers are there, it is asked once more, on another one.
        """
        # Nothing is not sent: Python 3.12 keeps an empty write in its buffer, and so the connection from being closed.
        return await self._take_turn(lambda: _asked(lambda: self._connections.run(commands))) if commands else []

    async def change(self, commands: Sequence[Command]) -> list[Answer]:
        """Send what changes something; errors of the server are among the answers.

        What was sent cannot be called back: it is waited for even when the caller is cancelled (law CANCEL-01).
        """
        return await self._take_turn(lambda: run_to_end(self._connections.run(commands))) if commands else []

    async def ask_node(self, node: Node, *words: str | bytes | int) -> Answer:
        """Send to one server what changes nothing."""
        [answer] = await self._take_turn(lambda: _asked(lambda: node.send([words])))
        return self.checked(answer)

    async def ask_script(self, script: Script, now: int, items: Sequence[tuple[bytes, tuple[Any, ...]]]) -> list[Any]:
        """Run a script that changes nothing for keys, each with its arguments; one answer for each."""
        return await self._run_script(self.ask, script, now, items)

    async def change_script(
        self, script: Script, now: int, items: Sequence[tuple[bytes, tuple[Any, ...]]]
    ) -> list[Any]:
        """Run a script that changes something for keys, each with its arguments; one answer for each."""
        return await self._run_script(self.change, script, now, items)

    async def nodes(self) -> Sequence[Node]:
        """Return every server that has data of its own."""
        return await self._take_turn(lambda: _asked(self._connections.nodes))

    def by_slot(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        """Group the places of keys, in order, so that one command can have those of a group together."""
        return self._connections.by_slot(keys)

    def checked(self, answer: Answer) -> Answer:
        """Return an answer, unless it is an error of the server.

        Raises:
            StoreUnavailableError: it is.
        """
        if isinstance(answer, ResponseError):
            retryable = not is_lasting(answer)
            raise StoreUnavailableError(explain(answer), store=self.shown, retryable=retryable) from answer
        return answer

    async def close(self) -> None:
        """Wait for the calls that run, and close the connections."""
        await self._places.drain()
        await self._connections.close()

    def abandon(self) -> None:
        """Drop the connections without waiting: their event loop is closed."""
        self._connections.abandon()

    async def _take_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._places.run(lambda: self._mapped(call))

    async def _mapped(self, call: Callable[[], Awaitable[T]]) -> T:
        with mapped_errors(self.shown):
            return await call()

    async def _run_script(
        self, run: _Run, script: Script, now: int, items: Sequence[tuple[bytes, tuple[Any, ...]]]
    ) -> list[Any]:
        keys = [key for key, _ in items]
        groups = self.by_slot(keys)
        calls = [
            (
                len(group),
                *[keys[place] for place in group],
                now,
                *[word for place in group for word in items[place][1]],
            )
            for group in groups
        ]
        return _in_order(groups, await self._evaluate(run, script, calls))

    async def _evaluate(self, run: _Run, script: Script, calls: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        answers = await run([Command(call[1], ("EVALSHA", script.sha, *call)) for call in calls])
        # A server that was restarted has forgotten the script; it refuses before it does anything.
        unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            told = await run([Command(calls[place][1], ("EVAL", script.source, *calls[place])) for place in unknown])
            for place, answer in zip(unknown, told, strict=True):
                answers[place] = answer
        return [self.checked(answer) for answer in answers]


async def _asked(question: Callable[[], Awaitable[T]]) -> T:
    """Ask what changes nothing, once more when the connection has ended meanwhile."""
    try:
        return await _cancellable(question())
    except (RedisError, OSError) as error:
        if not is_cut(error):
            raise
    return await _cancellable(question())


async def _cancellable(work: Awaitable[T]) -> T:
    """Await work that may swallow a cancellation, as `asyncio.wait_for` in redis-py does before Python 3.12."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    answer = await work
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return answer


def chunks(items: Sequence[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Cut items into parts that a server does in a moment.

    Args:
        items: what to cut.
        size: how many bytes an item has.
    """
    start = total = 0
    for place, item in enumerate(items):
        weight = size(item)
        if place > start and (place - start == _CHUNK_ITEMS or total + weight > _CHUNK_BYTES):
            yield items[start:place]
            start, total = place, 0
        total += weight
    if start < len(items):
        yield items[start:]


def _in_order(groups: Sequence[Sequence[int]], answers: list[list[T]]) -> list[T]:
    if len(groups) == 1:
        return answers[0]
    placed = {
        place: answer
        for group, part in zip(groups, answers, strict=True)
        for place, answer in zip(group, part, strict=True)
    }
    return [placed[place] for place in range(len(placed))]
