"""Which slot is on which node, as a node says it."""

from __future__ import annotations

from typing import Any

import pytest

from palaver_redis._slots import Address, SlotRange, Slots, named_host

A, B = Address("10.0.0.1", 7000), Address("10.0.0.2", 7001)
NODE_A, NODE_B = [b"10.0.0.1", 7000, b"id-a", []], [b"10.0.0.2", 7001, b"id-b", []]


def slots(*answer: list[Any]) -> Slots:
    """Understand an answer of the node 10.0.0.9."""
    return Slots.from_answer(answer, lambda host, port: Address(named_host(host, "10.0.0.9"), port))


def test_ends_of_ranges() -> None:
    """The first and the last slot of a range are on its node, the next one is not."""
    known = slots([0, 100, NODE_A], [101, 16383, NODE_B])
    assert [known.primary(slot) for slot in (0, 1, 100, 101, 102, 16383)] == [A, A, A, B, B, B]


def test_range_of_one_slot() -> None:
    """A range may be a single slot."""
    known = slots([0, 6, NODE_A], [7, 7, NODE_B], [8, 16383, NODE_A])
    assert [known.primary(slot) for slot in (6, 7, 8)] == [A, B, A]


def test_order_of_an_answer() -> None:
    """Ranges are in order, whatever the order of the answer."""
    known = slots([9000, 16383, NODE_B], [0, 8999, NODE_A])
    assert known == Slots((SlotRange(0, 8999, A), SlotRange(9000, 16383, B)))
    assert known.primaries() == [A, B]


def test_gaps() -> None:
    """A slot before, between and behind the ranges is on no node."""
    known = slots([10, 19, NODE_A], [30, 39, NODE_B])
    assert [known.primary(slot) for slot in (0, 9, 20, 29, 40, 16383)] == [None] * 6
    assert known.count() == 20
    assert not known.is_complete()


def test_complete() -> None:
    """All slots are there when no range is missing."""
    assert slots([0, 8191, NODE_A], [8192, 16383, NODE_B]).is_complete()
    assert not slots([0, 8191, NODE_A], [8192, 16382, NODE_B]).is_complete()


def test_nothing() -> None:
    """A node that knows of no slot says so with an empty answer."""
    assert slots() == Slots()
    assert Slots().primary(0) is None
    assert Slots().primaries() == []


def test_replicas() -> None:
    """Replicas are passed over."""
    known = slots([0, 16383, NODE_A, NODE_B, NODE_B])
    assert known.primaries() == [A]


def test_node_with_several_ranges() -> None:
    """A node is named once, however many ranges it has."""
    assert slots([0, 1, NODE_B], [2, 3, NODE_A], [4, 5, NODE_B]).primaries() == [B, A]


@pytest.mark.parametrize("host", [b"", b"?", None, ""])
def test_host_that_is_not_named(host: Any) -> None:
    """A node without a name is where the node is that was asked, at its own port."""
    assert slots([0, 16383, [host, 7005, b"id", []]]).primary(5) == Address("10.0.0.9", 7005)


@pytest.mark.parametrize("host", ["::1", "2001:db8::7", "redis-0.example", "localhost"])
def test_names_of_hosts(host: str) -> None:
    """A name or an address is taken as it is, with or without more words about the node."""
    assert slots([0, 16383, [host.encode(), 7005]]).primary(5) == Address(host, 7005)
    assert slots([0, 16383, [host.encode(), 7005, b"id", {b"ip": b"10.0.0.1"}]]).primary(5) == Address(host, 7005)


def test_cannot_be_changed() -> None:
    """A table is a value: equal ones are the same, and none changes."""
    known = slots([0, 16383, NODE_A])
    assert known == slots([0, 16383, NODE_A])
    with pytest.raises(AttributeError):
        known.ranges = ()  # type: ignore[misc]
