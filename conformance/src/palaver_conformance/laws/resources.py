"""The event loop, tasks, threads, descriptors and memory."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import tracemalloc
from collections import Counter
from contextlib import aclosing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from palaver.contract.record import ABSENT
from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver_conformance.ground.law import Level, law
from palaver_conformance.ground.payloads import random_bytes
from palaver_conformance.ground.verdicts import NotRun
from palaver_conformance.harness import Corrupts, Fails, Unusable
from palaver_conformance.instruments.blocking import blocking_calls, longest_stall
from palaver_conformance.laws._change import VerbTrial, failing, verbs_on_a_session
from palaver_conformance.laws._verbs import call_declared

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore

_STALL_SECONDS = 0.02
_LARGE_STALL_SECONDS = 0.1
_TRIALS = 5

_FILLING: Final = 20
"""How often a store's pools are used before it is counted what they hold: by then they are full."""


@law("LOOP-01", proves=("LOOP-01",), catches=("block-loop", "sync-file-io", "sync-file-io-large", "sync-init"))
async def no_blocking_call(ground: Ground) -> None:
    """No verb makes a call that waits for a disk, a lock or the network on the event loop."""
    store = await ground.open()
    await _use_all(ground, store)
    await _use_large(ground, store)
    await store.close()
    await store.init()
    # What is done once, like an import, was done above.
    with blocking_calls() as found:
        await _use_all(ground, store)
        await store.close()
        await store.init()
        await _use_all(ground, store)
        await _use_large(ground, store)
    counted = [f"{call} ({times} times)" for call, times in Counter(found).most_common(3)]
    ground.check(not found, expected="no blocking call on the event loop", got="; ".join(counted))


@law(
    "LOOP-02",
    proves=("LOOP-01",),
    catches=("block-loop", "busy-in-verb", "busy-now-and-then", "busy-in-init", "lock-held-blocking"),
)
async def the_loop_goes_on(ground: Ground) -> None:
    """While a verb runs the event loop does not stand still."""
    store = await ground.open()
    await _use_all(ground, store)
    await _expect_no_stall(ground, "the verbs", _STALL_SECONDS, lambda: _use_all(ground, store))
    for name in ("read", "destroy"):
        verb = getattr(store, name)
        await _expect_no_stall(ground, f"{name}()", _STALL_SECONDS, partial(verb, "a"))
    await _expect_no_stall(ground, "40 calls of read()", _STALL_SECONDS, partial(_read_often, store))
    await _expect_no_stall(ground, "close() and init()", _STALL_SECONDS, partial(_reopen, store))


@law("LOOP-03", proves=("LOOP-01",), level=Level.SHOULD, catches=("cpu-hog",))
async def large_payloads_do_not_stall_it(ground: Ground) -> None:
    """A payload of a megabyte does not keep the event loop from going on for a tenth of a second."""
    store = await ground.open()
    limit = ground.capabilities.max_payload_bytes or 1_000_000
    record = ground.record(random_bytes(ground.random, min(limit, 1_000_000)))
    await _expect_no_stall(ground, "write()", _LARGE_STALL_SECONDS, lambda: store.write("a", record))
    await _expect_no_stall(ground, "read()", _LARGE_STALL_SECONDS, lambda: store.read("a"))


async def _expect_no_stall(ground: Ground, what: str, limit: float, work: Callable[[], Awaitable[Any]]) -> None:
    """Try several times, and take the best: a busy computer stands still now and then, a blocking store always."""
    stalls = []
    for _ in range(_TRIALS):
        stalls.append(await longest_stall(work()))
        if stalls[-1] < limit:
            return
    got = f"it stood still for {min(stalls) * 1000:.0f} ms or longer, {_TRIALS} times out of {_TRIALS}"
    ground.check(False, expected=f"the event loop to go on during {what}", got=got)


async def _use_all(ground: Ground, store: TracedStore) -> None:
    record = ground.record(b"x" * min(2_000, ground.capabilities.max_payload_bytes or 2_000), lives=60_000)
    await store.write("a", record)
    await store.read("a")
    await store.read("nothing")
    await call_declared(ground, store)


async def _use_large(ground: Ground, store: TracedStore) -> None:
    """What is large may take another path."""
    size = min(300_000, ground.capabilities.max_payload_bytes or 300_000)
    record = ground.record(random_bytes(ground.random, size))
    await store.write("large", record)
    await store.read("large")
    if ground.capabilities.swap:
        await store.swap("large", ground.record(record.payload), record.version)
    if ground.capabilities.batch:
        await store.write_many([("large", record), ("small", ground.record())])
        await store.read_many(["large", "small"])
    await store.destroy("large")


async def _read_often(store: TracedStore) -> None:
    for _ in range(40):
        await store.read("a")


async def _reopen(store: TracedStore) -> None:
    await store.close()
    await store.init()


