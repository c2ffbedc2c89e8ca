"""Several items in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT, Record
from palaver.errors import CorruptSessionError
from palaver_conformance.ground.law import law
from palaver_conformance.ground.payloads import HOSTILE, random_bytes

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore
    from palaver_conformance.harness import Corrupts


@law("BATCH-01", proves=("BATCH-01",), needs=("batch",), catches=("batch-order", "batch-skips-missing"))
async def results_are_in_order(ground: Ground) -> None:
    """There is one result for each item, in the order of the items, None where there is no session."""
    store = await ground.open()
    records = {session_id: ground.record(session_id.encode()) for session_id in ground.ids(20)}
    await store.write_many(list(records.items()))
    for _ in range(6):
        asked = [*records, *ground.ids(10, "missing:")]
        ground.random.shuffle(asked)
        await _expect_read(ground, store, asked, records)


@law(
    "BATCH-02",
    proves=("BATCH-02",),
    needs=("batch",),
    catches=("batch-dedup", "batch-first-wins", "batch-repeat-missing"),
)
async def ids_may_repeat(ground: Ground) -> None:
    """An id may stand in a batch several times; its items take effect in order."""
    store = await ground.open()
    one, two, three, other = (ground.record(text) for text in (b"1", b"2", b"3", b"other"))
    await store.write_many([("a", one), ("b", other), ("a", two), ("a", three)])
    await store.expect("a", three)
    await _expect_read(ground, store, ["a", "b", "a", "x", "a", "x", "b"], {"a": three, "b": other})
    await store.write_many([("c", one), ("c", ground.record(lives=-60_000 - ground.grace))])
    await store.expect("c", None)
    await store.write_many([("c", ground.record(lives=-60_000 - ground.grace)), ("c", two)])
    await store.expect("c", two)


@law(
    "BATCH-03",
    proves=("BATCH-02", "SWAP-01", "SWAP-03"),
    needs=("batch", "swap"),
    catches=("batch-swap-snapshot", "batch-swap-dedup"),
)
async def swaps_of_one_id_in_order(ground: Ground) -> None:
    """Swaps of one id in a batch build upon each other."""
    store = await ground.open()
    one, two, three, four = (ground.record(text) for text in (b"1", b"2", b"3", b"4"))
    answers = await store.swap_many(
        [
            ("a", one, ABSENT),
            ("a", two, one.version),
            ("a", three, one.version),
            ("a", four, two.version),
            ("a", four, ABSENT),
        ]
    )
    ground.equal(answers, [True, True, False, True, True], "swap_many to answer", "a")
    await store.expect("a", four)
    answers = await store.swap_many([("b", one, ABSENT), ("b", two, ABSENT), ("b", one, ABSENT)])
    ground.equal(answers, [True, False, True], "swap_many to answer", "b")
    await store.expect("b", one)


@law(
    "BATCH-04",
    proves=("BATCH-01", "BATCH-03"),
    needs=("batch", "swap"),
    catches=("batch-swap-all-or-nothing", "batch-swap-order", "batch-swap-refused-writes"),
)
async def swaps_are_apart(ground: Ground) -> None:
    """Each swap of a batch is decided by itself: some succeed, some are refused, and those change nothing."""
    store = await ground.open()
    for turn in range(4):
        live = {session_id: ground.record(b"live", lives=60_000) for session_id in ground.ids(12, f"t{turn}:")}
        await store.write_many(list(live.items()))
        items, answers, after = [], [], dict[str, Record | None](live)
        for number, (session_id, record) in enumerate(live.items()):
            new = ground.record(b"new %d" % number)
            wins = (number * 5 + turn) % 3 != 0
            items.append((session_id, new, record.version if wins else (ABSENT, ground.version())[number % 2]))
            answers.append(wins)
            after[session_id] = new if wins else record
        absent, refused = ground.record(b"absent"), ground.record(b"refused")
        items += [(f"n{turn}", absent, ABSENT), (f"m{turn}", refused, ground.version())]
        ground.equal(await store.swap_many(items), [*answers, True, False], "swap_many to answer")
        after |= {f"n{turn}": absent, f"m{turn}": None}
        for session_id, expected in after.items():
            await store.expect(session_id, expected)


@law("BATCH-05", proves=("BATCH-01",), needs=("batch",), catches=("batch-empty", "batch-empty-reads-all"))
async def no_items(ground: Ground) -> None:
    """No items are no results, and no error."""
    store = await ground.open()
    record = ground.record()
    await store.write("a", record)
    ground.equal(await store.read_many([]), [], "read_many of nothing to return")
    await store.write_many([])
    if ground.capabilities.swap:
        ground.equal(await store.swap_many([]), [], "swap_many of nothing to return")
    await store.expect("a", record)


@law("BATCH-06", proves=("BATCH-01", "BATCH-03"), needs=("batch",), catches=("batch-partial", "batch-limit"), weight=3)
async def many_items(ground: Ground) -> None:
    """A batch may have any number of items, from one to more than a thousand."""
    largest = min(ground.profile.crowd, 1_100)
    counts = (1, 2, 5, 6, 10, 11, 16, 25, 50, 64, 100, 101, 128, 150, 257, 500, 501, 1_001, largest)
    for count in (each for each in counts if each <= largest):
        ground.move()
        ground.begin_case()
        store = await ground.open()
        records = {
            session_id: ground.record(session_id.encode(), lives=60_000)
            for session_id in ground.ids(count, f"n{count}:")
        }
        await store.write_many(list(records.items()))
        await _expect_read(ground, store, [*records, f"n{count}:missing"], records)
        if ground.capabilities.swap:
            new = {session_id: ground.record(b"swapped") for session_id in records}
            items = [(session_id, new[session_id], records[session_id].version) for session_id in records]
            ground.equal(await store.swap_many(items), [True] * count, "swap_many to answer")
            await _expect_read(ground, store, list(new), new)
        await store.close()


@law(
    "BATCH-07",
    proves=("BATCH-01", "WRITE-01", "EXPIRY-01"),
    needs=("batch",),
    catches=("batch-drops-ttl", "batch-sees-expired", "batch-one-ttl"),
)
async def expiry_in_batches(ground: Ground) -> None:
    """What is written in a batch expires as if it were written alone, and a batch sees nothing that has expired."""
    store = await ground.open()
    lives = (1_000, None, 2_000, 60_000, 1_000)
    records = {f"s{number}": ground.record(b"%d" % number, lives=life) for number, life in enumerate(lives)}
    await store.write_many(list(records.items()))
    await _expect_read(ground, store, list(records), records)
    ground.advance(999)
    await _expect_read(ground, store, list(records), records)
    ground.advance(1 + ground.grace)
    if ground.grace < 1_000:
        alive = {session_id: record for session_id, record in records.items() if session_id not in ("s0", "s4")}
        await _expect_read(ground, store, list(records), alive)
        await store.expect("s0", None)
    ground.advance(60_000)
    await _expect_read(ground, store, list(records), {"s1": records["s1"]})


@law("BATCH-08", proves=("BATCH-01", "VALUE-01"), needs=("batch",), catches=("batch-mangles",))
async def any_payload(ground: Ground) -> None:
    """Any payload goes through a batch unchanged: hostile, empty or large."""
    store = await ground.open()
    large = [random_bytes(ground.random, size) for size in (5_000, 65_536, 70_000, 300_000, 1_048_577)]
    payloads = ground.within_limit((*HOSTILE.values(), *large))
    records = {f"s{number}": ground.record(payload) for number, payload in enumerate(payloads)}
    await store.write_many(list(records.items()))
    for session_id, record in records.items():
        await store.expect(session_id, record)
    await _expect_read(ground, store, list(reversed(records)), records)
    if ground.capabilities.swap:
        items = [
            (session_id, Record(record.payload[::-1], ground.version(), None), record.version)
            for session_id, record in records.items()
        ]
        ground.equal(await store.swap_many(items), [True] * len(items), "swap_many to answer")
        await _expect_read(ground, store, list(records), {session_id: record for session_id, record, _ in items})


@law("BATCH-09", proves=("BATCH-01",), needs=("batch",), catches=("batch-list-only",))
async def any_sequence(ground: Ground) -> None:
    """A batch may be given as any sequence, a tuple too."""
    store = await ground.open()
    one, two = ground.record(b"1"), ground.record(b"2")
    await store.write_many((("a", one), ("b", two)))
    await _expect_read(ground, store, ("b", "a"), {"a": one, "b": two})
    if ground.capabilities.swap:
        ground.equal(await store.swap_many((("c", one, ABSENT),)), [True], "swap_many to answer")


@law(
    "BATCH-10", proves=("BATCH-01", "READ-02", "WRITE-01"), needs=("batch",), catches=("batch-cache", "batch-not-seen")
)
async def batches_and_single_calls(ground: Ground) -> None:
    """Batches and single calls see each other's changes, and leave all other sessions alone."""
    store = await ground.open()
    expected: dict[str, Record] = {}
    ids = ground.ids(8)
    for number in ground.cases(range(ground.profile.generated), at_least=12):
        chosen = ground.random.sample(ids, 3)
        records = {session_id: ground.record(b"%d" % number) for session_id in chosen}
        if number % 3:
            await store.write_many(list(records.items()))
        else:
            for session_id, record in records.items():
                await store.write(session_id, record)
        expected |= records
        gone = ground.random.choice(ids)
        await store.destroy(gone)
        expected.pop(gone, None)
        await _expect_read(ground, store, ids, expected)
        for session_id in ids:
            await store.expect(session_id, expected.get(session_id))


