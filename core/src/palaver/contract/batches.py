"""For stores whose every call is a batch: what one item needs is a batch of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from palaver.contract.store import SessionStore
from palaver.errors import SessionTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from palaver.contract.record import Absent, Record

__all__ = ("BatchSessionStore", "rounds")

ItemT = TypeVar("ItemT", bound="tuple[str, Record, str | Absent]")


class BatchSessionStore(SessionStore):
    """A store that writes its batch verbs only: `read`, `write` and `swap` are batches of one.

    Takes what `SessionStore` takes; declares `batch` and `swap`.
    """

    async def read(self, session_id: str) -> Record | None:
        return (await self.read_many([session_id]))[0]

    async def write(self, session_id: str, record: Record) -> None:
        await self.write_many([(session_id, record)])

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return (await self.swap_many([(session_id, record, expected)]))[0]

    def check_sizes(self, items: Iterable[tuple[str, Record] | tuple[str, Record, str | Absent]]) -> None:
        """Refuse a batch with a payload that is too large, before anything is changed.

        Raises:
            SessionTooLargeError: a payload is larger than `max_payload_bytes`.
        """
        limit = self.capabilities.max_payload_bytes
        if limit is None:
            return
        for session_id, record, *_ in items:
            if len(record.payload) > limit:
                raise SessionTooLargeError(session_id, size=len(record.payload), limit=limit)


def rounds(swaps: Sequence[ItemT]) -> list[dict[int, ItemT]]:
    """Cut swaps into rounds in which no id is twice, for media that take a set of different ids at once.

    Returns:
        The rounds, one after another in order; each has its swaps by their places in the batch.
    """
    seen: dict[str, int] = {}
    found: list[dict[int, ItemT]] = []
    for place, swap in enumerate(swaps):
        number = seen.get(swap[0], 0)
        seen[swap[0]] = number + 1
        if number == len(found):
            found.append({})
        found[number][place] = swap
    return found
