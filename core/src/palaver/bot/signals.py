"""The signals with which people and platforms end a program: a bot ends what it has begun, and then itself."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("stop_signals",)


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the running event loop at the first SIGINT or SIGTERM; a second one does what it always did.

    A SIGTERM that the program handles itself is left to it, as is what it ignores. In other threads than the main one
    there are no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    former = {
        each: handler for each in _ours() if callable(handler := signal.getsignal(each)) or handler is signal.SIG_DFL
    }

    def give_back() -> None:
        while former:
            signal.signal(*former.popitem())

    def stop_once() -> None:
        if former:
            give_back()
            stop()

    def on_signal(*_: Any) -> None:
        loop.call_soon_threadsafe(stop_once)

    for each in former:
        signal.signal(each, on_signal)
    try:
        yield
    finally:
        give_back()


def _ours() -> Iterator[signal.Signals]:
    yield signal.SIGINT
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        yield signal.SIGTERM
