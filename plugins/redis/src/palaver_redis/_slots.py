"""Which node of a cluster has which slots, as one of them says it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("Address", "SlotRange", "Slots", "named_host")

_SLOTS: Final = 16384
_UNKNOWN_HOSTS: Final = ("", "?")


class Address(NamedTuple):
    """Where a node is."""

    host: str
    port: int


class SlotRange(NamedTuple):
    """Slots that follow one another, and the node that has them; the last one is among them."""

    first: int
    last: int
    primary: Address


@dataclass(frozen=True)
class Slots:
    """Ranges in order. The 16,384 slots are not listed one by one: that would take a while at every change."""

    ranges: tuple[SlotRange, ...] = ()

    @classmethod
    def from_answer(cls, answer: Sequence[Sequence[Any]], locate: Callable[[bytes | None, int], Address]) -> Self:
        """Understand an answer to `CLUSTER SLOTS`.

        Args:
            answer: for each range its ends, its primary, and the replicas of that.
            locate: makes an address of a host, as a node names it, and a port.
        """
        ranges = [SlotRange(part[0], part[1], locate(part[2][0], part[2][1])) for part in answer]
        return cls(tuple(sorted(ranges)))

    def primary(self, slot: int) -> Address | None:
        """Return where the node is that has a slot, None when no node has it."""
        place = bisect_right(self.ranges, slot, key=attrgetter("first"))
        if not place or slot > self.ranges[place - 1].last:
            return None
        return self.ranges[place - 1].primary

    def primaries(self) -> list[Address]:
        """Return where the nodes are that have slots, in the order of these."""
        return list(dict.fromkeys(part.primary for part in self.ranges))

    def count(self) -> int:
        """Return how many slots some node has."""
        return sum(part.last - part.first + 1 for part in self.ranges)

    def is_complete(self) -> bool:
        """Tell whether every slot is on some node."""
        return self.count() == _SLOTS


def named_host(host: bytes | str | None, asked: str) -> str:
    """Return a host as a node named it; one that it does not know, or does not say, is that which was asked."""
    name = host.decode() if isinstance(host, bytes) else host or ""
    return asked if name in _UNKNOWN_HOSTS else name
