"""What stores with batches have in common."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver import ABSENT, BatchSessionStore, Capabilities, Record, SessionTooLargeError, new_version
from palaver.contract.batches import rounds
from palaver.contract.record import SwapDecision, decide_swap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver import Absent


class DictSessionStore(BatchSessionStore):
    """A store that writes the batch verbs only."""

    capabilities = Capabilities(swap=True, batch=True, max_payload_bytes=4)

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, Record] = {}

    async def init(self) -> Self:
        return self

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        return list(map(self.records.get, session_ids))

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        self.check_sizes(items)
        self.records.update(items)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        self.check_sizes(items)
        answers = []
        for session_id, record, expected in items:
            decision = decide_swap(self.records.get(session_id), record, expected)
            if decision is SwapDecision.STORE:
                self.records[session_id] = record
            answers.append(decision is not SwapDecision.REFUSE)
        return answers

    async def destroy(self, session_id: str) -> None:
        self.records.pop(session_id, None)


def record(payload: bytes = b"1") -> Record:
    """A record that never expires."""
    return Record(payload, new_version(), None)


async def test_one_item_is_a_batch_of_one() -> None:
    """The single verbs do what the batch verbs do."""
    store, first, second = DictSessionStore(), record(), record()

    await store.write("a", first)

    assert await store.read("a") == first
    assert await store.read("b") is None
    assert await store.swap("a", second, first.version)
    assert not await store.swap("a", record(), ABSENT)
    assert await store.read("a") == second


async def test_a_batch_with_a_payload_that_is_too_large_changes_nothing() -> None:
    """And the error says whose it is, how large, and what the limit is."""
    store = DictSessionStore()

    with pytest.raises(SessionTooLargeError) as caught:
        await store.swap_many([("a", record(), ABSENT), ("b", record(b"12345"), ABSENT)])

    assert (caught.value.session_id, caught.value.size, caught.value.limit) == ("b", 5, 4)
    assert store.records == {}


@given(st.lists(st.sampled_from("abc"), max_size=20))
def test_rounds_hold_every_swap_once_and_no_id_twice(ids: list[str]) -> None:
    """Swaps of one id are in different rounds, in their order; no round more than needed."""
    swaps = [(session_id, record(), ABSENT) for session_id in ids]

    cut = rounds(swaps)

    assert sorted(place for part in cut for place in part) == list(range(len(ids)))
    assert all(swaps[place] is swap for part in cut for place, swap in part.items())
    assert all(len({swap[0] for swap in part.values()}) == len(part) for part in cut)
    assert len(cut) == max(Counter(ids).values(), default=0)
    for session_id in set(ids):
        places = [place for part in cut for place, swap in part.items() if swap[0] == session_id]
        assert places == sorted(places)
