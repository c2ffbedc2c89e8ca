"""Compare-and-swap."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT
from palaver_conformance.ground.law import law
from palaver_conformance.ground.payloads import random_bytes

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground


@law(
    "SWAP-01",
    proves=("SWAP-01",),
    needs=("swap",),
    catches=(
        "cas-accepts-stale",
        "cas-missing",
        "cas-creates",
        "cas-always-true",
        "cas-inverted",
        "cas-casefold",
        "cas-absent-text",
        "cas-raises",
    ),
)
async def stores_exactly_if_expected(ground: Ground) -> None:
    """Swap stores exactly if the live version is the expected one, or if there is none and ABSENT is expected."""
    store = await ground.open()
    one, two, three = ground.record(b"1"), ground.record(b"2", lives=60_000), ground.record(b"3")
    for nothing in (two.version, "", "ABSENT", "absent", "None", "0", "*"):
        ground.equal(await store.swap("a", one, nothing), False, f"swap of nothing from {nothing!r} to answer")
    await store.expect("a", None)
    ground.equal(await store.swap("a", one, ABSENT), True, "swap of nothing from ABSENT to answer")
    await store.expect("a", one)
    ground.equal(await store.swap("a", two, ABSENT), False, "swap of a record from ABSENT to answer")
    ground.equal(await store.swap("a", two, three.version), False, "swap from another version to answer")
    await store.expect("a", one)
    ground.equal(await store.swap("a", two, one.version), True, "swap from the live version to answer")
    await store.expect("a", two)
    ground.equal(await store.swap("a", three, one.version), False, "swap from a former version to answer")
    await store.expect("a", two)
    for expected in (
        "",
        "ABSENT",
        "absent",
        "None",
        "0",
        two.version.upper(),
        two.version[:-1],
        two.version + "0",
        "*",
    ):
        if expected != two.version:
            ground.equal(await store.swap("a", three, expected), False, f"swap from {expected!r} to answer")
    await store.expect("a", two)


@law("SWAP-02", proves=("SWAP-01", "SWAP-04"), needs=("swap",), catches=("cas-nth-wrong",))
async def a_long_chain(ground: Ground) -> None:
    """A chain of swaps goes on for ever: each from the last version succeeds, each from the one before is refused."""
    store = await ground.open()
    records = [ground.record(b"0")]
    await store.write("a", records[0])
    for number in ground.cases(range(1, 10 * ground.profile.generated), at_least=60):
        records.append(ground.record(b"%d" % number, lives=None if number % 2 else 60_000))
        ground.equal(
            await store.swap("a", records[-1], records[-2].version), True, "swap from the live version to answer"
        )
        if number > 1:
            late = ground.record(b"late")
            ground.equal(
                await store.swap("a", late, records[-3].version), False, "swap from a former version to answer"
            )
        await store.expect("a", records[-1])


@law(
    "SWAP-03",
    proves=("SWAP-03",),
    needs=("swap",),
    catches=("cas-repeat-refused", "cas-remembers-all", "cas-repeat-stores", "cas-repeat-expired"),
)
async def repeated(ground: Ground) -> None:
    """Swap answers True again when that very record is live, whatever is expected, and leaves it alone."""
    store = await ground.open()
    record = ground.record(b"1", lives=60_000)
    for expected in (ABSENT, ABSENT, record.version, ground.version()):
        ground.equal(await store.swap("a", record, expected), True, "swap of the record that is live to answer", "a")
        await store.expect("a", record)
    after = ground.record(b"2")
    for _ in range(3):
        ground.equal(await store.swap("a", after, record.version), True, "repeated swap to answer", "a")
        await store.expect("a", after)
    ground.equal(await store.swap("a", record, ABSENT), False, "swap of a former record to answer", "a")
    await store.expect("a", after)
    mortal = ground.record(b"mortal", lives=1_000)
    await store.write("b", mortal)
    ground.advance(1_000 + ground.grace)
    ground.equal(await store.swap("b", mortal, ground.version()), False, "swap of a record that is gone to answer", "b")
    if ground.capabilities.touch:
        await store.touch("a", ground.clock.now() + 90_000)
        ground.equal(await store.swap("a", after, record.version), True, "repeated swap to answer", "a")
        await store.expect("a", replace(after, expires_at=ground.clock.now() + 90_000))


@law(
    "SWAP-04",
    proves=("SWAP-04",),
    needs=("swap",),
    catches=("cas-partial-report", "cas-refused-moves-expiry", "cas-refused-destroys"),
)
async def refused_changes_nothing(ground: Ground) -> None:
    """A swap that is refused has changed neither payload nor version nor expiry, of this session or another."""
    store = await ground.open()
    record, other = ground.record(b"kept", lives=60_000), ground.record(b"other", lives=60_000)
    await store.write("a", record)
    await store.write("b", other)
    for late in (ground.record(b"late"), ground.record(b"", lives=1), ground.record(b"late", lives=600_000), other):
        for expected in (ABSENT, ground.version()):
            ground.equal(await store.swap("a", late, expected), False, "swap to answer", "a")
            await store.expect("a", record)
            await store.expect("b", other)
    ground.equal(await store.swap("c", ground.record(), ground.version()), False, "swap of nothing to answer", "c")
    await store.expect("c", None)
    ground.advance(60_000 + ground.grace)
    await store.expect("a", None)
    await store.expect("b", None)


@law("SWAP-05", proves=("SWAP-01",), needs=("swap",), catches=("cas-aba", "cas-version-reuse"))
async def versions_do_not_come_back(ground: Ground) -> None:
    """An old version stays old: after the session was destroyed, expired or overwritten, with the same payload even."""
    store = await ground.open()
    for ending in ("destroy", "expire", "overwrite", "swap"):
        old = ground.record(b"same", lives=60_000)
        await store.write("a", old)
        if ending == "destroy":
            await store.destroy("a")
        if ending == "expire":
            ground.advance(60_000 + ground.grace)
        new = ground.record(b"same", lives=60_000)
        if ending == "swap":
            ground.equal(await store.swap("a", new, old.version), True, "swap from the live version to answer", "a")
        else:
            await store.write("a", new)
        ground.equal(
            await store.swap("a", ground.record(b"late"), old.version),
            False,
            "swap from the old version to answer",
            "a",
        )
        await store.expect("a", new)
        ground.equal(
            await store.swap("a", ground.record(b"next"), new.version),
            True,
            "swap from the live version to answer",
            "a",
        )


@law("SWAP-06", proves=("SWAP-01", "VALUE-01"), needs=("swap",), catches=("cas-path-dropped", "cas-trunc"))
async def large_payloads(ground: Ground) -> None:
    """Large payloads are swapped like small ones: whole, and only if expected."""
    store = await ground.open()
    sizes = [0, 1, 1_000, 5_000, 70_000, 300_000, 1_048_577, 100]
    last = ground.record()
    await store.write("a", last)
    for size in ground.within_limit(sizes, size=int):
        record = ground.record(random_bytes(ground.random, size), lives=60_000)
        ground.equal(await store.swap("a", record, ABSENT), False, "swap from ABSENT to answer", "a")
        ground.equal(await store.swap("a", record, ground.version()), False, "swap from another version to answer", "a")
        await store.expect("a", last)
        ground.equal(await store.swap("a", record, last.version), True, "swap from the live version to answer", "a")
        await store.expect("a", record)
        last = record
    for size in ground.within_limit(sizes, size=int):
        record = ground.record(random_bytes(ground.random, size))
        ground.equal(await store.swap(f"new{size}", record, ABSENT), True, "swap from ABSENT to answer")
        await store.expect(f"new{size}", record)


@law("SWAP-07", proves=("SWAP-01", "EXPIRY-01"), needs=("swap",), catches=("cas-keeps-ttl", "cas-drops-ttl"))
async def expiry_is_swapped_too(ground: Ground) -> None:
    """Swap replaces the expiry with the rest: earlier, later, to never and back."""
    store = await ground.open()
    last = ground.record(lives=60_000)
    await store.write("a", last)
    for life in (1_000, 120_000, None, 5_000, None, 2_000):
        record = ground.record(b"x", lives=life)
        ground.equal(await store.swap("a", record, last.version), True, "swap to answer", "a")
        await store.expect("a", record)
        ground.advance(999)
        await store.expect("a", record)
        last = record
    ground.advance(2_000 - 999 + ground.grace)
    await store.expect("a", None)
    new = ground.record(b"new", lives=1_000)
    ground.equal(await store.swap("a", new, ABSENT), True, "swap from ABSENT to answer", "a")
    ground.advance(999)
    await store.expect("a", new)
    ground.advance(1 + ground.grace)
    await store.expect("a", None)


@law("SWAP-08", proves=("SWAP-01", "WRITE-02"), needs=("swap",), catches=("cas-past-keeps-old",))
async def into_the_past(ground: Ground) -> None:
    """A record that has already expired can be swapped in, and the session is gone then."""
    store = await ground.open()
    old = ground.record(b"old")
    await store.write("a", old)
    late = ground.record(b"late", lives=-1_000 - ground.grace)
    ground.equal(await store.swap("a", late, old.version), True, "swap from the live version to answer", "a")
    await store.expect("a", None)
    new = ground.record(b"new")
    ground.equal(await store.swap("a", new, late.version), False, "swap from the expired version to answer", "a")
    ground.equal(await store.swap("a", new, ABSENT), True, "swap from ABSENT to answer", "a")
    await store.expect("a", new)


@law(
    "SWAP-09",
    proves=("SWAP-01", "WRITE-01"),
    needs=("swap",),
    catches=("cas-own-counter", "cas-destroy-keeps-version", "cas-touch-new-version"),
)
async def mixed_with_other_verbs(ground: Ground) -> None:
    """Swap sees what write, destroy and touch have done, and they see what it has done."""
    store = await ground.open()
    for _ in range(3):
        one, two, three = (ground.record(text, lives=60_000) for text in (b"1", b"2", b"3"))
        ground.equal(await store.swap("a", one, ABSENT), True, "swap from ABSENT to answer", "a")
        await store.write("a", two)
        ground.equal(
            await store.swap("a", three, one.version), False, "swap from an overwritten version to answer", "a"
        )
        if ground.capabilities.touch:
            ground.equal(await store.touch("a", None), True, "touch to answer", "a")
        ground.equal(await store.swap("a", three, two.version), True, "swap from the written version to answer", "a")
        await store.expect("a", three)
        await store.destroy("a")
        ground.equal(await store.swap("a", one, three.version), False, "swap of a destroyed session to answer", "a")
        await store.expect("a", None)
