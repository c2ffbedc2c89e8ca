"""Opening and closing, and the place where a store is open: written once for all stores.

A store is open in one event loop of one process. It notices when it is used in another one:

- The former loop has ended: what was opened there is gone with it, and the store opens itself again in the new one.
- The former loop still runs, in another thread: `WrongLoopError`.
- The process is a fork: what was opened belongs to the parent, and the store opens itself again in the child.
"""

from __future__ import annotations

import asyncio
import warnings
import weakref
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from palaver.errors import StoreClosedError, WrongLoopError, own_copy
from palaver.toolkit.cancellation import run_to_end
from palaver.toolkit.forks import watch_forks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ("Lifecycle", "plain_name")

OpenT = TypeVar("OpenT")


class Lifecycle(Generic[OpenT]):
    """Whether a store is open, and where: opened once however many ask at the same time, and closed once.

    Verbs begin with `opened = self._lifecycle.here or await self._lifecycle.enter()`.

    Warns with `ResourceWarning` when it is collected while something that it opened is still open.

    Args:
        name: how the store is called in messages, without any credential.
        opener: opens what the verbs need, and returns it; it is never false.
        closer: closes that; None where there is nothing to close.
        abandon: drops it without waiting when its event loop is closed: no loop runs any more that could close it.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], Awaitable[OpenT]],
        closer: Callable[[OpenT], Awaitable[None]] | None = None,
        abandon: Callable[[OpenT], None] | None = None,
    ) -> None:
        self._name = name
        self._opener = opener
        self._closer = closer
        self._abandon = abandon
        self._reason = "it is not open yet"
        self._is_open = False
        self._opened: OpenT | None = None
        self._end_of_loop: AsyncGenerator[None, None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        self._lock = asyncio.Lock()
        self._opening: asyncio.Future[Exception | None] | None = None
        """What those wait for who come while it is being opened: None or the error, cancelled if nobody found out."""
        self._claiming = Lock()
        watch_forks(self)

    @property
    def here(self) -> OpenT | None:
        """What is open in the running event loop; None if nothing is, and `enter` finds out why."""
        # One event loop at a time runs in a thread. To ask for the running one takes more than twice as long up to
        # Python 3.11.
        if self._thread == get_ident() and self._loop is not None and self._loop.is_running():
            return self._opened
        return None

    async def enter(self) -> OpenT:
        """Return what is open in the running event loop, opened again if it was open in one that is gone.

        Raises:
            StoreClosedError: it is not open.
            WrongLoopError: it is open in an event loop that still runs.
        """
        self._claim(asyncio.get_running_loop())
        if not self._is_open:
            raise self._closed()
        while (opened := self._opened) is None:
            await self._share_opening(is_again=True)
        return opened

    async def open(self) -> None:
        """Open it unless it is open already; when that fails, it stays as it was.

        Concurrent callers share one opening and its outcome, so that none waits for more than one dead server. If the
        caller that opens is cancelled, another one takes over.

        Raises:
            WrongLoopError: it is open in an event loop that still runs.
        """
        self._claim(asyncio.get_running_loop())
        await self._share_opening(is_again=False)

    async def _share_opening(self, *, is_again: bool) -> None:
        while self._opening is not None:
            opening = self._opening
            # Not awaited itself: the cancellation of one who waits would cancel it for all.
            await asyncio.wait([opening])
            if opening.cancelled():
                continue
            error = opening.result()
            if error is not None:
                raise own_copy(error)
            return
        await self._open_for_all(is_again=is_again)

    async def _open_for_all(self, *, is_again: bool) -> None:
        opening = self._opening = asyncio.get_running_loop().create_future()
        try:
            await self._open(is_again=is_again)
        except Exception as error:
            opening.set_result(error)
            raise
        except BaseException:
            opening.cancel()
            raise
        else:
            opening.set_result(None)
        finally:
            if self._opening is opening:  # else it belongs to an event loop that came after this one
                self._opening = None
            del opening  # it holds the error, whose traceback holds this frame

    async def _open(self, *, is_again: bool) -> None:
        async with self._lock:
            if is_again and not self._is_open:  # somebody has closed it meanwhile
                raise self._closed()
            if self._opened is None:
                self._opened = await self._opener()
                self._end_of_loop = _when_the_loop_ends(weakref.ref(self))
                await anext(self._end_of_loop)
            self._is_open = True

    async def close(self) -> None:
        """Close it if it is open; from the first moment on nobody may use the store.

        To its end, even when the caller is cancelled: what is closed half-way could not be closed again.

        Raises:
            WrongLoopError: it is open in an event loop that still runs.
        """
        await run_to_end(self._close())

    async def _close(self) -> None:
        self._claim(asyncio.get_running_loop())
        async with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            self._reason = "it is closed"
            await self._give_back()
            end, self._end_of_loop = self._end_of_loop, None
            if end is not None:
                await end.aclose()

    async def _give_back(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and self._closer is not None:
            await self._closer(opened)

    def _closed(self) -> StoreClosedError:
        return StoreClosedError(plain_name(self._name), reason=self._reason)

    def _claim(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let this be the event loop in which the store is open, unless it is open in one that runs."""
        if self._loop is loop:
            self._thread = get_ident()
            return
        with self._claiming:
            former, is_used = self._loop, self._is_open or self._opening is not None
            if former is not None and is_used and former.is_running():
                raise WrongLoopError(plain_name(self._name))
            opened, self._opened = self._opened, None
            self._loop, self._thread, self._lock = loop, get_ident(), asyncio.Lock()
            self._opening = self._end_of_loop = None
        if opened is not None and self._abandon is not None:
            self._abandon(opened)

    def leave_to_parent(self) -> object:
        """Have nothing open, and be in no event loop: in a forked process."""
        left = self._opened, self._end_of_loop, self._loop, self._lock, self._opening
        self._opened = self._end_of_loop = self._loop = self._thread = self._opening = None
        self._claiming = Lock()  # another thread of the parent may have held it
        return left

    def __del__(self) -> None:
        if self._opened is not None and self._closer is not None:
            warnings.warn(f"{self._name} was never closed", ResourceWarning, stacklevel=1)


async def _when_the_loop_ends(reference: weakref.ref[Lifecycle[Any]]) -> AsyncGenerator[None, None]:
    """Close in its own event loop what is open there: a loop closes its asynchronous generators before it ends.

    So `asyncio.run` may come and go, and each time what was opened is closed properly; the store counts as open.
    """
    try:
        yield
    finally:
        lifecycle = reference()
        if lifecycle is not None:
            await lifecycle._give_back()  # noqa: SLF001  # it is a part of it


def plain_name(store: str) -> str:
    """Return how messages for people name a store: its repr, without what only marks it as one."""
    return store.removeprefix("<").removesuffix(">")