@law("LOOP-04", proves=("INIT-04",), level=Level.SHOULD, catches=("loop-bound",))
def another_loop(ground: Ground) -> None:
    """A store that was closed in one event loop can be opened in another one."""
    store = ground.make()
    record = ground.record()
    asyncio.run(_use_and_close(ground, store, record))
    asyncio.run(_use_and_close(ground, store, record))
    asyncio.run(ground.close())


async def _use_and_close(ground: Ground, store: TracedStore, record: Record) -> None:
    async with store:
        await asyncio.gather(*(store.write(session_id, record) for session_id in ground.ids(20)))
        await store.expect("session:7", record)


@law(
    "CLOSE-02",
    proves=("CLOSE-02",),
    catches=("task-leak", "task-leak-on-close", "thread-leak", "fd-leak-on-close", "timers-leak"),
    weight=2,
)
async def nothing_is_left_open(ground: Ground) -> None:
    """Close leaves no task, timer, thread or file descriptor behind, however often a store is opened."""
    await _open_and_close(ground)
    await _open_and_close(ground)
    before = await _census()
    cycles = ground.profile.cycles + 2
    for _ in range(cycles):
        await _open_and_close(ground)
    _expect_no_growth(ground, before, await _census(), cycles)


async def _open_and_close(ground: Ground) -> None:
    store = await ground.open()
    await call_declared(ground, store)
    await asyncio.gather(*(store.write(f"s{number}", ground.record(lives=60_000)) for number in range(5)))
    await asyncio.gather(*(store.read(f"s{number}") for number in range(5)))
    await store.close()
    ground.forget(store)


@law("RESOURCE-01", proves=("CLOSE-02",), catches=("task-leak", "fd-leak", "timers-leak", "conn-per-call"), weight=2)
async def calls_leave_nothing_behind(ground: Ground) -> None:
    """A store that is used for long holds no more tasks, timers, threads and descriptors than at first."""
    store = await ground.open()
    for _ in range(3):
        await _churn(ground, store)
    before = await _census()
    cycles = 10
    for _ in range(cycles):
        ground.beat()
        await _churn(ground, store)
    _expect_no_growth(ground, before, await _census(), cycles)


async def _churn(ground: Ground, store: TracedStore) -> None:
    ids = ground.ids(8)
    await asyncio.gather(*(store.write(session_id, ground.record(lives=60_000)) for session_id in ids))
    await asyncio.gather(*(store.read(session_id) for session_id in ids))
    await call_declared(ground, store)
    await asyncio.gather(*(store.destroy(session_id) for session_id in ids))


@law("SCAN-04", proves=("SCAN-04",), needs=("scan",), catches=("scan-early-exit-leak",))
async def scans_left_early(ground: Ground) -> None:
    """A scan that is left early and closed holds nothing open, and the store goes on as before."""
    store = await ground.open()
    for session_id in ground.ids(40):
        await store.write(session_id, ground.record())
    for _ in range(3):
        await _leave_early(store)
    before = await _census()
    for _ in range(25):
        await _leave_early(store)
    _expect_no_growth(ground, before, await _census(), 25)
    ground.equal(len(await store.scan_all()), 40, "a whole scan afterwards to show this many ids:")
    record = ground.record()
    await store.write("a", record)
    await store.expect("a", record)


async def _leave_early(store: TracedStore) -> None:
    async with aclosing(store.scan()) as ids:  # type: ignore[type-var]
        async for _ in ids:
            return


@law("RESOURCE-02", proves=("DESTROY-01",), catches=("memory-growth", "keeps-history"), weight=2)
async def destroyed_sessions_are_forgotten(ground: Ground) -> None:
    """A process does not keep in memory what was destroyed or overwritten."""
    # Called without its trace, which needs memory itself.
    store = (await ground.open()).inner
    size, count = min(16_384, ground.capabilities.max_payload_bytes or 16_384), 60

    async def work(turn: int) -> None:
        for number in range(count):
            ground.beat()
            session_id = f"t{turn}:{number}"
            await store.write(session_id, ground.record(random_bytes(ground.random, size), lives=60_000))
            await store.read(session_id)
            await store.destroy(session_id)
            await store.write("overwritten", ground.record(random_bytes(ground.random, size)))

    grown = await _growth(work)
    got = f"{grown:,} bytes more after {count} sessions of {size:,} bytes, and as many writes of one session"
    ground.check(grown < size * count / 3 + 4_096, expected="memory to be given back", got=got)


