"""What survives: an orderly end, another process, and `kill -9`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT, Record
from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.histories.history import History, merge
from palaver_conformance.histories.judge import judge
from palaver_conformance.instruments.children import Child, other_processes_see
from palaver_conformance.instruments.jobs import EARLIER, LATER, TOUCHED, payload_of, session_of
from palaver_conformance.laws._verbs import expect_everywhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palaver.contract.store import Capabilities
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore


@law(
    "DURABLE-01",
    proves=("DURABLE-01", "CLOSE-01"),
    needs=("durable",),
    catches=("not-durable-close", "ttl-lost-restart", "destroy-not-durable", "touch-not-durable"),
)
async def after_an_orderly_end(ground: Ground) -> None:
    """After close another store on the location finds every session, with all that belongs to it, and no other."""
    for ending in range(3):
        store = await ground.open()
        forever, mortal = ground.record(b"1" * 5_000), ground.record(b"2", lives=60_000)
        await store.write("a", forever)
        await store.write("b", ground.record(b"overwritten"))
        await store.write("b", mortal)
        await store.write(f"c{ending}", ground.record())
        await store.destroy(f"c{ending}")
        if ground.capabilities.touch:
            await store.write("d", ground.record(b"touched", lives=1_000))
            await store.touch("d", ground.clock.now() + 30_000)
        await store.close()
        other = await ground.open()
        await expect_everywhere(ground, other, "a", forever)
        await expect_everywhere(ground, other, "b", mortal)
        await other.expect(f"c{ending}", None)
        ground.advance(29_999)
        if ground.capabilities.touch:
            ground.check(await other.read("d") is not None, expected="the touched session to live", got="None")
        ground.advance(1 + ground.grace)
        await other.expect("d", None)
        ground.advance(30_000)
        await other.expect("b", None)
        await other.close()


@law(
    "DURABLE-02",
    proves=("DURABLE-01", "CANCEL-01"),
    needs=("durable",),
    hooks=("spawn",),
    catches=("not-durable-kill", "torn-file", "lock-litter", "write-behind", "temporary-shown"),
    weight=6,
)
async def after_a_kill(ground: Ground) -> None:
    """When a writer is killed, what was acknowledged is there, the last call is done or not, and nothing is torn."""
    await other_processes_see(ground)
    for turn in ground.cases(range(ground.profile.cycles), at_least=2):
        ground.move()
        began, done = await _write_and_kill(ground, 3 + 11 * turn)
        store = await ground.open()
        for session_id in sorted({session_of(number) for number in range(began + 1)}):
            await _expect_old_or_new(store, session_id, began, done)
        ground.events["kills"] += 1
        await _expect_usable(ground, store)
        await store.close()


async def _write_and_kill(ground: Ground, after: int) -> tuple[int, int]:
    """Return the numbers of the last change that began and of the last one that was acknowledged."""
    began = done = -1
    async with Child(ground, "write", count=100_000) as child:
        while done < after:
            word, _, number = (await child.line()).partition(" ")
            if not word:
                raise LawBroken(expected="a store in another process to go on", got=await child.complaint())
            began, done = (int(number), done) if word == "begin" else (began, int(number or -1))
        await asyncio.sleep(ground.random.random() / 300)
        child.kill()
        while line := await child.line():
            word, _, number = line.partition(" ")
            began, done = (int(number), done) if word == "begin" else (began, int(number))
    # A line that was cut off may hide one more.
    ground.steps.begin(f"another process made changes 0 to {done}, had begun {began}, and was killed")
    return began, done


async def _expect_old_or_new(store: TracedStore, session_id: str, began: int, done: int) -> None:
    got = await store.read(session_id)
    acknowledged = [number for number in range(done + 1) if session_of(number) == session_id]
    possible = acknowledged[-1:] + [number for number in range(done + 1, began + 2) if session_of(number) == session_id]
    longest = store.capabilities.max_payload_bytes
    records: list[Record | None] = [Record(payload_of(number, longest), f"{number:032x}", None) for number in possible]
    if got not in records and not (got is None and not acknowledged):
        expected = " or ".join(f"the record of change {number}" for number in possible) or "None"
        shown = "None" if got is None else f"{got!r} {got.payload[:30]!r}"
        raise LawBroken(expected=expected, got=shown, ids=(session_id,))


async def _expect_usable(ground: Ground, store: TracedStore) -> None:
    """No lock or litter of the dead is in the way."""
    for session_id in [*ground.ids(7, "s"), "new"]:
        record = ground.record(b"after")
        await store.write(session_id, record)
        await store.expect(session_id, record)
    if ground.capabilities.scan:
        ground.equal(sorted(await store.scan_all()), sorted([*ground.ids(7, "s"), "new"]), "scan to show")
    if ground.capabilities.swap:
        ground.equal(await store.swap("another", ground.record(), ABSENT), True, "swap from ABSENT to answer")
    if ground.capabilities.purge:
        ground.equal(await store.purge(), 0, "purge to answer")
    await store.destroy("new")
    await store.expect("new", None)


@law(
    "DURABLE-03",
    proves=("DURABLE-01", "WRITE-01"),
    needs=("durable",),
    hooks=("spawn",),
    catches=("one-thread-behind", "write-behind", "not-durable-kill"),
    weight=3,
)
async def acknowledged_is_done(ground: Ground) -> None:
    """What any verb changed is safe when it returns, also if the process ends that very moment."""
    await other_processes_see(ground)
    declared = ground.capabilities
    verbs = [verb for verb, is_declared in _last_verbs(declared) if is_declared]
    for verb in ground.cases(verbs, at_least=3):
        ground.move()
        async with await ground.open() as store:
            await store.write("a", EARLIER)
        async with Child(ground, "finish", verb=verb) as child:
            if not await child.ended_well():
                raise LawBroken(expected=f"{verb} in another process to answer", got=await child.complaint())
        ground.steps.begin(f"another process called {verb}, and ended when it was acknowledged")
        async with await ground.open() as store:
            await store.expect("a", _after(verb))


def _last_verbs(declared: Capabilities) -> Iterator[tuple[str, bool]]:
    # The first ones are those that every run tries.
    yield "write", True
    yield "destroy", True
    yield "swap", declared.swap
    yield "write_many", declared.batch
    yield "touch", declared.touch
    yield "remove", declared.swap
    yield "swap_many", declared.batch and declared.swap


def _after(verb: str) -> Record | None:
    if verb in ("destroy", "remove"):
        return None
    return replace(EARLIER, expires_at=TOUCHED) if verb == "touch" else LATER


@law(
    "INIT-06",
    proves=("INIT-02",),
    hooks=("spawn",),
    catches=("init-processes-race",),
    weight=2,
)
async def processes_init_at_once(ground: Ground) -> None:
    """Several processes may open a new location at the same moment."""
    await other_processes_see(ground)
    for _ in range(1 if ground.profile.name == "smoke" else 3):
        ground.move()
        children = [await Child(ground, "init", number=number).__aenter__() for number in range(3)]
        try:
            for child in children:
                ground.equal(await child.line(), "ready", "a child to say")
            for child in children:
                await child.go()
            for child in children:
                answer = await child.line() or await child.complaint()
                ground.check(answer == "well", expected="each process to read what it wrote", got=answer)
        finally:
            for child in children:
                await child.__aexit__(None, None, None)
        store = await ground.open()
        for number in range(3):
            await store.expect(f"of {number}", Record(b"mine", f"{number:032x}", None))
        await store.close()


@law(
    "CONCURRENT-10",
    proves=("SHARED-01", "SWAP-02"),
    needs=("shared",),
    hooks=("spawn",),
    catches=("cas-process-local", "process-cache"),
    weight=5,
)
async def several_processes(ground: Ground) -> None:
    """Whatever processes do at once on one location, there is one order of their calls that explains every answer."""
    await other_processes_see(ground)
    for number in ground.cases(range(max(1, ground.profile.histories // 8)), at_least=1):
        ids = [f"h{number}:{name}" for name in "abcd"]
        children = [
            await Child(
                ground, "history", name=f"process {index}", seed=f"{ground.seed}:{number}", ids=ids, count=25
            ).__aenter__()
            for index in range(3)
        ]
        try:
            judge(ground, merge(*await _histories(ground, children)))
        finally:
            for child in children:
                await child.__aexit__(None, None, None)


async def _histories(ground: Ground, children: list[Child]) -> list[History]:
    for child in children:
        ground.equal(await child.line(), "ready", "a child to say")
    for child in children:
        await child.go()
    histories = []
    for child in children:
        line = await child.line()
        if not line:
            raise LawBroken(expected="a store in another process to answer", got=await child.complaint())
        histories.append(History.from_json(line.encode()))
    return histories
