"""Namespaces, locations and instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT
from palaver_conformance.ground.ids import RELATED, SEPARATORS, namespaces
from palaver_conformance.ground.law import law
from palaver_conformance.ground.payloads import HOSTILE, random_bytes
from palaver_conformance.laws._purging import purge_at_most
from palaver_conformance.laws._verbs import expect_everywhere, expect_gone_everywhere
from palaver_conformance.laws._ways import ways_to_put

if TYPE_CHECKING:
    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore


@law("NAMESPACE-01", proves=("NAMESPACE-01",), catches=("ns-leak-read", "ns-casefold", "ns-ignored", "ns-slug"))
async def same_id_in_related_namespaces(ground: Ground) -> None:
    """One id is another session in every namespace, however alike the namespaces are."""
    stores: list[tuple[TracedStore, Record]] = []
    for namespace in ground.cases(_names(ground), at_least=30):
        store = await ground.open(namespace=namespace)
        await store.expect("a", None)
        record = ground.record(namespace.encode(), lives=60_000)
        await ground.random.choice(ways_to_put(ground))(store, "a", record)
        stores.append((store, record))
    for store, record in stores:
        await expect_everywhere(ground, store, "a", record)
    for store, _ in stores[::2]:
        await store.destroy("a")
    for number, (store, record) in enumerate(stores):
        await store.expect("a", record if number % 2 else None)


@law("NAMESPACE-02", proves=("NAMESPACE-01", "ID-01"), catches=("ns-key-join",))
async def the_boundary_between(ground: Ground) -> None:
    """Where the namespace ends and the id begins is always clear."""
    for separator in ground.cases(SEPARATORS, at_least=12):
        ground.move()
        short, long = await ground.open(namespace="a"), await ground.open(namespace=f"a{separator}b")
        none = await ground.open()
        one, two, three = ground.record(b"1"), ground.record(b"2"), ground.record(b"3")
        await short.write(f"b{separator}c", one)
        await long.expect("c", None)
        await none.expect(f"a{separator}b{separator}c", None)
        await long.write("c", two)
        await none.write(f"a{separator}b{separator}c", three)
        await short.expect(f"b{separator}c", one)
        await long.expect("c", two)
        await none.expect(f"a{separator}b{separator}c", three)
        for store in (short, long, none):
            await store.close()


@law("NAMESPACE-03", proves=("NAMESPACE-01",), needs=("scan",), catches=("scan-foreign",))
async def scans_stay_inside(ground: Ground) -> None:
    """A scan shows the sessions of its own namespace only, with any prefix."""
    names = _names(ground)[:: 1 if ground.profile.name == "full" else 2]
    stores = {name: await ground.open(namespace=name) for name in names}
    for number, store in enumerate(stores.values()):
        await store.write(f"own{number}", ground.record())
        await store.write("shared", ground.record())
    for number, store in enumerate(stores.values()):
        ground.equal(sorted(await store.scan_all()), sorted([f"own{number}", "shared"]), "scan to show")
        ground.equal(await store.scan_all("own"), [f"own{number}"], "scan of 'own' to show")
        ground.equal(await store.scan_all(":"), [], "scan of ':' to show")


@law("NAMESPACE-04", proves=("NAMESPACE-01", "CLEAR-01"), needs=("clear",), catches=("ns-leak-clear", "clear-wildcard"))
async def clears_stay_inside(ground: Ground) -> None:
    """Clear removes the sessions of its own namespace only, wildcards or not."""
    stores = [await ground.open(namespace=name) for name in _names(ground)]
    records = [ground.record(b"%d" % number) for number in range(len(stores))]
    for store, record in zip(stores, records, strict=True):
        await store.write("a", record)
        await store.write("a:b", record)
    for number, store in enumerate(ground.cases(stores, at_least=20)):
        ground.equal(await store.clear(), 2, "clear to remove")
        await store.expect("a", None)
        await store.expect("a:b", None)
        for other, record in list(zip(stores, records, strict=True))[number + 1 :: 7]:
            await other.expect("a", record)
            await other.expect("a:b", record)


@law("NAMESPACE-05", proves=("NAMESPACE-01", "PURGE-01"), needs=("purge",), catches=("purge-foreign",))
async def purges_stay_inside(ground: Ground) -> None:
    """Purge counts and removes what has expired in its own namespace only."""
    one, other, none = [await ground.open(namespace=name) for name in ("a", "a*", "")]
    for store, count in ((one, 2), (other, 3), (none, 4)):
        for session_id in ground.ids(count):
            await store.write(session_id, ground.record(lives=60_000))
        await store.write("stays", ground.record())
    ground.advance(60_000 + ground.grace)
    for store, count in ((none, 4), (one, 2), (other, 3)):
        await purge_at_most(ground, store, count)
        ground.check(await store.read("stays") is not None, expected="the living to stay", got="None")


@law("NAMESPACE-06", proves=("NAMESPACE-01",), catches=("ns-truncate",))
async def long_namespaces(ground: Ground) -> None:
    """Namespaces up to their full length are kept apart."""
    longest = getattr(ground.harness, "max_namespace_bytes", 512)
    lengths = [each for each in (31, 32, 63, 64, 100, 127, 128, 200, 255, 256, 400, longest) if each <= longest]
    for length in lengths:
        one, other = [await ground.open(namespace="n" * (length - 1) + last) for last in "12"]
        record = ground.record()
        session_id = "s" * min(255, ground.capabilities.max_id_bytes)
        await one.write(session_id, record)
        await one.expect(session_id, record)
        await other.expect(session_id, None)
        await one.close()
        await other.close()


@law(
    "NAMESPACE-07",
    proves=("NAMESPACE-01",),
    catches=("ns-leak-batch", "ns-leak-touch", "ns-leak-destroy", "ns-leak-swap"),
)
async def every_verb_stays_inside(ground: Ground) -> None:
    """No verb of one namespace changes a session of another one."""
    one, other = await ground.open(namespace="one"), await ground.open(namespace="other")
    kept = ground.record(b"kept", lives=60_000)
    await other.write("a", kept)
    await one.destroy("a")
    await other.expect("a", kept)
    declared = ground.capabilities
    if declared.touch:
        ground.equal(await one.touch("a", None), False, "touch in the empty namespace to answer")
    if declared.swap:
        ground.equal(await one.swap("a", ground.record(), kept.version), False, "swap in the empty namespace to answer")
        ground.equal(await one.swap("a", ground.record(), ABSENT), True, "swap from ABSENT to answer")
    if declared.batch:
        await one.write_many([("a", ground.record(b"mine")), ("b", ground.record())])
        ground.equal(await other.read_many(["b"]), [None], "read_many in the other namespace to return")
    if declared.batch and declared.swap:
        await one.swap_many([("c", ground.record(), ABSENT)])
        await other.expect("c", None)
    await other.expect("a", kept)
    ground.advance(60_000 + ground.grace)
    await expect_gone_everywhere(ground, other, "a", kept.version)


@law("NAMESPACE-08", proves=("NAMESPACE-01", "VALUE-01", "EXPIRY-01", "ID-01"), catches=("ns-second-only",))
async def every_namespace_is_whole(ground: Ground) -> None:
    """In every namespace, the tenth as the first, ids are told apart, payloads kept and expiries judged."""
    names = ("first", "second", "third:", "vierte für Zoë", "5", "*", "a/b", "eight", "nine", "ten")
    ids = (*RELATED["case"][:4], *RELATED["white space"][1:5])
    payloads = [*list(HOSTILE.values())[:7], random_bytes(ground.random, 70_000)]
    for number, name in enumerate(ground.cases(names, at_least=3)):
        store = await ground.open(namespace=name)
        put = ways_to_put(ground)[number % len(ways_to_put(ground))]
        records = {}
        for session_id, payload in zip(ids, payloads, strict=True):
            records[session_id] = ground.record(payload, lives=60_000)
            await store.expect(session_id, None)
            await put(store, session_id, records[session_id])
        for session_id, record in records.items():
            await expect_everywhere(ground, store, session_id, record)
        ground.advance(60_000 + ground.grace)
        for session_id, record in records.items():
            await expect_gone_everywhere(ground, store, session_id, record.version)


@law("LOCATION-01", proves=("NAMESPACE-01",), catches=("global-state", "location-truncate"))
async def locations_are_apart(ground: Ground) -> None:
    """Stores on two locations have nothing in common."""
    here, there = await ground.open(), await ground.open(location=ground.another_location())
    one, two = ground.record(b"1"), ground.record(b"2")
    await here.write("a", one)
    await there.expect("a", None)
    await there.write("a", two)
    await here.expect("a", one)
    await here.destroy("a")
    await there.expect("a", two)
    if ground.capabilities.scan:
        ground.equal(await here.scan_all(), [], "scan of the emptied location to show")
    if ground.capabilities.clear:
        ground.equal(await here.clear(), 0, "clear of the emptied location to remove")
    await there.expect("a", two)


@law(
    "SHARED-01",
    proves=("SHARED-01", "READ-02"),
    needs=("shared",),
    catches=("no-shared-state", "instance-cache", "remembers-absence"),
)
async def changes_are_seen_at_once(ground: Ground) -> None:
    """What one store does another one on the location sees at once, also where it has looked before."""
    one, other = await ground.open(), await ground.open()
    for number in ground.cases(range(ground.profile.generated), at_least=12):
        one, other = other, one
        session_id = f"s{number % 3}"
        await one.read(session_id)
        await other.read(session_id)
        first, second = ground.record(b"first", lives=60_000), ground.record(b"second")
        await one.write(session_id, first)
        for store in (one, other):
            await expect_everywhere(ground, store, session_id, first)
        await other.write(session_id, second)
        for store in (other, one):
            await expect_everywhere(ground, store, session_id, second)
        await one.destroy(session_id)
        for store in (one, other):
            await expect_gone_everywhere(ground, store, session_id, second.version)


@law(
    "SHARED-02",
    proves=("SHARED-01",),
    needs=("shared",),
    catches=("touch-not-shared", "clear-not-shared", "cas-first-store-only", "swap-not-shared", "batch-not-shared"),
)
async def every_verb_is_seen(ground: Ground) -> None:
    """What any verb changes is seen by another store on the location at once."""
    one, other = await ground.open(), await ground.open()
    declared = ground.capabilities
    record = ground.record(b"1", lives=60_000)
    await one.write("a", record)
    await other.expect("a", record)
    if declared.swap:
        new = ground.record(b"2", lives=60_000)
        ground.equal(await other.swap("a", new, record.version), True, "swap from what the other store wrote to answer")
        await one.expect("a", new)
        ground.equal(await one.swap("a", record, record.version), False, "swap from what was replaced to answer")
        record = new
    if declared.touch:
        ground.equal(await other.touch("a", ground.clock.now() + 120_000), True, "touch to answer")
        ground.advance(60_000 + ground.grace)
        ground.check(await one.read("a") is not None, expected="the touched session to be there", got="None")
    if declared.batch:
        first, second = ground.record(b"3"), ground.record(b"4")
        await one.read_many(["b", "c"])
        await other.write_many([("b", first), ("c", second)])
        for got, expected in zip(await one.read_many(["b", "c"]), (first, second), strict=True):
            ground.same_record(got, expected, "b")
    if declared.clear:
        await other.clear()
        for session_id in ("a", "b", "c"):
            await expect_gone_everywhere(ground, one, session_id, record.version)


def _names(ground: Ground) -> list[str]:
    longest = getattr(ground.harness, "max_namespace_bytes", 512)
    return [name for name in namespaces() if len(name.encode()) <= longest]
