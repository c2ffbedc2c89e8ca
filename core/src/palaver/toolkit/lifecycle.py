"""Opening and closing, written once for all stores."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING

from palaver.errors import StoreClosedError, own_copy
from palaver.toolkit.cancellation import run_to_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ("Lifecycle", "plain_name")


class Lifecycle:
    """Whether a store is open: opened once however many ask at the same time, and closed once.

    Warns with `ResourceWarning` when it is collected while something that it opened is still open.

    Args:
        name: how the store is called in messages, without any credential.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._reason = "it is not open yet"
        self._is_open = False
        self._holds_something = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._opening: asyncio.Future[Exception | None] | None = None
        """What those wait for who come while it is being opened: None or the error, cancelled if nobody found out."""

    async def open(self, opener: Callable[[], Awaitable[None]] | None = None) -> None:
        """Open with `opener` unless it is open already; when that raises, it stays closed.

        Concurrent callers share one opening and its outcome, so that none waits for more than one dead server. If the
        caller that opens is cancelled, another one takes over.
        """
        self._enter_loop()
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
        await self._open_for_all(opener)

    async def _open_for_all(self, opener: Callable[[], Awaitable[None]] | None) -> None:
        opening = self._opening = asyncio.get_running_loop().create_future()
        try:
            await self._open(opener)
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

    async def _open(self, opener: Callable[[], Awaitable[None]] | None) -> None:
        async with self._lock:
            if self._is_open:
                return
            if opener is not None:
                await opener()
            self._holds_something = opener is not None
            self._is_open = True

    async def close(self, closer: Callable[[], Awaitable[None]] | None = None) -> None:
        """Close with `closer` if it is open; from the first moment on nobody may use the store.

        To its end, even when the caller is cancelled: what is closed half-way could not be closed again.
        """
        await run_to_end(self._close(closer))

    async def _close(self, closer: Callable[[], Awaitable[None]] | None) -> None:
        self._enter_loop()
        async with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            self._reason = "it is closed"
            if closer is not None:
                await closer()
            self._holds_something = False

    def _enter_loop(self) -> None:
        """Leave what belongs to another event loop: a store may be used in several, one after another."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._lock = asyncio.Lock()
            self._opening = None

    def require_open(self) -> None:
        """Refuse to go on when the store is not open.

        Raises:
            StoreClosedError: it is not open.
        """
        if not self._is_open:
            raise StoreClosedError(plain_name(self._name), reason=self._reason)

    def __del__(self) -> None:
        if self._holds_something:
            warnings.warn(f"{self._name} was never closed", ResourceWarning, stacklevel=1)


def plain_name(store: str) -> str:
    """Return how messages for people name a store: its repr, without what only marks it as one."""
    return store.removeprefix("<").removesuffix(">")
