"""What all servers have in common: start, wait until ready, restart, kill, stop."""

from __future__ import annotations

import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from palaver_test_servers._watcher import forget, watch

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("Server", "ServerMissingError", "free_port")

START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 30.0
_LOOK_AGAIN: Final = 0.02
_SHOWN_OF_LOG: Final = 4_000


class ServerMissingError(Exception):
    """Raised when a server cannot be had on this computer; says what to install."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server(ABC):
    """One server process; every method blocks, so that a test on the event loop calls it in a thread.

    Args:
        folder: an empty folder for its data and its log.
    """

    told_again_after: float = 30.0
    """After how many seconds it is told once more to shut down, where it may not have listened the first time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where a store finds it."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that runs it in the foreground.

        Raises:
            ServerMissingError: it is not on this computer.
        """

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether it answers."""

    def prepare(self) -> None:  # noqa: B027  # most servers need nothing before their first start
        """Do what comes before the first start."""

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            ServerMissingError: it is not on this computer.
            RuntimeError: it does not come up; the end of its log is in the error.
        """
        if not any(self.folder.iterdir()):
            self.prepare()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        watch(self._process.pid)
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Let it shut down in order."""
        if self._process is None:
            return
        deadline = time.monotonic() + _STOP_TIMEOUT
        while self._process.poll() is None and time.monotonic() < deadline:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self.told_again_after)
        self._reap(timeout=0)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._reap(timeout=_STOP_TIMEOUT)

    def restart(self) -> None:
        """Stop it in order, and start it with the data that it has."""
        self.stop()
        self.start()

    def revive(self) -> str:
        """Start it again if it has ended by itself.

        Returns:
            The end of its log, if it had ended; otherwise nothing.
        """
        if self._process is None or self._process.poll() is None:
            return ""
        code, log = self._process.returncode, self._end_of_log()
        self._reap(timeout=0)
        self.start()
        return f"{type(self).__name__} ended by itself with code {code}; the end of its log:\n{log}"

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _reap(self, timeout: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_TIMEOUT)
        forget(self._process.pid)
        self._process = None

    def _end_of_log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-_SHOWN_OF_LOG:]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self.is_ready():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{type(self).__name__} does not come up; the end of its log:\n{self._end_of_log()}")
            time.sleep(_LOOK_AGAIN)
