"""A store under trial: each call is noted, bounded in time, and its answer checked type for type."""

from __future__ import annotations

import asyncio
import copy
import inspect
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from palaver.contract.record import Absent, Record
from palaver.errors import PalaverError
from palaver_conformance.ground.steps import describe
from palaver_conformance.ground.verdicts import LawBroken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence
    from types import TracebackType

    from palaver.contract.store import Capabilities, SessionStore
    from palaver_conformance.ground.watch import Watch

__all__ = ("TracedStore",)

_ENDLESS: Final = 20_000
"""No law makes so many sessions."""

ErrorT = TypeVar("ErrorT", bound=BaseException)


class TracedStore:
    """The verbs of a store, as laws use them."""

    def __init__(self, watch: Watch, store: SessionStore, name: str, namespace: str) -> None:
        self.inner = store
        self.name = name
        self.namespace = namespace
        self._watch = watch

    @property
    def capabilities(self) -> Capabilities:
        """What the store declares."""
        return self.inner.capabilities

    async def __aenter__(self) -> Self:
        return await self.init()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The verbs.

    async def init(self) -> Self:
        """Call `init`, which must return the store itself."""
        answer = await self.call("init")
        if answer is not self.inner:
            raise LawBroken(expected="init() to return the store itself", got=describe(answer))
        return self

    async def close(self) -> None:
        """Call `close`."""
        self._expect_none("close", await self.call("close"))

    async def read(self, session_id: str) -> Record | None:
        """Call `read`."""
        return self._checked_record(await self.call("read", session_id), (session_id,))

    async def write(self, session_id: str, record: Record) -> None:
        """Call `write`."""
        self._expect_none("write", await self.call("write", session_id, record))

    async def destroy(self, session_id: str) -> None:
        """Call `destroy`."""
        self._expect_none("destroy", await self.call("destroy", session_id))

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        """Call `swap`."""
        return self._checked_bool(await self.call("swap", session_id, record, expected))

    async def remove(self, session_id: str, expected: str) -> bool:
        """Call `remove`."""
        return self._checked_bool(await self.call("remove", session_id, expected))

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        """Call `touch`."""
        return self._checked_bool(await self.call("touch", session_id, expires_at))

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        """Call `read_many`."""
        answer = self._checked_list(await self.call("read_many", session_ids), len(session_ids))
        for each in answer:
            self._checked_record(each, tuple(session_ids))
        return answer

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        """Call `write_many`."""
        self._expect_none("write_many", await self.call("write_many", items))

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        """Call `swap_many`."""
        answer = self._checked_list(await self.call("swap_many", items), len(items))
        for each in answer:
            self._checked_bool(each)
        return answer

    async def purge(self) -> int:
        """Call `purge`."""
        return self._checked_count(await self.call("purge"))

    async def clear(self) -> int:
        """Call `clear`."""
        return self._checked_count(await self.call("clear"))

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        """Call `scan` and take its ids one after another; left early, it is closed."""
        step = self._watch.steps.begin(f"{self.name}.scan({describe(prefix) if prefix else ''})")
        seen: list[str] = []
        iterator = self.inner.scan(prefix)
        if inspect.iscoroutine(iterator):
            iterator.close()
            raise LawBroken(expected="scan() to return an async iterator", got="a coroutine")
        async with aclosing(_closable(iterator)):
            while (session_id := await self._next(iterator)) is not None:
                seen.append(self._checked_text(session_id))
                self._watch.check(len(seen) < _ENDLESS, expected="scan() to end", got=f"{len(seen)} ids, and more")
                yield session_id
        step.text += f" -> {describe(seen)}"

    # What laws ask besides.

    async def scan_all(self, prefix: str = "") -> list[str]:
        """Scan to the end."""
        return [session_id async for session_id in self.scan(prefix)]

    async def expect(self, session_id: str, record: Record | None) -> None:
        """Read a session, which must have this record, or none."""
        self._watch.same_record(await self.read(session_id), record, session_id)

    async def refuses(self, error: type[ErrorT], verb: str, *arguments: Any) -> ErrorT:
        """Call a verb, which must raise an error of this class."""
        try:
            answer = await self._exhausted(verb, *arguments)
        except error as raised:
            return raised
        except PalaverError as raised:
            got = f"{type(raised).__name__}: {raised}"
            raise LawBroken(expected=f"{verb}() to raise {error.__name__}", got=got) from raised
        raise LawBroken(expected=f"{verb}() to raise {error.__name__}", got=describe(answer))

    async def call(self, verb: str, *arguments: Any) -> Any:
        """Call any verb, note it, and see that it ends, raises nothing foreign, and leaves its arguments alone."""
        self._watch.last_ids = _ids_of(verb, arguments)
        step = self._watch.steps.add(f"{self.name}.{verb}({_arguments(arguments)})", self._watch.last_ids)
        self._remember(verb, arguments)
        before = copy.copy(arguments[0]) if arguments and isinstance(arguments[0], list) else None
        try:
            answer = await self._bounded(f"{verb}()", getattr(self.inner, verb)(*arguments))
        except PalaverError as error:
            step.text += f" -> raises {type(error).__name__}: {error}"
            raise
        if verb not in ("init", "write", "destroy", "close", "write_many"):
            step.text += f" -> {describe(answer)}"
        if before is not None and before != arguments[0]:
            raise LawBroken(expected="the list that was given to stay as it was", got=describe(arguments[0]))
        return answer

    async def _exhausted(self, verb: str, *arguments: Any) -> Any:
        return await (self.scan_all(*arguments) if verb == "scan" else self.call(verb, *arguments))

    async def _next(self, iterator: AsyncIterator[str]) -> Any:
        try:
            return await self._bounded("scan()", iterator.__anext__())
        except StopAsyncIteration:
            return None

    async def _bounded(self, what: str, answer: Awaitable[Any]) -> Any:
        if not inspect.isawaitable(answer):
            raise LawBroken(expected=f"{what} to be awaitable", got=describe(answer))
        self._watch.beat()
        limit = asyncio.timeout(self._watch.call_seconds)
        try:
            async with limit:
                return await answer
        except (PalaverError, LawBroken, StopAsyncIteration):
            raise
        except TimeoutError as error:
            if limit.expired():
                raise self._hangs(what) from error
            raise _foreign(what, error) from error
        except Exception as error:
            raise _foreign(what, error) from error
        finally:
            self._watch.beat()

    def _hangs(self, what: str) -> LawBroken:
        self._watch.has_hung = True
        limit = self._watch.call_seconds
        return LawBroken(expected=f"{what} to end", got=f"it hangs: no answer within {limit:g} seconds")

    def _remember(self, verb: str, arguments: tuple[Any, ...]) -> None:
        if verb in ("write", "swap"):
            self._watch.steps.wrote(arguments[0], arguments[1])
        if verb in ("write_many", "swap_many"):
            for session_id, record, *_ in arguments[0]:
                self._watch.steps.wrote(session_id, record)

    def _expect_none(self, verb: str, answer: Any) -> None:
        if answer is not None:
            raise LawBroken(expected=f"{verb}() to return None", got=describe(answer))

    def _checked_record(self, answer: Any, ids: tuple[str, ...]) -> Record | None:
        fault = _record_fault(answer)
        if fault is not None:
            raise LawBroken(expected="a Record of bytes, str and int or None, exactly, or None", got=fault, ids=ids)
        return answer  # type: ignore[no-any-return]

    def _checked_bool(self, answer: Any) -> bool:
        if type(answer) is not bool:
            raise LawBroken(expected="True or False", got=describe(answer))
        return answer

    def _checked_count(self, answer: Any) -> int:
        if type(answer) is not int:
            raise LawBroken(expected="how many were removed, as an int", got=describe(answer))
        return answer

    def _checked_text(self, answer: Any) -> str:
        if type(answer) is not str:
            raise LawBroken(expected="scan() to give ids of type str", got=describe(answer))
        return answer

    def _checked_list(self, answer: Any, length: int) -> list[Any]:
        if type(answer) is not list:
            raise LawBroken(expected="a list with one result for each item", got=describe(answer))
        if len(answer) != length:
            got = f"{len(answer)} results: {describe(answer)}"
            raise LawBroken(expected=f"a list of {length} results, one for each item", got=got)
        return answer


