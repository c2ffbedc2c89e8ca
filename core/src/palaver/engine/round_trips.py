"""Shared round trips: calls that wait at the same moment go to the store as one.

A bot under load has hundreds of turns at a time, each with one read and one save. One by one, each would cost a round
trip. Here, whatever has gathered by the end of the event loop's current pass goes out as one `read_many` or
`swap_many`. The invariants:

1. A turn that is alone waits for nobody: its calls go to the store directly, in its own task.
2. First come, first sent: with those who wait as well, as soon as there is a free place in flight.
3. Batches are bounded, in items and in bytes, and share evenly what waits among the places that are free: the store
   has one while the turns of another go on.
4. A call that fails for a reason of its own fails alone: the others are sent again without it, and it goes by itself,
   beside the batches, so that a session that is locked keeps nobody waiting. An error that names no session has its
   batch sent again one by one. Repeating is safe: a swap of the same record may be repeated (law SWAP-03). An
   unavailable store fails all of them, and those who had to stay behind when they took off: they have waited for as
   long. Nothing is repeated.
5. To cancel a call touches no other. One that was not sent yet never is; one that was is waited for, so that it has
   no effect after its turn has ended (law CANCEL-01).
6. There is a task only while something is in flight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from palaver.errors import PalaverError, StoreUnavailableError, own_copy
from palaver.toolkit.cancellation import run_to_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from palaver.contract.record import Absent, Record
    from palaver.contract.store import SessionStore

__all__ = ("RoundTrips",)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MAX_ITEMS: Final = 256
MAX_BYTES: Final = 4 * 1024 * 1024

SMALLEST_SHARE: Final = 16
"""What waits is not cut into less: to send a batch costs as much as some items."""


class RoundTrips:
    """The way of one engine to its store, in one event loop."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        can_share = store.capabilities.batch and store.batches_in_flight > 0
        places = store.batches_in_flight
        self._reads = _Lane(store.read, store.read_many, _itself, _no_bytes, places) if can_share else None
        self._swaps = (
            _Lane(self._swap_one, store.swap_many, _session_id, _payload_bytes, places)
            if can_share and store.capabilities.swap
            else None
        )

    def __repr__(self) -> str:
        return f"<RoundTrips: reads {self._reads!r}, swaps {self._swaps!r}>"

    def read(self, session_id: str, *, is_alone: bool) -> Coroutine[Any, Any, Record | None]:
        """Do what the store's `read` does."""
        if is_alone or self._reads is None:
            return self._store.read(session_id)
        return self._reads.send(session_id)

    def swap(
        self, session_id: str, record: Record, expected: str | Absent, *, is_alone: bool
    ) -> Coroutine[Any, Any, bool]:
        """Do what the store's `swap` does."""
        if is_alone or self._swaps is None:
            return self._store.swap(session_id, record, expected)
        return self._swaps.send((session_id, record, expected))

    async def _swap_one(self, item: tuple[str, Record, str | Absent]) -> bool:
        return await self._store.swap(*item)


class _Call(Generic[Item, Answer]):
    """Somebody who waits for an answer."""

    __slots__ = ("answer", "batch", "item")

    def __init__(self, item: Item, answer: asyncio.Future[Answer]) -> None:
        self.item = item
        self.answer = answer
        self.batch: asyncio.Task[None] | None = None


