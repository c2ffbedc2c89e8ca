"""A server behind a network that fails: through a proxy."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from palaver.contract.record import ABSENT
from palaver.errors import StoreUnavailableError
from palaver_conformance.ground.law import law
from palaver_conformance.ground.payloads import random_bytes
from palaver_conformance.ground.steps import describe
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.instruments.proxy import Proxy
from palaver_conformance.laws._change import VerbTrial, verbs_on_a_session
from palaver_conformance.laws._verbs import declared_verbs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore
    from palaver_conformance.harness import Cuts, Proxied

_ATTEMPTS = 20


@asynccontextmanager
async def _through_proxy(ground: Ground) -> AsyncIterator[tuple[TracedStore, Proxy]]:
    harness = cast("Proxied", ground.harness)
    async with Proxy(*harness.address) as proxy:
        address = (proxy.host, proxy.port)
        store = harness.make_at(address, ground.location, clock=ground.clock, namespace="of a bot")
        async with ground.trace(store, "of a bot") as traced:
            yield traced, proxy
            await proxy.restore()


@law(
    "FAULT-01",
    proves=("ERROR-01", "READ-01"),
    hooks=("address",),
    catches=(
        "unreachable-is-missing",
        "unreachable-foreign-error",
        "serves-from-cache",
        "retries-for-ever",
        "replays-later",
    ),
    weight=3,
)
async def no_server(ground: Ground) -> None:
    """Without its server every verb raises StoreUnavailableError, never "no session"; when it is back, all is there."""
    async with _through_proxy(ground) as (store, proxy):
        record = ground.record(b"kept")
        await store.write("kept", record)
        await proxy.down()
        for verb, arguments in declared_verbs(ground):
            await store.refuses(StoreUnavailableError, verb, *arguments)
        await proxy.restore()
        await _expect_back(store, "kept", record)
        newer = ground.record(b"newer")
        await store.write("a", newer)
        # What failed is over: nobody tries again behind the scenes.
        await asyncio.sleep(0.3)
        await store.expect("a", newer)


@law("FAULT-02", proves=("ERROR-01", "INIT-03"), hooks=("address",), catches=("connects-lazily",))
async def no_server_at_init(ground: Ground) -> None:
    """Init without a server is StoreUnavailableError, and works when the server is back."""
    harness = cast("Proxied", ground.harness)
    async with Proxy(*harness.address) as proxy:
        await proxy.down()
        store = ground.trace(harness.make_at((proxy.host, proxy.port), ground.location, clock=ground.clock))
        await store.refuses(StoreUnavailableError, "init")
        await proxy.restore()
        async with store:
            record = ground.record()
            await store.write("a", record)
            await store.expect("a", record)


@law(
    "FAULT-03",
    proves=("ERROR-01", "NAMESPACE-01"),
    hooks=("address",),
    catches=("no-reconnect", "reconnect-wrong-db", "reconnect-forgets-namespace"),
    weight=2,
)
async def connections_are_cut(ground: Ground) -> None:
    """After its connections were cut or reset, idle or not, a store connects again, to the same sessions."""
    async with _through_proxy(ground) as (store, proxy):
        record = ground.record(b"kept")
        await store.write("kept", record)
        for reset in (False, True, False):
            await (proxy.reset() if reset else proxy.cut())
            await _expect_back(store, "kept", record)
            await store.expect("never", None)
            new = ground.record(b"new")
            await store.write("new", new)
            await store.expect("new", new)


@law(
    "FAULT-04",
    proves=("SWAP-03", "SWAP-01"),
    needs=("swap",),
    hooks=("address",),
    catches=("double-apply-retry",),
    weight=2,
)
async def a_lost_answer(ground: Ground) -> None:
    """A swap whose answer was lost took effect or not, says so or raises, and may be repeated."""
    async with _through_proxy(ground) as (store, proxy):
        for number in range(4):
            before, after = ground.record(b"before"), ground.record(b"after")
            session_id = f"s{number}"
            await store.write(session_id, before)
            await proxy.drop_answers(cut=True)
            swapping = asyncio.ensure_future(store.swap(session_id, after, before.version))
            if number % 2:
                # A store that tries again by itself gets through.
                await asyncio.wait([swapping, asyncio.ensure_future(proxy.struck())], return_when="FIRST_COMPLETED")
                await proxy.restore()
            try:
                answer = await swapping
                ground.check(answer, expected="True or StoreUnavailableError", got="False", ids=(session_id,))
            except StoreUnavailableError:
                ground.events["lost answers"] += 1
            await proxy.restore()
            await _until_back(store)
            ground.equal(await store.swap(session_id, after, before.version), True, "the repeated swap to answer")
            await store.expect(session_id, after)


@law(
    "FAULT-05",
    proves=("ERROR-01", "CANCEL-01"),
    hooks=("address",),
    catches=("hang-on-blackhole", "timeout-foreign-error", "init-hangs"),
    weight=3,
)
async def no_answer_at_all(ground: Ground) -> None:
    """A server that does not answer any more is StoreUnavailableError in the end, not a call that never ends."""
    async with _through_proxy(ground) as (store, proxy):
        record = ground.record()
        await store.write("kept", record)
        await proxy.black_hole()
        await store.refuses(StoreUnavailableError, "read", "kept")
        harness = cast("Proxied", ground.harness)
        other = ground.trace(harness.make_at((proxy.host, proxy.port), ground.location, clock=ground.clock))
        await other.refuses(StoreUnavailableError, "init")
        await proxy.restore()
        await _expect_back(store, "kept", record)


@law("FAULT-06", proves=("VALUE-01",), hooks=("address",), catches=("slow-slice",))
async def bytes_one_at_a_time(ground: Ground) -> None:
    """It does not matter in which pieces and how late bytes arrive."""
    async with _through_proxy(ground) as (store, proxy):
        record = ground.record(random_bytes(ground.random, 300), lives=60_000)
        await proxy.slice(1)
        await store.write("a", record)
        await store.expect("a", record)
        await store.expect("b", None)
        await proxy.delay(0.02)
        await store.write("b", record)
        await store.expect("b", record)


@law(
    "FAULT-07",
    proves=("VALUE-01", "ERROR-01", "READ-01"),
    hooks=("address",),
    catches=("truncated-reply", "reply-reset-lies"),
    weight=2,
)
async def answers_cut_short(ground: Ground) -> None:
    """An answer that is cut short is never taken for a record, nor for "no session"."""
    async with _through_proxy(ground) as (store, proxy):
        record = ground.record(random_bytes(ground.random, 5_000))
        await store.write("a", record)
        for limit in (1, 10, 100, 1_000, 4_000):
            await proxy.truncate(limit)
            await _read_or_raise(ground, store, record)
            await proxy.restore()
            await _expect_back(store, "a", record)


@law("FAULT-08", proves=("CANCEL-01",), hooks=("address",), catches=("cancel-poison-connection",), weight=2)
async def cancelled_while_waiting(ground: Ground) -> None:
    """A call that is cancelled while its answer is on the way does not leave that answer to another call."""
    async with _through_proxy(ground) as (store, proxy):
        records = {f"s{number}": ground.record(b"%d" % number) for number in range(6)}
        for session_id, record in records.items():
            await store.write(session_id, record)
        await proxy.delay(0.05)
        for session_id in records:
            task = asyncio.ensure_future(store.inner.read(session_id))
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait([task])
            await store.expect("never", None)
            for other in list(records)[::2]:
                await store.expect(other, records[other])


@law("FAULT-09", proves=("ERROR-01", "CLOSE-02"), hooks=("address",), catches=("conn-leak",), weight=2)
async def failures_use_nothing_up(ground: Ground) -> None:
    """However often connections fail, the store can be used afterwards: failures use up no connection of its pool."""
    async with _through_proxy(ground) as (store, proxy):
        record = ground.record()
        await store.write("kept", record)
        for _ in range(25):
            await proxy.cut()
            await _read_or_raise(ground, store, record, "kept")
        await _expect_back(store, "kept", record)
        answers = await asyncio.gather(*(store.read("kept") for _ in range(30)))
        for answer in answers:
            ground.same_record(answer, record, "kept")


@law("FAULT-10", proves=("ERROR-01", "SWAP-01"), hooks=("cut",), catches=("no-reconnect",), weight=2)
async def the_server_hangs_up(ground: Ground) -> None:
    """After the server has closed its connections the store connects again."""
    harness = cast("Cuts", ground.harness)
    store = await ground.open()
    record = ground.record()
    await store.write("kept", record)
    for _ in range(3):
        await harness.cut(ground.location)
        await _expect_back(store, "kept", record)
    if ground.capabilities.swap:
        ground.equal(await store.swap("new", ground.record(), ABSENT), True, "swap from ABSENT to answer")


@law(
    "FAULT-11",
    proves=("ERROR-01", "WRITE-01", "SWAP-01"),
    hooks=("address",),
    catches=("lost-request-acknowledged", "lost-request-swapped", "lost-request-refused"),
    weight=2,
)
async def acknowledged_through_a_cut(ground: Ground) -> None:
    """A change that is acknowledged although connections were cut has taken effect; one that raises has, or has not."""
    async with _through_proxy(ground) as (store, proxy):
        for number in range(2):
            for verb in verbs_on_a_session(ground):
                change = VerbTrial(ground, verb, f"of {verb} {number}")
                await store.write(change.session_id, change.old)
                await (proxy.reset() if number else proxy.cut())
                has_answered = await _change_or_raise(ground, store, change)
                await _until_back(store)
                await change.expect_old_or_new(store)
                if has_answered:
                    await store.expect(change.session_id, change.new)


async def _change_or_raise(ground: Ground, store: TracedStore, change: VerbTrial) -> bool:
    try:
        answer = await store.call(change.verb, *change.arguments)
    except StoreUnavailableError:
        ground.events["failures seen"] += 1
        return False
    fine = answer is not False and answer != [False, False]
    ground.check(fine, expected="True or StoreUnavailableError", got=answer, ids=(change.session_id,))
    return True


async def _read_or_raise(ground: Ground, store: TracedStore, record: Record, session_id: str = "a") -> None:
    try:
        got = await store.read(session_id)
    except StoreUnavailableError:
        ground.events["failures seen"] += 1
        return
    ground.same_record(got, record, session_id)


async def _until_back(store: TracedStore) -> None:
    """The first calls after a failure may find out that their connections are dead."""
    error: StoreUnavailableError | None = None
    for _ in range(_ATTEMPTS):
        try:
            await store.read("any")
        except StoreUnavailableError as raised:
            error = raised
            await asyncio.sleep(0.1)
        else:
            return
    raise LawBroken(expected="the store to work again", got="nothing" if error is None else describe(error))


async def _expect_back(store: TracedStore, session_id: str, record: Record) -> None:
    await _until_back(store)
    await store.expect(session_id, record)
