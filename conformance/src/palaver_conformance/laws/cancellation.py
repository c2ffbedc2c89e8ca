"""Calls that are cancelled: at every await, and at any moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from palaver.errors import PalaverError
from palaver_conformance.ground.law import law
from palaver_conformance.ground.steps import describe
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.histories.history import Recorder
from palaver_conformance.histories.judge import judge
from palaver_conformance.histories.workload import Client
from palaver_conformance.instruments.interrupt import interrupt
from palaver_conformance.laws._change import VerbTrial, verbs_on_a_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore
    from palaver_conformance.instruments.interrupt import Interrupted

_MOST_AWAITS = 30
_DELAYS = (0, 0.0001, 0, 0.0003, 0.001, 0.002)


@law(
    "CANCEL-01",
    proves=("CANCEL-01",),
    catches=("cancel-half", "cancel-loses-record", "cancel-torn", "cancel-touches"),
    weight=2,
)
async def old_or_new(ground: Ground) -> None:
    """A call that is cancelled at any of its awaits leaves the old record or the new one."""
    store = await ground.open()

    async def check(case: VerbTrial, _: Interrupted) -> None:
        await case.expect_old_or_new(store)

    await _sweep(ground, store, check)


@law(
    "CANCEL-02",
    proves=("CANCEL-01",),
    catches=("cancel-poison", "cancel-keeps-lock", "cancel-keeps-lock-of-id", "cancel-closes"),
    weight=2,
)
async def the_store_stays_usable(ground: Ground) -> None:
    """After a call was cancelled at any of its awaits, the next calls on the store get their own answers."""
    store = await ground.open()

    async def check(case: VerbTrial, _: Interrupted) -> None:
        one, two = ground.record(b"one"), ground.record(b"two")
        await store.write("canary 1", one)
        await store.write("canary 2", two)
        await store.expect("canary 1", one)
        await store.expect("canary 2", two)
        await store.expect("never", None)
        await store.write(case.session_id, one)
        await store.expect(case.session_id, one)

    await _sweep(ground, store, check)


@law(
    "CANCEL-03",
    proves=("CANCEL-01",),
    catches=("timeout-orphan", "cancel-late-effect", "resurrect-late-write"),
    weight=2,
)
async def nothing_happens_late(ground: Ground) -> None:
    """A call that was cancelled has no effect after it has ended: what is written or destroyed next stays so."""
    store = await ground.open()
    for is_destroyed in (False, True):
        after: dict[str, Record | None] = {}

        async def check(case: VerbTrial, _: Interrupted) -> None:
            newer = None if is_destroyed else ground.record(b"newer")  # noqa: B023  # called within this round
            await (store.destroy(case.session_id) if newer is None else store.write(case.session_id, newer))
            after[case.session_id] = newer  # noqa: B023

        await _sweep(ground, store, check)
        await _cancel_at_random(ground, store, check)
        await _let_time_pass(ground)
        for session_id, record in after.items():
            await store.expect(session_id, record)


@law("CANCEL-04", proves=("CANCEL-01",), catches=("cancel-swallowed", "cancel-becomes-error", "cancel-retried"))
async def cancellation_is_passed_on(ground: Ground) -> None:
    """A task whose call is cancelled ends cancelled: nothing swallows it or makes another error of it."""
    store = await ground.open()

    async def check(case: VerbTrial, outcome: Interrupted) -> None:
        if outcome.was_cancelled and not isinstance(outcome.error, asyncio.CancelledError):
            got = describe(outcome.answer) if outcome.error is None else describe(outcome.error)
            raise LawBroken(
                expected=f"the cancelled {case.verb}() to raise CancelledError", got=got, ids=(case.session_id,)
            )

    await _sweep(ground, store, check)


@law("CANCEL-05", proves=("CANCEL-01",), catches=("cancel-poison", "cancel-loses-record"), weight=2)
async def at_any_moment(ground: Ground) -> None:
    """A call that is cancelled at any moment, waiting for the medium, leaves old or new and the store usable."""
    store = await ground.open()

    async def check(case: VerbTrial, _: Interrupted | None) -> None:
        await case.expect_old_or_new(store)
        canary = ground.record(b"canary")
        await store.write("canary", canary)
        await store.expect("canary", canary)

    await _cancel_at_random(ground, store, check)


@law(
    "CANCEL-06",
    proves=("CANCEL-01", "INIT-04"),
    catches=("cancel-init-breaks", "cancel-init-closes", "cancel-close-breaks"),
)
async def opening_and_closing(ground: Ground) -> None:
    """A store whose init or close was cancelled can be opened and closed again, and its sessions are there."""
    store = await ground.open()
    record = ground.record()
    await store.write("a", record)
    for at in range(1, _MOST_AWAITS):
        for verb in ("close", "init"):
            outcome = await _interrupted(ground, store, verb, (), at)
            if verb == "close":
                await store.init()
            # It was open when init was called once more, and has to be so still.
            await store.expect("a", record)
            await store.init()
            await store.expect("a", record)
        if not outcome.was_cancelled:
            return
        await store.close()
        await store.init()
        await store.expect("a", record)


@law("CANCEL-07", proves=("CANCEL-01",), catches=("cancel-takes-others", "cancel-fails-others"))
async def others_go_on(ground: Ground) -> None:
    """To cancel one of several calls at once disturbs none of the others."""
    store = await ground.open()
    for at in range(8):
        records = {f"s{at}:{number}": ground.record(b"%d" % number) for number in range(6)}
        tasks = [asyncio.ensure_future(store.write(*item)) for item in records.items()]
        reads = [asyncio.ensure_future(store.read("nothing")) for _ in range(3)]
        for _ in range(at):
            await asyncio.sleep(0)
        tasks[2].cancel()
        reads[1].cancel()
        outcomes = await asyncio.gather(*tasks, *reads, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if number not in (2, 7):
                ground.check(outcome is None, expected="the other calls to go on", got=outcome)
        for number, (session_id, record) in enumerate(records.items()):
            if number != 2:
                await store.expect(session_id, record)


@law("CANCEL-08", proves=("CANCEL-01", "SWAP-02"), catches=("cancel-releases-lock",), weight=3)
async def among_others(ground: Ground) -> None:
    """While calls are cancelled, there is one order of all calls that explains every answer that came."""
    store = await ground.open()
    for number in ground.cases(range(4 * ground.profile.histories), at_least=10):
        recorder = Recorder(ground.clock, cancelled_is_over=True)
        ids = [f"h{number}:{name}" for name in "ab"]
        clients = [
            Client(recorder, f"client {index}", store.inner, seed=f"{ground.seed}:{number}:{index}")
            for index in range(5)
        ]
        patient = [asyncio.ensure_future(each.run(ids, 8, ground.capabilities)) for each in clients[:3]]
        impatient = [asyncio.ensure_future(_lose_patience(ground, each, ids)) for each in clients[3:]]
        await _until_all_end(ground, [*patient, *impatient])
        judge(ground, recorder.history())


async def _lose_patience(ground: Ground, client: Client, ids: Sequence[str]) -> None:
    """Cancel calls after some turns of the loop, or some tenths of a millisecond."""
    for _ in range(8):
        task = asyncio.ensure_future(client.run(ids, 1, ground.capabilities))
        for _ in range(ground.random.choice([1, 2, 3, 4, 6])):
            await asyncio.sleep(ground.random.choice([0, 0, 0, 0.0003]))
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def _until_all_end(ground: Ground, tasks: list[asyncio.Task[None]]) -> None:
    ground.beat()
    _, hanging = await asyncio.wait(tasks, timeout=ground.profile.call_seconds)
    for task in hanging:
        task.cancel()
    ground.has_hung = ground.has_hung or bool(hanging)
    ground.check(not hanging, expected="all calls to end", got=f"{len(hanging)} clients wait for ever")
    for task in tasks:
        task.result()


async def _sweep(ground: Ground, store: TracedStore, check: Callable[[VerbTrial, Interrupted], Any]) -> None:
    """Cancel every verb at its first await, at its second one, and so on until it has no more."""
    for verb in verbs_on_a_session(ground):
        for at in range(1, _MOST_AWAITS):
            case = VerbTrial(ground, verb, f"{verb} {at}")
            await store.write(case.session_id, case.old)
            outcome = await _interrupted(ground, store, verb, case.arguments, at)
            ground.events["cancelled calls"] += outcome.was_cancelled
            await check(case, outcome)
            if not outcome.was_cancelled:
                break


async def _interrupted(
    ground: Ground, store: TracedStore, verb: str, arguments: tuple[Any, ...], at: int
) -> Interrupted:
    ids = (arguments[0],) if arguments and isinstance(arguments[0], str) else ()
    step = ground.steps.add(f"{store.name}.{verb}(...), cancelled at await {at}", ids)
    ground.beat()
    try:
        outcome = await interrupt(getattr(store.inner, verb)(*arguments), at, ground.profile.call_seconds)
    except TimeoutError as error:
        ground.has_hung = True
        raise LawBroken(expected=f"the cancelled {verb}() to end", got="it hangs") from error
    step.text += f" -> {describe(outcome.error) if outcome.error else 'ended'}"
    if isinstance(outcome.error, PalaverError | None):
        return outcome
    if not isinstance(outcome.error, asyncio.CancelledError):
        raise LawBroken(expected=f"the cancelled {verb}() to raise CancelledError", got=describe(outcome.error))
    return outcome


async def _cancel_at_random(ground: Ground, store: TracedStore, check: Callable[[VerbTrial, Any], Any]) -> None:
    """Cancel calls after some turns of the loop, or some tenths of a millisecond."""
    verbs = (
        ["write", "write", "destroy", "read"]
        + ["swap"] * ground.capabilities.swap
        + ["touch"] * ground.capabilities.touch
    )
    for number in ground.cases(range(3 * ground.profile.generated), at_least=36):
        case = VerbTrial(ground, verbs[number % len(verbs)], f"random {number}")
        await store.write(case.session_id, case.old)
        task = asyncio.ensure_future(getattr(store.inner, case.verb)(*case.arguments))
        await asyncio.sleep(_DELAYS[number // len(verbs) % len(_DELAYS)])
        task.cancel()
        await asyncio.wait([task], timeout=ground.profile.call_seconds)
        if not task.done():
            ground.has_hung = True
            raise LawBroken(expected=f"the cancelled {case.verb}() to end", got="it hangs")
        await check(case, None)


async def _let_time_pass(ground: Ground) -> None:
    """Give what goes on behind the store's back the time to do harm."""
    await asyncio.sleep({"smoke": 0.15, "ci": 0.4}.get(ground.profile.name, 1.5))
