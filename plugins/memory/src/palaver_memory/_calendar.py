"""Which sessions of a namespace expire when, so that a purge looks only at what is due."""

from __future__ import annotations

import heapq
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("Calendar",)

_PAGE_BITS: Final = 16
"""A page is 65 seconds: an active session, whose expiry moves with each turn, changes its page once a minute."""

_SPARE_NUMBERS: Final = 16


class Calendar:
    """The ids of a namespace, on the page of the time at which they expire; on a page of their own if they never do."""

    def __init__(self) -> None:
        self._pages: dict[int | None, dict[str, None]] = {}
        # The numbers of the pages as a heap, and of pages that are gone since: those are dropped when they come up.
        self._numbers: list[int] = []

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._pages.values())

    def add(self, session_id: str, expires_at: int | None) -> None:
        """Enter an id that is not in the calendar."""
        number = _page_number(expires_at)
        page = self._pages.get(number)
        if page is None:
            page = self._add_page(number)
        page[session_id] = None

    def move(self, session_id: str, former: int | None, expires_at: int | None) -> None:
        """Change the expiry of an id, from `former`."""
        if _page_number(former) != _page_number(expires_at):
            self.remove(session_id, former)
            self.add(session_id, expires_at)

    def remove(self, session_id: str, expires_at: int | None) -> None:
        """Remove an id that is in the calendar with that expiry."""
        number = _page_number(expires_at)
        page = self._pages[number]
        del page[session_id]
        if not page:
            del self._pages[number]

    def take_due(self, now: int) -> list[str]:
        """Remove and return the ids on all pages that have begun: those that have expired, and a few that soon will."""
        due: list[str] = []
        while self._numbers and self._numbers[0] <= now >> _PAGE_BITS:
            due += self._pages.pop(heapq.heappop(self._numbers), ())
        return due

    def _add_page(self, number: int | None) -> dict[str, None]:
        page = self._pages[number] = {}
        if number is not None:
            heapq.heappush(self._numbers, number)
            if len(self._numbers) > 2 * len(self._pages) + _SPARE_NUMBERS:
                self._numbers = [number for number in self._pages if number is not None]
                heapq.heapify(self._numbers)
        return page


def _page_number(expires_at: int | None) -> int | None:
    return None if expires_at is None else expires_at >> _PAGE_BITS
