"""What the conformance kit needs to know of the memory store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver_memory import MemorySessionStore

if TYPE_CHECKING:
    from palaver import Clock

__all__ = ("MemoryHarness",)


class MemoryHarness:
    """A location is a name; it belongs to one process, so no other can make the same stores."""

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> MemorySessionStore:
        return MemorySessionStore(location, clock=clock, namespace=namespace)

    def __reduce__(self) -> str:
        raise TypeError("what a memory store keeps is in this process")
