"""A process that sees the tests end, however they end, and then kills the servers that are left.

No handler in the tests themselves could: nothing runs in a process that is killed. And the system's own means, where
there is one, watches the thread that has started a server instead of its process.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, Final

__all__ = ("forget", "watch")


class _Watcher:
    """The process, from the side of the tests: started with the first server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def tell(self, line: str) -> None:
        with self._lock:
            pipe = self._pipe()
            # It ends by itself only when somebody kills it.
            with suppress(OSError):
                pipe.write(f"{line}\n")
                pipe.flush()

    def _pipe(self) -> IO[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                # What ends the tests from a terminal must not end it.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            atexit.register(self._end)
        pipe: IO[str] = self._process.stdin  # type: ignore[assignment]
        return pipe

    def _end(self) -> None:
        if self._process is not None:
            self._process.communicate()


_watcher: Final = _Watcher()


def watch(pid: int) -> None:
    """Have a server killed when this process has ended."""
    _watcher.tell(f"+{pid}")


def forget(pid: int) -> None:
    """Leave a server alone that has ended: another process may get its number."""
    _watcher.tell(f"-{pid}")


def _main() -> None:
    left: set[int] = set()
    for line in sys.stdin:  # until the other end is closed, by whatever
        change = left.add if line[0] == "+" else left.discard
        change(int(line[1:]))
    for pid in left:
        with suppress(OSError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


if __name__ == "__main__":
    _main()
