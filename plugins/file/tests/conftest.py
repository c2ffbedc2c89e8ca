"""What the tests of the file store share."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest

from palaver import ManualClock
from palaver_file._files import SessionFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until it is moved."""
    return ManualClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store shall keep its sessions; not there yet."""
    return tmp_path / "sessions"


@pytest.fixture
def files(folder: Path, clock: ManualClock) -> SessionFiles:
    """The files of the empty namespace, without an event loop around them."""
    opened = SessionFiles(folder, "", clock, lock_timeout=10.0)
    opened.prepare()
    return opened


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a small file system in memory with the options given, and returns its folder."""
    mounts: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / "mounted"
        place.mkdir(exist_ok=True)
        if sys.platform != "linux" or os.geteuid() != 0:
            _cannot("only root on Linux can mount a file system")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=False, timeout=30)
        if done.returncode != 0:
            _cannot("this system does not allow to mount a file system")
        mounts.append(place)
        return place

    yield mount
    for place in mounts:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=30)


def _cannot(reason: str) -> NoReturn:
    """Skip a test on a computer that cannot run it, but never where all tests have to run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
