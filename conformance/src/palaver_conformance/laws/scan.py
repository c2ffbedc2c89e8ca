"""Listing the live ids."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from palaver_conformance.ground.ids import RELATED, wild_prefixes
from palaver_conformance.ground.law import law

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore


_STABLE = 40


@law(
    "SCAN-01",
    proves=("SCAN-01",),
    needs=("scan",),
    catches=("scan-miss-stable", "scan-dup-on-change", "scan-endless"),
    weight=2,
)
async def stable_sessions_are_seen_once(ground: Ground) -> None:
    """A session that is live throughout is seen exactly once, whatever else comes, changes and goes meanwhile."""
    for churn in ("destroy", "create", "overwrite", "mixed"):
        ground.move()
        store = await ground.open()
        stable = ground.ids(_STABLE, "stable:")
        for number in range(_STABLE):
            await store.write(f"before:{number}", ground.record())
            await store.write(stable[number], ground.record())
        seen = await _scan_with_churn(ground, store, churn)
        for session_id in stable:
            ground.equal(seen.count(session_id), 1, f"scan to show {session_id} this many times:", session_id)
        doubled = sorted({each for each in seen if seen.count(each) > 1})
        ground.check(not doubled, expected="scan to show no id twice", got=doubled)
        await store.close()


async def _scan_with_churn(ground: Ground, store: TracedStore, churn: str) -> list[str]:
    seen: list[str] = []
    async for session_id in store.scan():
        seen.append(session_id)
        number = len(seen) - 1
        if churn in ("destroy", "mixed") and number < _STABLE:
            await store.destroy(f"before:{_STABLE - 1 - number}")
        if churn in ("create", "mixed") and number < _STABLE:
            await store.write(f"after:{number}", ground.record())
        if churn in ("overwrite", "mixed"):
            await store.write(f"stable:{(number * 7) % _STABLE}", ground.record(b"x" * (number % 50)))
    return seen


@law(
    "SCAN-02",
    proves=("SCAN-02", "SCAN-01"),
    needs=("scan",),
    catches=("scan-page-10", "scan-drops-last", "scan-dup", "scan-shows-destroyed", "scan-misses-eternal"),
    weight=2,
)
async def exactly_what_is_there(ground: Ground) -> None:
    """A scan shows exactly the live sessions, from none to more than a thousand, each once."""
    store = await ground.open()
    written: set[str] = set()
    sizes = [0, 1, 2, 9, 10, 11, 20, 50, 51, 99, 100, 101, 128, 150, 257, 500, 501, 1_000, 1_001, ground.profile.crowd]
    for size in ground.cases([each for each in sizes if each <= ground.profile.crowd], at_least=12):
        for number in range(len(written), size):
            await store.write(f"s{number}", ground.record(lives=None if number % 2 else 60_000))
            written.add(f"s{number}")
        await _expect_seen(ground, store, written)
    for session_id in sorted(written)[::3]:
        await store.destroy(session_id)
        written.discard(session_id)
    await _expect_seen(ground, store, written)
    ground.advance(60_000 + ground.grace)
    await _expect_seen(ground, store, {each for each in written if int(each[1:]) % 2})


@law(
    "SCAN-03",
    proves=("SCAN-03",),
    needs=("scan",),
    catches=(
        "scan-prefix-wildcard",
        "scan-prefix-ignored",
        "scan-prefix-casefold",
        "scan-prefix-contains",
        "scan-prefix-range",
    ),
)
async def prefixes_are_literal(ground: Ground) -> None:
    """A prefix is compared character by character: no wildcard, no other case or form, never in the middle."""
    store = await ground.open()
    groups = ("case", "normal form", "prefix", "wildcard", "white space", "number", "separator")
    ids = ground.acceptable([each for group in groups for each in RELATED[group][:40]])
    for session_id in ids:
        await store.write(session_id, ground.record())
    for prefix in ground.cases([*wild_prefixes(), *ids[::9]], at_least=len(wild_prefixes())):
        expected = {session_id for session_id in ids if session_id[: len(prefix)] == prefix}
        await _expect_seen(ground, store, expected, prefix)


@law("SCAN-05", proves=("SCAN-02", "READ-02"), needs=("scan",), catches=("scan-stale", "scan-index-late"))
async def changes_before_are_seen(ground: Ground) -> None:
    """A scan knows every change that was acknowledged before it began."""
    store = await ground.open()
    there: set[str] = set()
    for number in ground.cases(range(2 * ground.profile.generated), at_least=24):
        session_id = f"s{number % 9}"
        if session_id in there and number % 4:
            await store.destroy(session_id)
            there.discard(session_id)
        else:
            await store.write(session_id, ground.record())
            there.add(session_id)
        await _expect_seen(ground, store, there)


@law("SCAN-06", proves=("SCAN-01", "SCAN-04"), needs=("scan",), catches=("scan-shared-cursor", "scan-blocks-store"))
async def several_scans(ground: Ground) -> None:
    """Several scans may go on at once, with other verbs in between, and one that is left early disturbs none."""
    store = await ground.open()
    ids = ground.ids(30)
    for session_id in ids:
        await store.write(session_id, ground.record())
    first, second, third = store.scan(), store.scan("session:1"), store.scan()
    async with aclosing(first), aclosing(second), aclosing(third):  # type: ignore[type-var]
        seen = [await anext(first), await anext(first)]
        one = [await anext(second)]
        await anext(third)
        await third.aclose()  # type: ignore[attr-defined]
        await store.write("new", ground.record())
        await store.destroy("new")
        seen += [session_id async for session_id in first]
        one += [session_id async for session_id in second]
    ground.equal(sorted(each for each in seen if each != "new"), sorted(ids), "the first scan to show")
    ground.equal(sorted(one), sorted(each for each in ids if each.startswith("session:1")), "the second scan to show")


@law(
    "SCAN-07",
    proves=("SCAN-01", "EXPIRY-01"),
    needs=("scan",),
    catches=("scan-stops-at-expired", "scan-page-of-expired"),
)
async def expired_in_between(ground: Ground) -> None:
    """Expired sessions are not shown, and what comes after them is."""
    store = await ground.open()
    for number in range(120):
        await store.write(f"s{number:03}", ground.record(lives=60_000 if number % 12 else None))
    ground.advance(60_000 + ground.grace)
    await _expect_seen(ground, store, {f"s{number:03}" for number in range(0, 120, 12)})
    await _expect_seen(ground, store, {"s000", "s012", "s024"}, "s0", upto="s03")


async def _expect_seen(
    ground: Ground, store: TracedStore, expected: set[str], prefix: str = "", upto: str = "\U0010ffff"
) -> None:
    ground.beat()
    seen = [each for each in await store.scan_all(prefix) if each < upto or upto == "\U0010ffff"]
    missing, foreign = sorted(expected - set(seen)), sorted(set(seen) - expected)
    got = f"{len(seen)} ids; missing: {missing[:3]!a}; too many: {foreign[:3]!a}"
    what = f"scan({prefix!a}) to show exactly {len(expected)} ids"
    ground.check(not missing and not foreign, expected=what, got=got, ids=(*missing[:3], *foreign[:3]))
    ground.equal(len(seen), len(expected), f"{what}, each once:")
