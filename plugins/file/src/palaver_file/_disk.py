"""Files and folders as a store needs them: never half written, and on the disk when a call returns.

Nothing here knows what a session is; whatever fails is an `OSError`.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "make_folder",
    "move_file",
    "read_file",
    "remove_file",
    "require_folder",
    "start_file",
    "sync_file",
    "sync_folder",
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_IS_WINDOWS: Final = os.name == "nt"
_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY
# Without waiting: somebody may have put a pipe in the place of a file.
_OLD_FILE: Final = os.O_RDONLY | _BINARY | getattr(os, "O_NONBLOCK", 0)
_READ_BYTES: Final = 16 * 1024
"""Most sessions are smaller, so that one read gets all of them."""

_PATIENCE: Final = 1.0
_PAUSE: Final = 0.005


def read_file(path: str) -> bytes | None:
    """Return what is in a file, None when there is no file."""
    try:
        return _patiently(_read, path)
    except FileNotFoundError:
        return None


def start_file(path: str, content: bytes) -> int:
    """Write a file, whatever is in it now, and return it open: it is not on the disk before it is synced."""
    return _patiently(_write, path, content)


def move_file(path: str, target: str) -> None:
    """Put a file in the place of another at once: whatever happens, there is one of the two."""
    _patiently(os.replace, path, target)


def remove_file(path: str | Path) -> bool:
    """Remove a file, or an empty folder in its place, and tell whether there was one."""
    try:
        _patiently(os.unlink, path)
    except FileNotFoundError:
        return False
    except OSError:
        # Systems disagree on how they refuse to unlink a folder.
        place = Path(path)
        if not place.is_dir() or place.is_symlink():
            raise
        place.rmdir()
    return True


def make_folder(path: Path) -> None:
    """Make a folder and those above it, only for this user, where they are missing."""
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent)
    try:
        path.mkdir(_PRIVATE_FOLDER)
    except FileExistsError as error:
        # Asked once, for it may be removed at any moment: then it is gone, which is not to be a file.
        if not stat.S_ISDIR(path.stat().st_mode):
            reason = "this is a file, and a folder is needed; move it away or choose another path"
            raise NotADirectoryError(errno.ENOTDIR, reason, str(path)) from error
    sync_folder(path.parent)


def require_folder(path: Path) -> None:
    """Tell a folder that is gone, for example with a disk that was unmounted, from one that lacks a file."""
    if not path.is_dir():
        reason = "the folder is gone since the store was opened; bring it back, or open the store anew"
        raise FileNotFoundError(errno.ENOENT, reason, str(path))


def sync_folder(path: str | Path) -> None:
    """Bring the names in a folder to the disk; Windows has no call for that."""
    if _IS_WINDOWS:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_file(descriptor, path)
    finally:
        os.close(descriptor)


def sync_file(descriptor: int, path: str | Path) -> None:
    """Bring an open file to the disk; an error names the path."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise


def _read(path: str) -> bytes:
    descriptor = os.open(path, _OLD_FILE)
    try:
        content = os.read(descriptor, _READ_BYTES)
        # Less than was asked for may be the end, and may not.
        while more := os.read(descriptor, max(_READ_BYTES, len(content))):
            content += more
    except OSError as error:
        error.filename = path
        raise
    else:
        return content
    finally:
        os.close(descriptor)


def _write(path: str, content: bytes) -> int:
    descriptor = os.open(path, _NEW_FILE, _PRIVATE_FILE)
    try:
        rest = memoryview(content)
        while rest:
            # The system may take less than it was given.
            rest = rest[os.write(descriptor, rest) :]
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, OSError):
            error.filename = path
        raise
    return descriptor


def _patiently(action: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Do something with a file, again and again for a second where the system locks files that others have open."""
    if not _IS_WINDOWS:
        return action(*arguments)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return action(*arguments)
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)
