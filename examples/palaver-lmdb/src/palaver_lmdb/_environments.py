"""One LMDB environment for each folder in a process: LMDB forbids to open a folder twice."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lmdb

__all__ = ("SharedEnvironment", "close_environment", "open_environment")


@dataclass
class SharedEnvironment:
    """An open environment, and how many stores of this process use it."""

    folder: Path
    environment: Any  # lmdb brings no types
    users: int = 0


_lock: Final = threading.Lock()
# Of each process its own: after a fork, LMDB forbids to use or to close what the parent has opened.
_open: Final[dict[tuple[int, Path], SharedEnvironment]] = {}


def open_environment(path: str, map_size: int) -> SharedEnvironment:
    """Open the environment of a folder, or share the one that is open.

    Raises:
        lmdb.Error: it cannot be opened.
        OSError: the folder cannot be made.
    """
    folder = Path(path).resolve()
    key = os.getpid(), folder
    with _lock:
        if key not in _open:
            folder.mkdir(parents=True, exist_ok=True)
            _open[key] = SharedEnvironment(folder, lmdb.open(str(folder), map_size=map_size))
        _open[key].users += 1
        return _open[key]


def close_environment(shared: SharedEnvironment) -> None:
    """Close an environment when its last user does."""
    with _lock:
        shared.users -= 1
        if shared.users == 0:
            del _open[os.getpid(), shared.folder]
            shared.environment.close()