def _foreign(what: str, error: Exception) -> LawBroken:
    got = f"{type(error).__module__}.{type(error).__qualname__}: {error}"
    return LawBroken(expected=f"{what} to answer, or to raise an error of palaver.errors", got=got)


def _record_fault(answer: Any) -> str | None:
    if answer is None:
        return None
    if type(answer) is not Record:
        return f"{type(answer).__name__}: {describe(answer)}"
    for name, kinds in (("payload", (bytes,)), ("version", (str,)), ("expires_at", (int, type(None)))):
        value = getattr(answer, name)
        if type(value) not in kinds:
            return f"a Record whose {name} is of type {type(value).__name__}: {describe(value)}"
    return None


def _arguments(arguments: tuple[Any, ...]) -> str:
    return ", ".join(map(describe, arguments))


def _ids_of(verb: str, arguments: tuple[Any, ...]) -> tuple[str, ...]:
    if not arguments:
        return ()
    if verb == "read_many":
        return tuple(arguments[0])
    if verb in ("write_many", "swap_many"):
        return tuple(item[0] for item in arguments[0])
    return (arguments[0],)


def _closable(iterator: Any) -> Any:
    """An iterator need not be closable; then there is nothing to close."""
    return iterator if hasattr(iterator, "aclose") else _NothingToClose()


class _NothingToClose:
    async def aclose(self) -> None:
        return None
