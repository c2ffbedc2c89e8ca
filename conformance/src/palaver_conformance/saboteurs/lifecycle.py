"""Stores that are open when they should be closed, or closed when they should be open."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Self

from palaver.errors import StoreClosedError, StoreUnavailableError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from palaver.contract.clock import Clock
    from palaver.contract.record import Record
    from palaver_conformance.saboteurs._honest import Medium


# LIFECYCLE


@saboteur("use-before-init", law="LIFECYCLE-01", words="read() to raise StoreClosedError")
class BornOpen(HonestStore):
    """Works before init."""

    def __init__(self, medium: Medium, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(medium, clock=clock, namespace=namespace)
        self.is_open = True


@saboteur("use-before-init-batch", law="LIFECYCLE-01", words="read_many() to raise StoreClosedError")
class EmptyBatchAnyTime(HonestStore):
    """An empty batch is answered before init and after close."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        return await super().read_many(session_ids) if session_ids else []


@saboteur("closed-is-unavailable", law="LIFECYCLE-01", words="StoreUnavailableError")
class ClosedIsUnavailable(HonestStore):
    """A store that is not open says that its medium is not available."""

    async def begin(self) -> None:
        try:
            await super().begin()
        except StoreClosedError as error:
            raise StoreUnavailableError("not connected", store=repr(self)) from error


@saboteur("closed-foreign-error", law="LIFECYCLE-01", words="builtins.RuntimeError: not connected")
class ClosedIsForeign(HonestStore):
    """A store that is not open raises an error of its own."""

    async def begin(self) -> None:
        if not self.is_open:
            raise RuntimeError("not connected")
        await super().begin()


@saboteur("use-after-close", law="LIFECYCLE-02", words="read() to raise StoreClosedError")
class NeverClosed(HonestStore):
    """Works after close."""

    async def close(self) -> None:
        return


@saboteur("use-after-close-destroy", law="LIFECYCLE-02", words="destroy() to raise StoreClosedError")
class DestroysWhenClosed(HonestStore):
    """Destroy does not ask whether the store is open."""

    async def destroy(self, session_id: str) -> None:
        self.discard(session_id)


@saboteur("close-forgets-second-time", law="LIFECYCLE-03", words="read() to raise StoreClosedError")
class ClosesOnce(HonestStore):
    """Close works once: a store that was opened again stays open."""

    was_closed = False

    async def close(self) -> None:
        if not self.was_closed:
            await super().close()
        self.was_closed = True


@saboteur("close-strands-calls", law="LIFECYCLE-04", words="hang")
class StrandsCalls(HonestStore):
    """A call that is under way when the store is closed never ends."""

    async def trip(self) -> None:
        was_open = self.is_open
        await super().trip()
        if was_open and not self.is_open:
            await asyncio.Future()


@saboteur("close-breaks-calls", law="LIFECYCLE-04", words="AttributeError")
class BreaksCalls(HonestStore):
    """A call that is under way when the store is closed trips over what is gone."""

    async def trip(self) -> None:
        was_open = self.is_open
        await super().trip()
        if was_open and not self.is_open:
            raise AttributeError("'NoneType' object has no attribute 'execute'")


@saboteur("close-drops-writes", law="LIFECYCLE-04", words="what was acknowledged")
class DropsWrites(HonestStore):
    """A write that is under way when the store is closed is acknowledged and lost."""

    def put(self, session_id: str, record: Record) -> None:
        if self.is_open:
            super().put(session_id, record)


@saboteur("enter-returns-none", law="LIFECYCLE-05", words="to give the store itself")
class EntersAsNothing(HonestStore):
    """The block `async with store as s` gets None."""

    async def __aenter__(self) -> Any:
        await self.init()


@saboteur("exit-swallows-error", law="LIFECYCLE-05", words="an error in the block to go through")
class SwallowsErrors(HonestStore):
    """The block `async with store` swallows the error that ends it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        await super().__aexit__(kind, error, trace)
        return True


@saboteur("exit-keeps-open", law="LIFECYCLE-05", words="read() to raise StoreClosedError")
class StaysOpenAfterError(HonestStore):
    """The block `async with store` does not close the store when it ends with an error."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await super().__aexit__(kind, error, trace)


# CLOSE


@saboteur("close-not-idempotent", law="CLOSE-01", words="it is closed already")
class CloseOnce(HonestStore):
    """Close of a store that was closed raises."""

    was_open = False

    async def init(self) -> Self:
        self.was_open = True
        return await super().init()

    async def close(self) -> None:
        if self.was_open and not self.is_open:
            raise RuntimeError("it is closed already")
        await super().close()


@saboteur("close-before-init-raises", law="CLOSE-01", words="AttributeError")
class CloseOfNothing(HonestStore):
    """Close of a store that was never opened trips over what is not there."""

    pool: Any = None

    async def init(self) -> Self:
        self.pool = frozenset()
        return await super().init()

    async def close(self) -> None:
        self.pool.union()
        await super().close()


@saboteur("close-twice-hangs", law="CLOSE-01", words="close() to end")
class SecondCloseHangs(HonestStore):
    """A second close waits for ever for what the first one has ended."""

    def __init__(self, medium: Medium, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(medium, clock=clock, namespace=namespace)
        self.connections = asyncio.Semaphore(0)

    async def init(self) -> Self:
        if not self.is_open:
            self.connections.release()
        return await super().init()

    async def close(self) -> None:
        await super().close()
        await self.connections.acquire()


@saboteur("close-returns-true", law="CLOSE-01", words="close() to return None")
class CloseReturnsTrue(HonestStore):
    """Close returns True."""

    async def close(self) -> Any:
        await super().close()
        return True


@saboteur("unclosed-warning", law="CLOSE-05", words="unclosed <socket")
class LeavesSocket(HonestStore):
    """Close forgets a socket that a write has opened, and Python warns when it is collected."""

    async def write(self, session_id: str, record: Record) -> None:
        self.socket = socket.socket()
        await super().write(session_id, record)


@saboteur("close-task-fails", law="CLOSE-05", words="Task exception was never retrieved")
class LeavesFailure(HonestStore):
    """A write begins a task that fails when the store is closed, and nobody sees it."""

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, record)
        self.flushing = asyncio.ensure_future(self.flush())

    async def flush(self) -> None:
        """Fail when the store is closed."""
        while self.is_open:  # noqa: ASYNC110
            await asyncio.sleep(0)
        raise ConnectionError("it is gone")