@law(
    "RESOURCE-03",
    proves=("READ-03", "DESTROY-01"),
    level=Level.SHOULD,
    catches=("lock-per-id", "read-creates-in-memory"),
    weight=6,
)
async def ids_are_forgotten(ground: Ground) -> None:
    """A process does not remember for ever every id that was ever asked for or destroyed."""
    if ground.profile.name == "smoke":
        raise NotRun("it takes more sessions than the profile smoke has time for")
    store = (await ground.open()).inner
    # Long ids, so that they are seen among what else comes and goes in memory.
    length, count, at_once = min(250, ground.capabilities.max_id_bytes), 400, 40

    async def use(session_id: str, *, also_writes: bool) -> None:
        await store.read(session_id)
        if also_writes:
            await store.write(session_id, ground.record())
            await store.destroy(session_id)

    async def work(turn: int) -> None:
        if turn and ground.time_is_up:
            raise NotRun("the store is too slow for as many sessions as it takes")
        ids = [f"{turn}:{number}:".ljust(length, "x") for number in range(count)]
        # Some at a time: one after another would take a server too long.
        for start in range(0, count, at_once):
            ground.beat()
            some = ids[start : start + at_once]
            await asyncio.gather(*(use(each, also_writes=place % 4 == 0) for place, each in enumerate(some)))

    grown = await _growth(work)
    got = f"{grown:,} bytes more after {count} ids"
    ground.check(grown < length * count / 2 + 4_096, expected="memory to be given back", got=got)


async def _growth(work: Callable[[int], Awaitable[None]]) -> int:
    """Return by how many bytes memory grows when the work is done once more, at best."""
    tracemalloc.start()
    try:
        await work(0)
        await work(1)
        sizes = [_memory()]
        for turn in (2, 3, 4):
            await work(turn)
            sizes.append(_memory())
    finally:
        tracemalloc.stop()
    return min(after - before for before, after in pairwise(sizes))


def _memory() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def _census() -> Counter[str]:
    """Count what a store may hold open, when what is about to end has ended."""
    for _ in range(5):
        await asyncio.sleep(0.005)
    gc.collect()
    loop = asyncio.get_running_loop()
    timers = [timer for timer in getattr(loop, "_scheduled", ()) if not timer.cancelled()]
    return Counter(
        {
            "tasks": len(asyncio.all_tasks()),
            "timers": len(timers),
            "threads": threading.active_count(),
            "file descriptors": _descriptors(),
        }
    )


def _descriptors() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        if Path(folder).is_dir():
            return len(os.listdir(folder))  # noqa: PTH208  # the names only: what they point to may be gone
    return 0


def _expect_no_growth(ground: Ground, before: Counter[str], after: Counter[str], cycles: int) -> None:
    """A pool may grow by a few; what is leaked each time grows with the number of cycles."""
    grown = {name: after[name] - before[name] for name in after if after[name] - before[name] >= cycles}
    got = ", ".join(f"{count} more {name}" for name, count in grown.items())
    ground.check(not grown, expected=f"nothing to be left behind by {cycles} rounds", got=got)


@law(
    "RESOURCE-04",
    proves=("CLOSE-02",),
    catches=("leak-on-error", "leak-on-failure", "leak-on-refusal", "leak-on-cancel", "leak-on-init"),
    weight=2,
)
async def what_goes_wrong_leaves_nothing_behind(ground: Ground) -> None:
    """Calls that are refused, are cancelled or fail hold nothing open afterwards."""
    store = await ground.open()
    await store.write("a", ground.record())
    if isinstance(ground.harness, Corrupts):
        await store.write("damaged", ground.record(b"x" * 100))
        await ground.harness.corrupt(ground.location, "", "damaged")
    for _ in range(_FILLING):
        await _go_wrong(ground, store)
    await _expect_no_growth_by(ground, 10, lambda: _go_wrong(ground, store))
    if isinstance(ground.harness, Fails):
        async with failing(ground):
            await _expect_no_growth_by(ground, 6, lambda: store.refuses(StoreUnavailableError, "read", "a"))
    if isinstance(ground.harness, Unusable):
        await _expect_no_growth_by(ground, 4, partial(_fail_to_open, ground, ground.harness))


async def _expect_no_growth_by(ground: Ground, cycles: int, work: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(2):
        await work()
    before = await _census()
    for _ in range(cycles):
        await work()
    _expect_no_growth(ground, before, await _census(), cycles)


async def _fail_to_open(ground: Ground, harness: Unusable) -> None:
    """A block that cannot be entered is not left either: nobody will call close."""
    store = ground.trace(harness.make_unusable(clock=ground.clock))
    await store.refuses(StoreUnavailableError, "init")


async def _go_wrong(ground: Ground, store: TracedStore) -> None:
    if ground.capabilities.swap:
        await store.swap("a", ground.record(), ABSENT)
    for verb in verbs_on_a_session(ground):
        task = asyncio.ensure_future(getattr(store.inner, verb)(*VerbTrial(ground, verb, "b").arguments))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    if isinstance(ground.harness, Corrupts):
        await store.refuses(CorruptSessionError, "read", "damaged")