@law("BATCH-11", proves=("BATCH-04",), needs=("batch",), hooks=("corrupt",), catches=("batch-blames-nobody",))
async def one_bad_item_spoils_no_other(ground: Ground) -> None:
    """An item that is damaged is named by the error of its batch, and all others can be read, saved and destroyed."""
    harness: Corrupts = ground.harness  # type: ignore[assignment]
    store = await ground.open()
    records = {session_id: ground.record(session_id.encode()) for session_id in ("a", "bad", "c")}
    await store.write_many(list(records.items()))
    await harness.corrupt(ground.location, "", "bad")
    error = await store.refuses(CorruptSessionError, "read_many", ["a", "bad", "c"])
    ground.equal(error.session_id, "bad", "the error of read_many to name the session:", "bad")
    if ground.capabilities.swap:
        swaps = [(session_id, ground.record(b"new"), record.version) for session_id, record in records.items()]
        error = await store.refuses(CorruptSessionError, "swap_many", swaps)
        ground.equal(error.session_id, "bad", "the error of swap_many to name the session:", "bad")
        others = [swap for swap in swaps if swap[0] != "bad"]
        ground.equal(await store.swap_many(others), [True, True], "swap_many of the others to answer")
        records |= {session_id: record for session_id, record, _ in others}
    await _expect_read(ground, store, ["a", "c"], records)
    await store.destroy("bad")
    await _expect_read(ground, store, ["a", "bad", "c"], {"a": records["a"], "c": records["c"]})


async def _expect_read(
    ground: Ground, store: TracedStore, ids: list[str] | tuple[str, ...], expected: dict[str, Record]
) -> None:
    for session_id, answer in zip(ids, await store.read_many(ids), strict=True):
        ground.same_record(answer, expected.get(session_id), session_id)
