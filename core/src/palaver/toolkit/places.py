"""So many calls at a time, and no queue of waits behind a medium that does not answer."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from palaver.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ("Places",)

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Waiter:
    place: asyncio.Future[None]
    is_late: bool = False
    """Whether it has waited as long as a call may take."""


class Places:
    """Lets a few calls run at the same time; the others wait for their turn, in order.

    When the medium hangs, those who wait must not wait one after the other: whoever has waited for as long as an answer
    may take, fails with the first call that has no answer.

    Args:
        count: how many calls run at the same time.
        patience: for how many seconds an answer may be waited for.
        store: where the medium is, without any credential.
    """

    def __init__(self, count: int, *, patience: float, store: str) -> None:
        self._count: Final = count
        self._patience: Final = patience
        self._store: Final = store
        self._free = count
        self._waiting: deque[_Waiter] = deque()
        self._is_silent = False

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do `call` when it is its turn.

        Raises:
            StoreUnavailableError: the call before this one failed, and this one has waited long; or `call` raised it.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait()
        try:
            answer = await call()
        except StoreUnavailableError as error:
            # What concerns one session says nothing of the medium.
            self._is_silent = error.session_id is None
            raise
        else:
            self._is_silent = False
        finally:
            self._pass_on()
        return answer

    async def drain(self) -> None:
        """Wait for the calls that run or wait; none may be begun any more."""
        for _ in range(self._count):
            if self._free:
                self._free -= 1
            else:
                await self._wait(has_end=False)

    async def _wait(self, *, has_end: bool = True) -> None:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future())
        self._waiting.append(waiter)
        timer = loop.call_later(self._patience, self._note_late, waiter) if has_end else None
        try:
            await waiter.place
        except asyncio.CancelledError:
            if not waiter.place.cancelled() and waiter.place.exception() is None:
                self._pass_on()  # it had its turn already
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _note_late(self, waiter: _Waiter) -> None:
        waiter.is_late = True
        if self._is_silent:
            self._fail(waiter)

    def _pass_on(self) -> None:
        if self._is_silent:
            for waiter in self._waiting:
                if waiter.is_late:
                    self._fail(waiter)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.place.done():
                waiter.place.set_result(None)
                return
        self._free += 1

    def _fail(self, waiter: _Waiter) -> None:
        if not waiter.place.done():
            reason = f"the call before this one failed, and this one has waited for {self._patience:g} seconds"
            waiter.place.set_exception(StoreUnavailableError(reason, store=self._store))
