"""Which sessions of a namespace expire when, as empty files, so that a purge looks only at what is due.

    expiry/472222/console-1_3f7b….expires

The folder is an hour, counted from 1970; in it, an empty file for each session that expires in that hour, named as the
session's file is. The invariant: a session that expires has its mark on the disk before it is there itself, and
for as long as it is. The reverse does not hold: a mark without its session is what a crash has left, and the next purge
of that hour removes it. Marks of a session are made and removed under the lock of its shard.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING, Final

from palaver_file._disk import make_folder, remove_file, sync_folder
from palaver_file._names import SESSION_SUFFIX, shard_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("Calendar", "hour_of")

_FOLDER_NAME: Final = "expiry"
_SUFFIX: Final = ".expires"
_HOUR_NAME: Final = re.compile(r"-?[0-9]{1,20}")
_MILLISECONDS: Final = 3_600_000
_PRIVATE_FILE: Final = 0o600
_ATTEMPTS: Final = 100


class Calendar:
    """The marks of a namespace.

    Args:
        folder: the folder of the namespace.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER_NAME
        self._known: set[Path] = set()

    def mark(self, name: str, expires_at: int) -> Path:
        """Make a mark, and return the folder that must be brought to the disk before the session is."""
        hour = self._hour(expires_at)
        for _ in range(_ATTEMPTS):
            try:
                if hour not in self._known:
                    self._make(hour)
                _touch(hour / _mark_name(name))
            except FileNotFoundError:
                # A purge has found the folder empty, and removed it.
                self._known.discard(hour)
            else:
                return hour
        raise FileNotFoundError(errno.ENOENT, "the folder is removed again and again", str(hour))

    def unmark(self, name: str, expires_at: int | None) -> None:
        """Remove the mark of a session that no longer expires then; it may be gone already."""
        if expires_at is not None:
            self.remove(self._hour(expires_at), name)

    def due(self, now: int) -> list[Path]:
        """List the hours that have begun."""
        with contextlib.suppress(FileNotFoundError):
            hours = [path for path in self._folder.iterdir() if _HOUR_NAME.fullmatch(path.name)]
            return [hour for hour in hours if int(hour.name) <= now // _MILLISECONDS]
        return []

    def names(self, hour: Path) -> list[str]:
        """List the names of the files of the sessions that are marked in an hour."""
        with contextlib.suppress(FileNotFoundError):
            names = [f"{path.stem}{SESSION_SUFFIX}" for path in hour.iterdir() if path.suffix == _SUFFIX]
            return [name for name in names if shard_of(name)]
        return []

    def remove(self, hour: Path, name: str) -> None:
        """Remove a mark from an hour, if it is there."""
        remove_file(hour / _mark_name(name))

    def is_in(self, hour: Path, expires_at: int | None) -> bool:
        """Tell whether what expires then has its mark in `hour`."""
        return hour.name == str(hour_of(expires_at))

    def close(self, hour: Path) -> None:
        """Remove an hour that is empty."""
        with contextlib.suppress(OSError):
            hour.rmdir()

    def _make(self, hour: Path) -> None:
        make_folder(hour)
        # Synced even when someone else has just made them, for they may not have come to that.
        sync_folder(self._folder)
        sync_folder(self._folder.parent)
        self._known.add(hour)

    def _hour(self, expires_at: int) -> Path:
        return self._folder / str(hour_of(expires_at))


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, _PRIVATE_FILE))


def _mark_name(name: str) -> str:
    return f"{name.removesuffix(SESSION_SUFFIX)}{_SUFFIX}"


def hour_of(expires_at: int | None) -> int | None:
    """Return the hour, counted from 1970, of an expiry; None for never."""
    return None if expires_at is None else expires_at // _MILLISECONDS
