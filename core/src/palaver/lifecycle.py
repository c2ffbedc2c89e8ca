"""Opening and closing, written once for all stores."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING

from palaver.cancellation import run_to_end
from palaver.errors import StoreClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ("Lifecycle",)


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

    async def open(self, opener: Callable[[], Awaitable[None]] | None = None) -> None:
        """Open with `opener` unless it is open already; when that raises, it stays closed."""
        async with self._changing():
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
        async with self._changing():
            if not self._is_open:
                return
            self._is_open = False
            self._reason = "it is closed"
            if closer is not None:
                await closer()
            self._holds_something = False

    def _changing(self) -> asyncio.Lock:
        """Return the lock of this event loop; a store may be used in several, one after another."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._lock = asyncio.Lock()
        return self._lock

    def require_open(self) -> None:
        """Refuse to go on when the store is not open.

        Raises:
            StoreClosedError: it is not open.
        """
        if not self._is_open:
            raise StoreClosedError(self._name, reason=self._reason)

    def __del__(self) -> None:
        if self._holds_something:
            warnings.warn(f"{self._name} was never closed", ResourceWarning, stacklevel=1)
