"""Compare-and-delete."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT
from palaver_conformance.ground.law import law

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground


@law(
    "REMOVE-01",
    proves=("REMOVE-01",),
    needs=("swap",),
    catches=(
        "remove-ignores-version",
        "remove-noop",
        "remove-always-true",
        "remove-says-false",
        "remove-casefold",
        "remove-same-payload",
    ),
)
async def removes_exactly_if_expected(ground: Ground) -> None:
    """Remove ends a session exactly if its live version is the expected one, and tells so."""
    store = await ground.open()
    for nothing in (ground.version(), "", "ABSENT", "None", "*"):
        ground.equal(await store.remove("a", nothing), False, f"remove of nothing from {nothing!r} to answer", "a")
    former, record = ground.record(b"same"), ground.record(b"same", lives=60_000)
    await store.write("a", former)
    await store.write("a", record)
    wrong = (former.version, ground.version(), "", "*", record.version.upper(), record.version[:-1])
    for expected in wrong:
        if expected != record.version:
            ground.equal(await store.remove("a", expected), False, f"remove from {expected!r} to answer", "a")
            await store.expect("a", record)
    ground.equal(await store.remove("a", record.version), True, "remove from the live version to answer", "a")
    await store.expect("a", None)
    ground.equal(await store.remove("a", record.version), False, "repeated remove to answer", "a")
    new = ground.record(b"new")
    ground.equal(await store.swap("a", new, ABSENT), True, "swap from ABSENT after a remove to answer", "a")
    await store.expect("a", new)


@law("REMOVE-02", proves=("REMOVE-02",), needs=("swap",), catches=("remove-toctou",), weight=2)
async def one_winner(ground: Ground) -> None:
    """Of removes and swaps at once that expect the same version, exactly one succeeds."""
    stores = [await ground.open() for _ in range(2)] if ground.capabilities.shared else [await ground.open()]
    for number in ground.cases(range(2 * ground.profile.histories), at_least=8):
        session_id = f"s{number}"
        old = ground.record(b"old")
        await stores[0].write(session_id, old)
        records = [ground.record(b"%d" % index) for index in range(3)]
        removes = [stores[index % len(stores)].remove(session_id, old.version) for index in range(3)]
        swaps = [
            stores[index % len(stores)].swap(session_id, record, old.version) for index, record in enumerate(records)
        ]
        answers = await asyncio.gather(*removes, *swaps)
        ground.equal(sum(answers), 1, "this many of 3 removes and 3 swaps at once to succeed:", session_id)
        stored = [record for record, stores_it in zip(records, answers[3:], strict=True) if stores_it]
        await stores[0].expect(session_id, stored[0] if stored else None)


@law(
    "REMOVE-03",
    proves=("REMOVE-03", "EXPIRY-01"),
    needs=("swap",),
    catches=("remove-refused-moves-expiry", "remove-expired", "remove-neighbor", "remove-all-namespaces"),
)
async def refused_changes_nothing(ground: Ground) -> None:
    """A remove that is refused changes nothing; one that succeeds changes no other session."""
    store, elsewhere = await ground.open(), await ground.open(namespace="elsewhere")
    record, other = ground.record(b"kept", lives=60_000), ground.record(b"other", lives=120_000)
    await store.write("a", record)
    await store.write("ab", other)
    await elsewhere.write("a", record)
    for _ in range(3):
        ground.equal(await store.remove("a", ground.version()), False, "remove from another version to answer", "a")
        ground.equal(await store.remove("ab", record.version), False, "remove from another's version to answer", "ab")
    await store.expect("a", record)
    ground.equal(await store.remove("a", record.version), True, "remove from the live version to answer", "a")
    await store.expect("ab", other)
    await elsewhere.expect("a", record)
    ground.advance(60_000 + ground.grace)
    ground.equal(await elsewhere.remove("a", record.version), False, "remove of an expired session to answer", "a")
    await store.expect("ab", other)
