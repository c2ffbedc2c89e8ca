"""What goes in comes out: payload, version and expiry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from palaver.contract.record import ABSENT, Record
from palaver_conformance.ground.draw import draw
from palaver_conformance.ground.law import law
from palaver_conformance.ground.payloads import HOSTILE, random_bytes, sizes
from palaver_conformance.laws._ways import ways_to_put

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore
    from palaver_conformance.harness import ReadsRaw
    from palaver_conformance.laws._ways import Way

_INLINE = 4_096


@law(
    "VALUE-01",
    proves=("VALUE-01",),
    catches=(
        "none-is-absent-session",
        "falsy-missing",
        "nul-in-string",
        "text-mode",
        "strip",
        "decode-replace",
        "json-normalise",
    ),
)
async def any_bytes(ground: Ground) -> None:
    """Payload bytes come back exactly as they went in, whatever they are."""
    store = await ground.open()
    ways = ways_to_put(ground)
    for way in ways:
        payloads = ground.within_limit(HOSTILE.values())
        # The first way goes through all of them; a slow store may not have the time for each way.
        for number, payload in enumerate(ground.cases(payloads, at_least=len(payloads) if way is ways[0] else 10)):
            ground.begin_case()
            await _round_trip(ground, store, f"s{number}", payload, way)
    for number, payload in enumerate(ground.within_limit(HOSTILE.values())):
        ground.equal((await store.read(f"s{number}") or ground.record()).payload, payload, "payload", f"s{number}")


@law("VALUE-02", proves=("VALUE-01",), catches=("trunc-size", "size-class-corrupts", "large-payload-blank"), weight=4)
async def any_size(ground: Ground) -> None:
    """Payloads of every size that is declared come back whole, and shrink and grow again."""
    store = await ground.open()
    chosen = sizes(ground.profile.largest, ground.capabilities.max_payload_bytes)
    for size in ground.cases(chosen, at_least=len([each for each in chosen if each <= 1_100_000])):
        # What is very large goes one way only: it takes long.
        for way in ways_to_put(ground) if size < 2_000_000 else ways_to_put(ground)[:1]:
            ground.begin_case()
            await _round_trip(ground, store, "a", random_bytes(ground.random, size), way)
    for size in (chosen[-1], 3, chosen[len(chosen) // 2], 0, chosen[-1] // 2):
        record = ground.record(random_bytes(ground.random, size))
        await store.write("a", record)
        await store.expect("a", record)


@law("VALUE-03", proves=("VALUE-01",), catches=("version-number", "version-cut", "version-compared-as-number"))
async def any_version(ground: Ground) -> None:
    """Versions come back exactly, also those that look like numbers or differ in one digit only."""
    store = await ground.open()
    versions = [
        "0" * 31 + "1", "0" * 31 + "2", "0" * 32, "1" * 32, "12345678901234567890123456789012",
        "1234567890123456789012345678e012", "0e000000000000000000000000000000", "00000000000000000000000000000e01",
        "f" * 32, "deadbeefdeadbeefdeadbeefdeadbeef", "a" * 31 + "b", "b" + "a" * 31, "inf" + "0" * 29,
    ]  # fmt: skip
    ways = ways_to_put(ground)
    for number, version in enumerate(versions):
        await ways[number % len(ways)](store, f"s{number}", Record(b"x", version, None))
    for number, version in enumerate(versions):
        await store.expect(f"s{number}", Record(b"x", version, None))
        if ground.capabilities.swap:
            new = ground.record()
            other = versions[number - 1]
            ground.equal(await store.swap(f"s{number}", new, other), False, f"swap from {other} to answer")
            ground.equal(await store.swap(f"s{number}", new, version), True, f"swap from {version} to answer")


@law(
    "VALUE-04",
    proves=("VALUE-01",),
    catches=("expiry-overflow-32", "expiry-float", "expiry-seconds", "expiry-zone", "expiry-datetime"),
)
async def any_expiry(ground: Ground) -> None:
    """Expiries come back to the millisecond, however far they are; None comes back as None."""
    store = await ground.open()
    now = ground.clock.now()
    furthest = now + timedelta.max // timedelta(milliseconds=1)
    instants = [now + life for life in (1, 2, 999, 1_000, 1_001, 1_500, 86_399_999, 2_592_000_001)]
    instants += [now + (1 << power) + offset for power in (31, 32, 40, 41, 42) for offset in (-1, 0, 1)]
    instants += [(1 << power) + offset for power in (41, 42, 52, 53) for offset in (-1, 0, 1)]
    instants += [2_147_483_647_000, 2_147_483_648_001, 4_294_967_296_001, 253_402_300_799_999, 253_402_300_800_001]
    instants += [furthest, furthest - 1]
    for way in ways_to_put(ground):
        for number, instant in enumerate(ground.cases((*instants, None), at_least=25)):
            if instant is None or instant > now:
                ground.begin_case()
                record = Record(b"x", ground.version(), instant)
                await way(store, f"s{number % 5}", record)
                await store.expect(f"s{number % 5}", record)


@law("VALUE-05", proves=("VALUE-01",), catches=("subclass-types", "return-type", "bytearray", "write-returns-record"))
async def exact_types(ground: Ground) -> None:
    """A record comes back as a Record of bytes, str and int exactly, and the verbs return what they are typed to."""
    store = await ground.open()
    for payload in ground.within_limit([b"", b"x", b'{"a":1}', b"y" * _INLINE]):
        for life in (None, 1_000):
            record = ground.record(payload, lives=life)
            await store.write("a", record)
            await store.expect("a", record)
            if ground.capabilities.batch:
                ground.same_record((await store.read_many(["a"]))[0], record, "a")
                await store.write_many([("a", record)])
            if ground.capabilities.touch:
                await store.touch("a", record.expires_at)
            if ground.capabilities.swap:
                await store.swap("a", ground.record(payload), record.version)
            await store.destroy("a")


@law(
    "VALUE-06",
    proves=("VALUE-01",),
    needs=("batch",),
    catches=("alias-write", "input-mutated", "alias-between-reads"),
)
async def lists_are_the_callers(ground: Ground) -> None:
    """Lists that are given stay as they are and are not kept; lists that are returned belong to the caller."""
    store = await ground.open()
    one, two = ground.record(b"1"), ground.record(b"2")
    items = [("a", one), ("b", two)]
    await store.write_many(items)
    items.clear()
    await store.expect("a", one)
    ids = ["a", "b", "c"]
    first = await store.read_many(ids)
    first[0] = None
    first.append(two)
    ids.reverse()
    again = await store.read_many(["a", "b", "c"])
    for got, expected, session_id in zip(again, (one, two, None), "abc", strict=True):
        ground.same_record(got, expected, session_id)
    if ground.capabilities.swap:
        swaps = [("c", one, ABSENT)]
        answers = await store.swap_many(swaps)
        answers.clear()
        swaps.clear()
        await store.expect("c", one)


@law("VALUE-07", proves=("VALUE-01",), hooks=("read_raw",), catches=("envelope-collision",))
async def its_own_form_as_payload(ground: Ground) -> None:
    """A payload that looks like what the store itself stores comes back like any other."""
    harness: ReadsRaw = ground.harness  # type: ignore[assignment]
    store = await ground.open()
    payload = b"payload"
    for _ in range(4):
        await _round_trip(ground, store, "a", payload, ways_to_put(ground)[0])
        payload = await harness.read_raw(ground.location, "", "a")
        ground.check(bool(payload), expected="the hook read_raw to find what is stored", got=payload)


@law("VALUE-08", proves=("VALUE-01",), catches=("value-generated",), weight=2)
async def generated_bytes(ground: Ground) -> None:
    """Payloads that nobody has thought of come back, too."""
    limit = ground.capabilities.max_payload_bytes
    longest = 3_000 if limit is None else min(3_000, limit)
    payloads = draw(st.binary(max_size=longest), ground.profile.generated * 2, ground.seed)
    store = await ground.open()
    kept: dict[str, Record] = {}
    for number, payload in enumerate(ground.cases(ground.within_limit(payloads), at_least=20)):
        session_id = f"s{number % 50}"
        kept[session_id] = ground.record(payload, lives=None if number % 3 else 60_000)
        await store.write(session_id, kept[session_id])
        await store.expect(session_id, kept[session_id])
    for session_id, record in kept.items():
        await store.expect(session_id, record)


@law("VALUE-09", proves=("VALUE-01",), catches=("payload-cache", "dedup-by-content"))
async def equal_payloads_are_separate(ground: Ground) -> None:
    """Sessions with equal payloads have their own versions and expiries, and none goes with another."""
    store = await ground.open()
    payload = b'{"same":"for all"}' * 10
    payload = payload if ground.within_limit([payload]) else b"s"
    records = {f"s{number}": ground.record(payload, lives=60_000 * (number + 1)) for number in range(5)}
    for session_id, record in records.items():
        await store.write(session_id, record)
    for session_id, record in records.items():
        await store.expect(session_id, record)
    await store.destroy("s4")
    ground.advance(60_000 + ground.grace)
    await store.expect("s0", None)
    for session_id in ("s1", "s2", "s3"):
        await store.expect(session_id, records[session_id])


async def _round_trip(ground: Ground, store: TracedStore, session_id: str, payload: bytes, way: Way) -> None:
    record = ground.record(payload, lives=60_000)
    await way(store, session_id, record)
    await store.expect(session_id, record)
    if ground.capabilities.batch:
        ground.same_record((await store.read_many([session_id]))[0], record, session_id)
