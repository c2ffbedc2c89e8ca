"""A stream of events, handled until it ends or the program is told to."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from palaver.bot.signals import stop_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

__all__ = ("Service",)

Event = TypeVar("Event")

_MAX_EVENTS_AT_ONCE: Final = 1000

_logger = logging.getLogger(__name__)


class Service(Generic[Event]):
    """Handles the events of one stream, each in a task of its own.

    Args:
        handle: handles one event.
        close: refuses new turns and ends those that run.
    """

    def __init__(self, handle: Callable[[Event], Awaitable[None]], close: Callable[[], Awaitable[None]]) -> None:
        self._handle = handle
        self._close = close
        self._places = asyncio.Semaphore(_MAX_EVENTS_AT_ONCE)
        self._failure: BaseException | None = None
        """What ended the stream early."""
        self._closing: asyncio.Task[None] | None = None

    async def run(self, events: AsyncIterable[Event]) -> None:
        """Handle all events to their end; on SIGINT and SIGTERM those that were given until then.

        Raises:
            Exception: what the stream raised.
        """
        with stop_signals(self._stop):
            async with asyncio.TaskGroup() as self._tasks:
                self._reading = self._tasks.create_task(self._read(events))
        if self._closing is not None:
            await self._closing
        if self._failure is not None:
            raise self._failure

    def _stop(self) -> None:
        _logger.info("asked to stop: events that have begun are handled to their end, no others are taken")
        self._reading.cancel()
        self._closing = asyncio.ensure_future(self._close())

    async def _read(self, events: AsyncIterable[Event]) -> None:
        try:
            async for event in events:
                await self._places.acquire()
                self._tasks.create_task(self._handle_or_log(event)).add_done_callback(lambda _: self._places.release())
        except (Exception, asyncio.CancelledError) as error:
            # Raised in here, it would cancel the handlers, as a cancellation of the caller does.
            if _is_cancellation(error):
                raise
            self._failure = error

    async def _handle_or_log(self, event: Event) -> None:
        try:
            await self._handle(event)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancellation(error):
                raise
            _logger.exception("an event could not be handled")


def _is_cancellation(error: BaseException) -> bool:
    """Tell whether an error asks this task to stop; others let the cancellation of a task of theirs out."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
