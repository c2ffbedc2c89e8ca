"""What becomes of things in a forked process: what the parent has open is not the child's."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Final, Protocol

__all__ = ("Inherited", "watch_forks")


class Inherited(Protocol):
    """Something that holds what belongs to one process."""

    def leave_to_parent(self) -> object:
        """Have none of it any more; called in the child, just after the fork.

        Returns:
            All of it. It is kept for ever: whatever collects or closes it in the child could be felt in the parent.
        """
        ...


_watched: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_watching: Final[list[threading.Lock]] = [threading.Lock()]
_left_to_parent: Final[list[object]] = []


def watch_forks(thing: Inherited) -> None:
    """Have a thing leave to the parent what is the parent's, in each process that is forked while it lives."""
    with _watching[0]:
        _watched.add(thing)


def _after_fork() -> None:
    # Another thread of the parent may have held it, which is not here to let it go.
    _watching[0] = threading.Lock()
    _left_to_parent.extend(thing.leave_to_parent() for thing in list(_watched))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
