"""The contract's base class: options, the lifecycle of a block, and what is not declared."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from palaver import Capabilities, InvalidOptionError, ManualClock, Record, SystemClock, UnsupportedError

if TYPE_CHECKING:
    from core.tests.conftest import FourMethodStore

YEAR_MS = 365 * 24 * 3600 * 1000


def test_a_session_lives_a_year_unless_told_otherwise(four_method_store: FourMethodStore) -> None:
    """The default ttl is one year; seconds, a timedelta and None are understood."""
    make = type(four_method_store)

    assert make().expiry(0) == YEAR_MS
    assert make(ttl=10).expiry(5) == 10_005
    assert make(ttl=0.001).expiry(5) == 6
    assert make(ttl=timedelta(days=2)).expiry(0) == 2 * 24 * 3600 * 1000
    assert make(ttl=None).expiry(0) is None


@pytest.mark.parametrize("no_clock", [5, None, ManualClock, time.time])
def test_a_clock_that_tells_no_time_is_refused(four_method_store: FourMethodStore, no_clock: Any) -> None:
    """A clock is an object with `now()`, not a class, a number or a function."""
    with pytest.raises(InvalidOptionError, match="clock"):
        type(four_method_store)(clock=no_clock)


@pytest.mark.parametrize("ttl", [0, -1, 0.0001, "10", float("nan"), float("inf"), True, 1e300, timedelta(0), [1]])
def test_a_ttl_that_means_nothing_is_refused(four_method_store: FourMethodStore, ttl: Any) -> None:
    """Zero, negative and what is no number is an error, not for ever and not at once."""
    with pytest.raises(InvalidOptionError, match="ttl"):
        type(four_method_store)(ttl=ttl)


@pytest.mark.parametrize("namespace", ["a\0", "\ud800", "x" * 513, 5])
def test_a_namespace_that_some_store_could_not_keep_is_refused(
    four_method_store: FourMethodStore, namespace: Any
) -> None:
    """A namespace is text like an id, but may be empty."""
    with pytest.raises(InvalidOptionError, match="namespace"):
        type(four_method_store)(namespace=namespace)


async def test_what_is_not_declared_is_unsupported(four_method_store: FourMethodStore) -> None:
    """Every optional verb names the capability that is missing, and the store."""
    record = Record(b"", "v", None)
    store = four_method_store
    with pytest.raises(UnsupportedError, match=r"FourMethodStore.*swap"):
        await store.swap("a", record, "v")
    with pytest.raises(UnsupportedError, match="touch"):
        await store.touch("a", None)
    with pytest.raises(UnsupportedError, match="purge"):
        await store.purge()
    with pytest.raises(UnsupportedError, match="clear"):
        await store.clear()
    with pytest.raises(UnsupportedError, match="batch"):
        await store.read_many(["a"])
    with pytest.raises(UnsupportedError, match="batch"):
        await store.write_many([("a", record)])
    with pytest.raises(UnsupportedError, match="batch"):
        await store.swap_many([("a", record, "v")])
    with pytest.raises(UnsupportedError, match="scan"):
        store.scan()

    assert store.records == {}


async def test_a_block_opens_and_closes(four_method_store: FourMethodStore) -> None:
    """`async with store` is init and close."""
    async with four_method_store as store:
        assert store is four_method_store
        assert store.calls == ["init"]

    assert store.calls == ["init", "close"]


def test_a_store_declares_nothing_by_itself() -> None:
    """Each capability has to be claimed, by keyword."""
    nothing = Capabilities()

    assert not any(value is True for value in vars(nothing).values())
    assert nothing.max_payload_bytes is None
    assert nothing.max_id_bytes == 512
    assert nothing.expiry_granularity_ms == 1


def test_the_system_clock_tells_unix_milliseconds() -> None:
    """It is this century, in milliseconds."""
    assert 1_700_000_000_000 < SystemClock().now() < 5_000_000_000_000
