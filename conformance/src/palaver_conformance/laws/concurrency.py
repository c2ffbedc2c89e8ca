"""Many callers at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT, Absent, Record
from palaver.errors import PalaverError
from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.histories.history import Read, Recorder, Swap, Write
from palaver_conformance.histories.judge import judge
from palaver_conformance.histories.workload import Client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore

_CLIENTS = 5
_CALLS = 10


@law(
    "CONCURRENT-01",
    proves=("READ-02", "WRITE-01", "SWAP-02", "DESTROY-01"),
    catches=("cas-toctou", "touch-toctou", "destroy-late", "read-stale", "lost-update"),
    weight=4,
)
async def one_store(ground: Ground) -> None:
    """Whatever tasks do at once on one store, there is one order of their calls that explains every answer."""
    store = await ground.open()
    for number in ground.cases(range(ground.profile.histories), at_least=4):
        await _history(ground, [store] * _CLIENTS, number)


@law(
    "CONCURRENT-02",
    proves=("SHARED-01", "SWAP-02"),
    needs=("shared",),
    catches=("cas-instance-lock", "instance-cache", "write-skew-order"),
    weight=4,
)
async def several_stores(ground: Ground) -> None:
    """Whatever stores on one location do at once, there is one order of their calls that explains every answer."""
    stores = [await ground.open() for _ in range(_CLIENTS)]
    for number in ground.cases(range(ground.profile.histories), at_least=4):
        await _history(ground, stores, number)


async def _history(ground: Ground, stores: Sequence[TracedStore], number: int) -> None:
    recorder = Recorder(ground.clock)
    ids = [f"h{number}:{name}" for name in "ab"]
    later = ground.clock.now() + 3_600_000
    clients = [
        Client(recorder, f"client {index}", store.inner, seed=f"{ground.seed}:{number}:{index}", expires_at=later)
        for index, store in enumerate(stores)
    ]
    await _bounded(ground, *(client.run(ids, _CALLS, ground.capabilities) for client in clients))
    judge(ground, recorder.history())


@law(
    "CONCURRENT-03",
    proves=("BATCH-03", "BATCH-02", "SWAP-02"),
    needs=("batch",),
    catches=("batch-atomic-lie", "batch-lost-update"),
    weight=3,
)
async def batches(ground: Ground) -> None:
    """Each item of a batch is atomic among all that tasks do at once, singly or in batches."""
    store = await ground.open()
    for number in ground.cases(range(ground.profile.histories), at_least=4):
        recorder = Recorder(ground.clock)
        ids = [f"h{number}:{name}" for name in "abc"]
        single = Client(recorder, "single", store.inner, seed=f"{ground.seed}:{number}")
        batching = [_batches(ground, recorder, f"batch {index}", store, ids) for index in range(3)]
        await _bounded(ground, single.run(ids, _CALLS, ground.capabilities), *batching)
        judge(ground, recorder.history())


async def _batches(ground: Ground, recorder: Recorder, client: str, store: TracedStore, ids: Sequence[str]) -> None:
    known: dict[str, str | None] = dict.fromkeys(ids)
    for turn in range(4):
        begun = [recorder.begin(client, session_id, Read()) for session_id in ids]
        for session_id, number, record in zip(ids, begun, await store.read_many(ids), strict=True):
            recorder.succeed(number, record)
            known[session_id] = None if record is None else record.version
        items = [(session_id, ground.record(f"{client} {turn}".encode())) for session_id in ids]
        if ground.capabilities.swap:
            await _swap_many(recorder, client, store, items, known)
        else:
            begun = [recorder.begin(client, session_id, Write(record)) for session_id, record in items]
            await store.write_many(items)
            for number in begun:
                recorder.succeed(number, None)


async def _swap_many(
    recorder: Recorder, client: str, store: TracedStore, items: list[tuple[str, Record]], known: dict[str, str | None]
) -> None:
    begun = [recorder.begin(client, session_id, Swap(record, known[session_id])) for session_id, record in items]
    swaps = [(session_id, record, known[session_id] or ABSENT) for session_id, record in items]
    for number, answer in zip(begun, await store.swap_many(swaps), strict=True):
        recorder.succeed(number, answer)


@law(
    "CONCURRENT-04",
    proves=("SWAP-02",),
    needs=("swap",),
    catches=("cas-toctou", "cas-two-winners", "cas-absent-race"),
    weight=2,
)
async def one_winner(ground: Ground) -> None:
    """Of several swaps at once that expect the same, exactly one stores, and its record is there."""
    stores = [await ground.open() for _ in range(2)] if ground.capabilities.shared else [await ground.open()]
    last: Record | None = None
    for number in ground.cases(range(2 * ground.profile.histories), at_least=8):
        session_id = f"s{number // 4}"
        last = None if number % 4 == 0 else last
        records = [ground.record(b"%d" % index) for index in range(8)]
        expected = ABSENT if last is None else last.version
        calls = [
            _swap(
                stores[index % len(stores)],
                (session_id, record, expected),
                index,
                by_batch=_by_batch(ground, number, index),
            )
            for index, record in enumerate(records)
        ]
        answers = await _bounded(ground, *calls)
        winners = [record for record, answer in zip(records, answers, strict=True) if answer]
        ground.equal(len(winners), 1, "this many of 8 swaps at once to store:", session_id)
        await stores[0].expect(session_id, winners[0])
        last = winners[0]


def _by_batch(ground: Ground, number: int, index: int) -> bool:
    """Mix swaps by themselves with those in batches in some rounds, and have batches only in others."""
    return ground.capabilities.batch and (number % 3 == 2 or (index + number) % 3 == 0)


async def _swap(store: TracedStore, item: tuple[str, Record, str | Absent], index: int, *, by_batch: bool) -> bool:
    for _ in range(index % 3):
        await asyncio.sleep(0)
    if by_batch:
        return (await store.swap_many([item]))[0]
    return await store.swap(*item)


@law("CONCURRENT-05", proves=("SWAP-02", "READ-02"), needs=("swap",), catches=("cas-toctou",), weight=2)
async def counting(ground: Ground) -> None:
    """Tasks that count together with read and swap lose no count."""
    stores = [await ground.open() for _ in range(2)] if ground.capabilities.shared else [await ground.open()]
    zero = ground.record(b"0")
    await stores[0].write("counter", zero)
    await _bounded(ground, *(_count(ground, stores[index % len(stores)], 5) for index in range(6)))
    record = await stores[0].read("counter")
    ground.equal(None if record is None else record.payload, b"30", "the counter to be", "counter")


async def _count(ground: Ground, store: TracedStore, times: int) -> None:
    for _ in range(times):
        for _attempt in range(200):
            before = await store.read("counter")
            if before is None:
                raise LawBroken(expected="the counter to be there", got="None")
            after = ground.record(b"%d" % (int(before.payload) + 1))
            await asyncio.sleep(0)
            if await store.swap("counter", after, before.version):
                break
        else:
            raise LawBroken(expected="some swap to succeed", got="200 refusals one after another")


@law("CONCURRENT-06", proves=("WRITE-01", "BATCH-03", "CANCEL-01"), catches=("torn-read", "torn-write"), weight=2)
async def nothing_is_torn(ground: Ground) -> None:
    """A reader sees one record or the other, never a mixture, while large ones are written over one another."""
    store = await ground.open()
    limit = ground.capabilities.max_payload_bytes or 300_000
    records = [
        ground.record(bytes([65 + index]) * min(limit, size))
        for index, size in enumerate((300_000, 100, 150_000, 70_000))
    ]
    await store.write("a", records[0])
    by_version = {record.version: record for record in records}
    seen: list[Record | None] = []
    writers = [_write_again(store, records[index:] + records[:index]) for index in range(4)]
    readers = [_read_again(store, seen) for _ in range(4)]
    await _bounded(ground, *writers, *readers)
    for record in seen:
        ground.same_record(record, by_version.get(getattr(record, "version", ""), records[0]), "a")


async def _write_again(store: TracedStore, records: list[Record]) -> None:
    for record in records:
        await store.write("a", record)
        await asyncio.sleep(0)


async def _read_again(store: TracedStore, seen: list[Record | None]) -> None:
    for _ in range(8):
        seen.append(await store.read("a"))
        await asyncio.sleep(0)


@law("CONCURRENT-07", proves=("ID-01", "WRITE-01"), catches=("lost-write-beside", "one-file-for-all"), weight=2)
async def different_sessions(ground: Ground) -> None:
    """Many sessions that are written, read and destroyed at once do not disturb each other."""
    store = await ground.open()
    for turn in range(3):
        records = {session_id: ground.record(session_id.encode() * (1 + turn)) for session_id in ground.ids(60)}
        await _bounded(ground, *(store.write(session_id, record) for session_id, record in records.items()))
        answers = await _bounded(ground, *(store.read(session_id) for session_id in records))
        for (session_id, record), answer in zip(records.items(), answers, strict=True):
            ground.same_record(answer, record, session_id)
        gone = list(records)[turn::3]
        await _bounded(ground, *(store.destroy(session_id) for session_id in gone))
        for session_id, record in records.items():
            await store.expect(session_id, None if session_id in gone else record)


@law(
    "CONCURRENT-08",
    proves=("SCAN-01",),
    needs=("scan",),
    catches=("scan-by-offset", "scan-raises-on-change"),
    weight=2,
)
async def scans_beside_changes(ground: Ground) -> None:
    """A scan sees each session that is live throughout exactly once, while tasks make and destroy others."""
    store = await ground.open()
    stable = ground.ids(40, "stable:")
    for session_id in stable:
        await store.write(session_id, ground.record())
    stop = asyncio.Event()
    churn = [asyncio.ensure_future(_churn(ground, store, stop, index)) for index in range(3)]
    try:
        for _ in range(5):
            seen = await store.scan_all()
            await asyncio.sleep(0)
            for session_id in stable:
                ground.equal(seen.count(session_id), 1, f"scan to show {session_id} this many times:", session_id)
            ground.equal(len(seen), len(set(seen)), "scan to show each id once:")
    finally:
        stop.set()
        await _bounded(ground, *churn)


async def _churn(ground: Ground, store: TracedStore, stop: asyncio.Event, index: int) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        session_id = f"churn:{index}:{number % 20}"
        await (store.write(session_id, ground.record()) if number % 3 else store.destroy(session_id))
        await asyncio.sleep(0)


@law(
    "CONCURRENT-09",
    proves=("CLEAR-01", "PURGE-01"),
    needs=("clear", "purge"),
    catches=("purge-race", "purge-removes-rewritten"),
)
async def purging_beside_writing(ground: Ground) -> None:
    """A session that is written while its expired record is purged is there afterwards."""
    store = await ground.open()
    for turn in range(5):
        ids = ground.ids(20, f"t{turn}:")
        for session_id in ids:
            await store.write(session_id, ground.record(lives=1_000))
        ground.advance(1_000 + ground.grace)
        records = {session_id: ground.record(b"again") for session_id in ids}
        first, last = ([store.purge()], [store.purge()]) if turn % 2 else ([], [store.purge(), store.purge()])
        await _bounded(ground, *first, *(store.write(*item) for item in records.items()), *last)
        for session_id, record in records.items():
            await store.expect(session_id, record)


async def _bounded(ground: Ground, *calls):  # type: ignore[no-untyped-def]
    """Run calls at once and return their answers; all of them together must end."""
    ground.beat()
    limit = asyncio.timeout(2 * ground.profile.call_seconds)
    try:
        async with limit:
            return await asyncio.gather(*calls)
    except (PalaverError, LawBroken):
        raise
    except TimeoutError as error:
        if not limit.expired():
            raise
        ground.has_hung = True
        raise LawBroken(expected="all calls to end", got="some hang: they wait for each other") from error
    finally:
        ground.beat()
