"""Expiry: an instant, judged by the injected clock, on every path."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from palaver.contract.record import ABSENT
from palaver_conformance.ground.clock import START, StandingClock
from palaver_conformance.ground.law import law
from palaver_conformance.laws._purging import purge_at_most
from palaver_conformance.laws._verbs import expect_everywhere, expect_gone_everywhere
from palaver_conformance.laws._ways import ways_to_put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore

_LIVES: Final = (
    1,
    2,
    10,
    300,
    999,
    1_000,
    1_001,
    1_500,
    2_000,
    60_000,
    3_600_000,
    86_400_000,
    2_592_000_001,
    31_536_000_000,
)
_DAY: Final = 86_400_000
_YEAR: Final = 365 * _DAY


@law(
    "EXPIRY-01",
    proves=("EXPIRY-01",),
    catches=("ttl-ignored", "deadline-inclusive", "ttl-round-up", "ttl-unit", "ttl-doubled"),
)
async def gone_at_the_instant(ground: Ground) -> None:
    """A record is gone at the very instant of its expiry, whether it is a millisecond or a year away."""
    store = await ground.open()
    for put in ways_to_put(ground):
        for life in _LIVES:
            ground.begin_case()
            await put(store, "a", ground.record(lives=life))
            ground.advance(life + ground.grace)
            await store.expect("a", None)
            ground.advance(life)
            await store.expect("a", None)


@law(
    "EXPIRY-02",
    proves=("EXPIRY-01",),
    catches=("ttl-early", "ttl-overflow", "wall-clock", "ttl-unit-short", "ttl-thirty-days"),
)
async def alive_until_then(ground: Ground) -> None:
    """A record is there, unchanged, until one millisecond before its expiry."""
    store = await ground.open()
    for put in ways_to_put(ground):
        for life in (*_LIVES, 20 * _YEAR, 200 * _YEAR):
            ground.begin_case()
            record = ground.record(lives=life)
            await put(store, "a", record)
            for moment in sorted({life // 2, life * 9 // 10, life - 1}):
                ground.advance_to(START + moment)
                await store.expect("a", record)
            ground.advance_to(START)


@law("EXPIRY-03", proves=("EXPIRY-01",), catches=("never-expires-anyway", "expires-none-zero"))
async def never(ground: Ground) -> None:
    """A record without expiry is there for ever."""
    store = await ground.open()
    record = ground.record()
    await store.write("a", record)
    for later in (1, 1_000, 3_600_000, _DAY, 30 * _DAY, _YEAR, 10 * _YEAR, 100 * _YEAR, 1_000 * _YEAR):
        ground.advance(later)
        await expect_everywhere(ground, store, "a", record)


@law("EXPIRY-04", proves=("EXPIRY-01", "WRITE-01"), catches=("ttl-kept-on-overwrite", "ttl-max-of-both"))
async def overwriting_moves_it(ground: Ground) -> None:
    """Overwriting moves the expiry: earlier, later, to never and back."""
    store = await ground.open()
    for put in ways_to_put(ground):
        for first, second in ((60_000, 1_000), (1_000, 60_000), (1_000, None), (None, 1_000), (5_000, 5_001)):
            ground.begin_case()
            await store.write("a", ground.record(b"first", lives=first))
            record = ground.record(b"second", lives=second)
            await put(store, "a", record)
            await store.expect("a", record)
            ground.advance((second or 120_000) - 1)
            await store.expect("a", record)
            ground.advance(1 + ground.grace)
            await store.expect("a", record if second is None else None)


@law("EXPIRY-05", proves=("EXPIRY-01", "DESTROY-01"), catches=("index-outlives", "late-reaper"))
async def expired_ids_are_free(ground: Ground) -> None:
    """The id of an expired session can be used again, and nothing of the old one matters any more."""
    store = await ground.open()
    for number in range(4):
        await store.write("a", ground.record(b"old", lives=1_000))
        ground.advance(1_000 + ground.grace)
        if number % 2:
            await store.expect("a", None)
        new = ground.record(b"new", lives=None if number < 2 else 60_000)
        await store.write("a", new)
        await expect_everywhere(ground, store, "a", new)
        ground.advance(59_999)
        await expect_everywhere(ground, store, "a", new)
        await store.destroy("a")


@law("EXPIRY-06", proves=("EXPIRY-01",), catches=("wall-clock", "server-clock"), is_cause=True)
async def only_the_clock_that_was_given(ground: Ground) -> None:
    """Only the injected clock counts, also one that stands in 1970 or in the year 2400."""
    for now in (1_000, 86_400_000, 1_000_000_000_000, 4_102_444_800_000, 13_569_465_600_000):
        ground.move()
        clock = StandingClock(now)
        store = await ground.open(clock=clock)
        mortal, forever = ground.record(b"1"), ground.record(b"2")
        mortal = type(mortal)(b"1", mortal.version, now + 60_000)
        await store.write("a", mortal)
        await store.write("b", forever)
        clock.set(now + 59_999)
        await expect_everywhere(ground, store, "a", mortal)
        clock.set(now + 60_000 + ground.grace)
        await expect_gone_everywhere(ground, store, "a", mortal.version)
        await expect_everywhere(ground, store, "b", forever)
        await store.close()


@law(
    "EXPIRY-07",
    proves=("EXPIRY-01",),
    catches=("scan-expired", "batch-sees-expired", "expired-cas", "touch-revives", "lazy-reaper-visible"),
)
async def gone_on_every_path(ground: Ground) -> None:
    """An expired record is gone for every verb, each of them asked first."""
    for first in ("read", "read_many", "scan", "touch", "swap", "purge", "clear"):
        store = await ground.open()
        record = ground.record(lives=1_000)
        await store.write("a", record)
        ground.advance(999)
        await expect_everywhere(ground, store, "a", record)
        ground.advance(1 + ground.grace)
        await _ask_first(ground, store, first, record.version)
        await expect_gone_everywhere(ground, store, "a", record.version)
        await store.destroy("a")


async def _ask_first(ground: Ground, store: TracedStore, verb: str, version: str) -> None:
    declared = ground.capabilities
    if verb == "read_many" and declared.batch:
        ground.equal(await store.read_many(["a", "a"]), [None, None], "read_many to return")
    if verb == "scan" and declared.scan:
        ground.equal(await store.scan_all(), [], "scan to show")
    if verb == "touch" and declared.touch:
        ground.equal(await store.touch("a", ground.clock.now() + 60_000), False, "touch to answer")
    if verb == "swap" and declared.swap:
        ground.equal(await store.swap("a", ground.record(), version), False, "swap from the old version to answer")
    if verb == "clear" and declared.clear:
        ground.equal(await store.clear(), 0, "clear to count")
    if verb == "purge" and declared.purge:
        await purge_at_most(ground, store, 1)


@law("EXPIRY-08", proves=("EXPIRY-01", "SWAP-01"), needs=("swap",), catches=("expired-blocks-swap", "expired-cas"))
async def swaps_over_expired(ground: Ground) -> None:
    """To swap, an expired record is no record: ABSENT is expected, and its version is not."""
    store = await ground.open()
    for number in range(4):
        old = ground.record(b"old", lives=1_000)
        await store.write("a", old)
        ground.advance(1_000 + ground.grace)
        new = ground.record(b"new", lives=60_000 if number % 2 else None)
        ground.equal(await store.swap("a", new, old.version), False, "swap from the expired version to answer", "a")
        ground.equal(await store.swap("a", new, ABSENT), True, "swap from ABSENT to answer", "a")
        await store.expect("a", new)
        await store.destroy("a")


@law("EXPIRY-09", proves=("EXPIRY-01",), catches=("sweeps-too-much", "expiry-of-one-is-of-all"))
async def each_at_its_own_time(ground: Ground) -> None:
    """Sessions expire each at its own time, in whatever order they were written."""
    store = await ground.open()
    lives = [1_000 * (1 + (7 * number) % 20) for number in range(20)]
    records = {f"s{number}": ground.record(b"%d" % number, lives=life) for number, life in enumerate(lives)}
    for session_id, record in records.items():
        await store.write(session_id, record)
    began = ground.clock.now()
    for second in (4, 5, 11, 17, 20):
        ground.advance_to(began + 1_000 * second - 1)
        await _expect_the_living(ground, store, records)
        ground.advance(1 + ground.grace)
        await _expect_the_living(ground, store, records)


async def _expect_the_living(ground: Ground, store: TracedStore, records: dict[str, Record]) -> None:
    now = ground.clock.now()
    for session_id, record in records.items():
        if record.expires_at is None or record.expires_at > now:
            await store.expect(session_id, record)
        elif record.expires_at + ground.grace <= now:
            await store.expect(session_id, None)


@law("EXPIRY-10", proves=("EXPIRY-01",), catches=("wall-clock-jump", "monotonic-remaining", "clock-only-forwards"))
async def the_clock_goes_back(ground: Ground) -> None:
    """When the clock goes back, what is alive stays alive, and its expiry stays the instant that it was."""
    store = await ground.open()
    record, forever = ground.record(b"1", lives=60_000), ground.record(b"2")
    deadline = ground.clock.now() + 60_000
    await store.write("a", record)
    await store.write("b", forever)
    for instant in (deadline - 30_000, deadline - _YEAR, deadline - 1, deadline - 10 * _YEAR, deadline - 1):
        ground.advance_to(instant)
        await expect_everywhere(ground, store, "a", record)
        await expect_everywhere(ground, store, "b", forever)
    ground.advance_to(deadline + ground.grace)
    await store.expect("a", None)
    ground.advance_to(deadline - _YEAR)
    early = ground.record(lives=1_000)
    await store.write("a", early)
    ground.advance(999)
    await store.expect("a", early)
    ground.advance(1 + ground.grace)
    await store.expect("a", None)
    await store.expect("b", forever)


@law("EXPIRY-11", proves=("EXPIRY-01",), catches=("tz-local",))
async def time_zones_do_not_matter(ground: Ground) -> None:
    """The computer's time zone and its summer time do not matter."""
    # Half past one in New York and in Berlin on days when the clocks change.
    changes = (1_699_162_200_000, 1_710_054_000_000, 1_698_535_800_000, 1_711_848_600_000)
    for zone in ("America/New_York", "Europe/Berlin", "Asia/Kolkata"):
        with _zone(zone):
            for instant in changes:
                ground.advance_to(instant)
                store = await ground.open()
                for life in (1_800_000, 3_600_000, 7_200_000):
                    record = ground.record(lives=life)
                    await store.write("a", record)
                    ground.advance(life - 1)
                    await store.expect("a", record)
                    ground.advance(1 + ground.grace)
                    await store.expect("a", None)
                    ground.advance_to(instant)
                await store.close()


@contextmanager
def _zone(name: str) -> Iterator[None]:
    """Set the time zone, where the platform lets a process do so."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    _take_zone()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        _take_zone()


def _take_zone() -> None:
    if hasattr(time, "tzset"):
        time.tzset()


@law("EXPIRY-12", proves=("EXPIRY-01",), needs=("shared",), catches=("process-clock",))
async def each_store_has_its_clock(ground: Ground) -> None:
    """A store judges by its own clock, whatever the clock of another store on the location shows."""
    for order in (1, -1):
        ground.move()
        late, early = StandingClock(START), StandingClock(START - 3_600_000)
        stores = {clock: await ground.open(clock=clock) for clock in (late, early)[::order]}
        one, other = stores[late], stores[early]
        record = ground.record(lives=60_000)
        await one.write("a", record)
        await one.expect("a", record)
        await other.expect("a", record)
        early.set(START + 60_000 + ground.grace)
        await other.expect("a", None)
        await other.write("b", record)
        await other.expect("b", None)