class _Lane(Generic[Item, Answer]):
    """The calls of one verb: those who wait, and the batches in flight."""

    def __init__(
        self,
        one: Callable[[Item], Awaitable[Answer]],
        many: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        session_id: Callable[[Item], str],
        size: Callable[[Item], int],
        places: int,
    ) -> None:
        self._one = one
        self._many = many
        self._session_id = session_id
        self._size = size
        self._places = places
        self._waiting: deque[_Call[Item, Answer]] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._alone: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop, while a departure is set."""

    def __repr__(self) -> str:
        return f"[{len(self._waiting)} waiting, {len(self._in_flight)} in flight]"

    async def send(self, item: Item) -> Answer:
        """Send a call together with others, and return its answer."""
        loop = self._loop
        if loop is None:
            # At the end of this pass of the loop: by then, all who are about to call have called.
            self._loop = loop = asyncio.get_running_loop()
            loop.call_soon(self._depart)
        call: _Call[Item, Answer] = _Call(item, loop.create_future())
        self._waiting.append(call)
        try:
            return await call.answer
        except asyncio.CancelledError:
            if call.batch is not None:
                await run_to_end(asyncio.wait([call.batch]))
            raise

    def _depart(self) -> None:
        self._loop = None
        while self._waiting and len(self._in_flight) < self._places:
            batch = self._next_batch(self._share())
            if batch:
                self._take_off(batch)

    def _share(self) -> int:
        even = ceil(len(self._waiting) / (self._places - len(self._in_flight)))
        return min(MAX_ITEMS, max(SMALLEST_SHARE, even))

    def _next_batch(self, most: int) -> list[_Call[Item, Answer]]:
        batch: list[_Call[Item, Answer]] = []
        room = MAX_BYTES
        while self._waiting and len(batch) < most:
            call = self._waiting[0]
            room -= self._size(call.item)
            if batch and room < 0:
                break
            self._waiting.popleft()
            if not call.answer.done():  # else it was cancelled while it waited
                batch.append(call)
        return batch

    def _take_off(self, batch: list[_Call[Item, Answer]]) -> None:
        last_behind = self._waiting[-1] if self._waiting else None
        flight = asyncio.get_running_loop().create_task(self._fly(batch, last_behind))
        self._in_flight.add(flight)
        flight.add_done_callback(self._land)
        for call in batch:
            call.batch = flight

    def _land(self, flight: asyncio.Task[None]) -> None:
        self._in_flight.discard(flight)
        self._depart()

    async def _fly(self, batch: list[_Call[Item, Answer]], last_behind: _Call[Item, Answer] | None) -> None:
        while batch:
            try:
                answers = await self._many([call.item for call in batch])
            except PalaverError as error:
                if _is_of_the_store(error):
                    _fail([*batch, *self._give_up_until(last_behind)], error)
                    return
                batch = await self._recover(batch, error)
            except BaseException as error:
                _fail(batch, error)
                raise
            else:
                for call, answer in zip(batch, answers, strict=True):
                    if not call.answer.done():
                        call.answer.set_result(answer)
                return

    async def _recover(self, batch: list[_Call[Item, Answer]], error: PalaverError) -> list[_Call[Item, Answer]]:
        """Do what can be done after a batch has failed, and return which calls shall be sent again together."""
        if len(batch) == 1:
            _fail(batch, error)
            return []
        session_id = getattr(error, "session_id", None)
        # A call that was cancelled meanwhile must not be sent again.
        waiting = [call for call in batch if not call.answer.done()]
        others = [call for call in waiting if self._session_id(call.item) != session_id]
        if len(others) == len(waiting) == len(batch):
            for call in waiting:
                await self._fly_alone(call)
            return []
        for call in waiting:
            if self._session_id(call.item) == session_id:
                self._take_off_alone(call)
        return others

    def _give_up_until(self, last: _Call[Item, Answer] | None) -> list[_Call[Item, Answer]]:
        """Take those who still wait out of the line, up to and including `last`."""
        if last is None or last.batch is not None or last.answer.done():
            return []
        given_up: list[_Call[Item, Answer]] = []
        while self._waiting and (not given_up or given_up[-1] is not last):
            given_up.append(self._waiting.popleft())
        return given_up

    def _take_off_alone(self, call: _Call[Item, Answer]) -> None:
        call.batch = flight = asyncio.get_running_loop().create_task(self._fly_alone(call))
        self._alone.add(flight)
        flight.add_done_callback(self._alone.discard)

    async def _fly_alone(self, call: _Call[Item, Answer]) -> None:
        try:
            answer = await self._one(call.item)
        except PalaverError as error:
            _fail([call], error)
        except BaseException as error:
            _fail([call], error)
            raise
        else:
            _answer(call, answer)


def _is_of_the_store(error: PalaverError) -> bool:
    """Tell whether an error says that the whole store is unavailable, and not one session."""
    return isinstance(error, StoreUnavailableError) and error.session_id is None


def _answer(call: _Call[Item, Answer], answer: Answer) -> None:
    if not call.answer.done():
        call.answer.set_result(answer)


def _fail(batch: list[_Call[Item, Answer]], error: BaseException) -> None:
    for call in batch:
        if not call.answer.done():
            call.answer.set_exception(own_copy(error))


def _itself(session_id: str) -> str:
    return session_id


def _session_id(item: tuple[str, Record, str | Absent]) -> str:
    return item[0]


def _no_bytes(_: str) -> int:
    return 0


def _payload_bytes(item: tuple[str, Record, str | Absent]) -> int:
    return len(item[1].payload)
