"""One of the folders that the files of a namespace are spread over, with the lock that whoever changes it holds."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import lock_descriptor, unlock_descriptor

from palaver_file._disk import remove_file, require_folder, sync_folder
from palaver_file._names import SESSION_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("MOST_AT_ONCE", "FolderLock", "Shard")

_LOCK_NAME: Final = "lock"
_TEMPORARY_NAMES: Final = tuple(f"unfinished-{number}" for number in range(1, 9))
MOST_AT_ONCE: Final = len(_TEMPORARY_NAMES)
"""How many files of a shard can be written at the same time."""

_POLL_SECONDS: Final = 0.002
_LOCK_FILE: Final = os.O_RDWR | os.O_CREAT


class FolderLock:
    """A lock on a folder, among threads and among processes; it ends with the process that holds it.

    Args:
        folder: which folder; it has to be there.
        timeout: how many seconds to wait for it.
    """

    def __init__(self, folder: Path, timeout: float) -> None:
        self._path = str(folder / _LOCK_NAME)
        self._timeout = timeout
        # Threads queue here, so that at most one of them asks the file system again and again.
        self._among_threads = threading.Lock()
        self.is_stuck = False
        """Whether the last one who waited for it waited in vain."""

    @contextlib.contextmanager
    def held(self, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock.

        Raises:
            FileNotFoundError: the folder is not there.
            TimeoutError: someone else kept it for longer than `timeout`.
        """
        seconds = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        if not self._among_threads.acquire(timeout=seconds):
            raise self._not_free(seconds)
        try:
            # The lock is the system's, on a file that stays: it ends with its process, and there is none to clean up.
            descriptor = os.open(self._path, _LOCK_FILE, 0o600)
            try:
                self._wait(descriptor, seconds, deadline)
                self.is_stuck = False
                try:
                    yield
                finally:
                    # Not left to `close`: a forked child may have the descriptor, too.
                    unlock_descriptor(descriptor)
            finally:
                os.close(descriptor)
        finally:
            self._among_threads.release()

    def _wait(self, descriptor: int, seconds: float, deadline: float) -> None:
        while not lock_descriptor(descriptor, blocking=False):
            if time.monotonic() >= deadline:
                raise self._not_free(seconds)
            time.sleep(_POLL_SECONDS)

    def _not_free(self, seconds: float) -> TimeoutError:
        self.is_stuck = self.is_stuck or seconds > 0
        reason = f"another writer has kept this lock for {seconds:g} s; look for a process that is stuck or suspended"
        return TimeoutError(errno.ETIMEDOUT, reason, self._path)


class Shard:
    """A folder of session files.

    Args:
        folder: which folder; it is made when it is needed, in a folder that has to be there.
        lock_timeout: how many seconds to wait for its lock.
    """

    def __init__(self, folder: Path, lock_timeout: float) -> None:
        self.folder = folder
        self._prefix = f"{folder}{os.sep}"
        # Fixed names are enough, as only the lock's holder writes; what a crash has left is written over.
        self.temporaries = [self.path(name) for name in _TEMPORARY_NAMES]
        self._lock = FolderLock(folder, lock_timeout)
        self._is_known = False

    @property
    def is_stuck(self) -> bool:
        """Whether the last one who waited for the lock waited in vain."""
        return self._lock.is_stuck

    @contextlib.contextmanager
    def locked(self, timeout: float | None = None) -> Iterator[None]:
        """Hold the shard's lock: whoever changes the shard does."""
        with contextlib.ExitStack() as stack:
            self.lock(stack, timeout)
            yield

    def lock(self, stack: contextlib.ExitStack, timeout: float | None = None) -> None:
        """Hold the shard's lock until a stack ends."""
        if not self._is_known:
            self._make()
        try:
            stack.enter_context(self._lock.held(timeout))
        except FileNotFoundError:
            # Somebody has removed the folder.
            self._make()
            stack.enter_context(self._lock.held(timeout))

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return self._prefix + name

    def paths(self) -> list[str]:
        """List the session files.

        Under the lock: in a folder that changes, a file system may list a name twice or not at all.
        """
        with self.locked():
            return [str(path) for path in self.folder.iterdir() if path.name.endswith(SESSION_SUFFIX)]

    def sync(self) -> None:
        """Bring to the disk which files there are."""
        sync_folder(self.folder)

    def sweep(self) -> None:
        """Remove what a writer has left that was killed; a writer that is at work is left alone."""
        left = [path for path in self.temporaries if Path(path).exists()]
        if not left:
            return
        with contextlib.suppress(TimeoutError), self._lock.held(timeout=0):
            for path in left:
                remove_file(path)

    def _make(self) -> None:
        require_folder(self.folder.parent)
        self.folder.mkdir(0o700, exist_ok=True)
        # Synced even when someone else has just made it, for they may not have come to that.
        sync_folder(self.folder.parent)
        self._is_known = True
