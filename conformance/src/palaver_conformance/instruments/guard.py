"""Running what may hang: in a thread of its own, watched from outside."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ("Hung", "run_guarded", "run_guarded_for")

T = TypeVar("T")

_POLL_SECONDS: Final = 0.25


class Hung(Exception):  # noqa: N818  # it is a verdict
    """Raised when the work gave no sign of life for too long; its thread is left behind.

    Args:
        where: the line on which it stands.
    """

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class _Worker(threading.Thread, Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        # A daemon: a thread that hangs for ever must not keep the process from ending.
        super().__init__(name="palaver-conformance", daemon=True)
        self._work = work
        self.answer: T
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer = self._work()
        except BaseException as error:  # noqa: BLE001  # handed over to the thread that waits
            self.error = error


def run_guarded(work: Callable[[], T], last_beat: Callable[[], float], patience: float) -> T:
    """Run `work` in a thread and return its answer, or raise what it raises.

    Args:
        work: what may hang.
        last_beat: when it last gave a sign of life, on the monotonic clock.
        patience: how many seconds without such a sign are too many.

    Raises:
        Hung: there was none for so long.
    """
    worker = _Worker(work)
    worker.start()
    while worker.is_alive():
        worker.join(_POLL_SECONDS)
        if worker.is_alive() and time.monotonic() - last_beat() > patience:
            raise Hung(_where(worker))
    if worker.error is not None:
        raise worker.error
    return worker.answer


def run_guarded_for(work: Callable[[], T], seconds: float) -> T:
    """Run `work` in a thread for so many seconds at most.

    Raises:
        Hung: it did not end.
    """
    began = time.monotonic()
    return run_guarded(work, lambda: began, seconds)


def _where(worker: threading.Thread) -> str:
    frame = sys._current_frames().get(worker.ident or 0)  # noqa: SLF001  # the documented way to ask for it
    return "it ended just now" if frame is None else describe_frame(frame)


def describe_frame(frame: FrameType) -> str:
    """Name the innermost line that is neither the kit's nor the standard library's."""
    stack = traceback.extract_stack(frame)
    own = [entry for entry in stack if not _is_machinery(entry.filename)]
    if not own:
        return "in the event loop, waiting for what does not come"
    entry = own[-1]
    return f"at {Path(entry.filename).name}:{entry.lineno}, in {entry.name}: {entry.line or '?'}"


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_KIT, _LIBRARY, "<")) and "site-packages" not in filename


_KIT: Final = str(Path(__file__).parent)
_LIBRARY: Final = str(Path(threading.__file__).parent)
