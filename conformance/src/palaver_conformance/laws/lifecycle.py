"""Opening and closing."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING, Any

from palaver.errors import PalaverError, StoreClosedError, StoreUnavailableError
from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.laws._verbs import call_declared, declared_verbs

if TYPE_CHECKING:
    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore
    from palaver_conformance.harness import Fails, Unusable


@law(
    "LIFECYCLE-01",
    proves=("LIFECYCLE-01",),
    catches=("use-before-init", "use-before-init-batch", "closed-is-unavailable", "closed-foreign-error"),
)
async def closed_before_init(ground: Ground) -> None:
    """Before init every other verb raises StoreClosedError."""
    store = ground.make()
    await _expect_closed(ground, store)
    await store.init()
    await store.expect("a", None)


@law("LIFECYCLE-02", proves=("LIFECYCLE-01",), catches=("use-after-close", "use-after-close-destroy"))
async def closed_after_close(ground: Ground) -> None:
    """After close every other verb raises StoreClosedError, and changes nothing."""
    store = await ground.open()
    record = ground.record(b"kept")
    await store.write("a", record)
    await store.close()
    await _expect_closed(ground, store)
    await store.init()
    await store.expect("a", record)


@law("LIFECYCLE-03", proves=("LIFECYCLE-01", "INIT-04"), catches=("close-forgets-second-time",))
async def closed_after_each_close(ground: Ground) -> None:
    """A store that was opened again is closed again by close."""
    store = ground.make()
    for _ in range(3):
        async with store:
            await store.expect("a", None)
        await _expect_closed(ground, store)


@law(
    "LIFECYCLE-04",
    proves=("LIFECYCLE-01", "CLOSE-01"),
    catches=("close-strands-calls", "close-breaks-calls", "close-drops-writes"),
)
async def close_while_verbs_run(ground: Ground) -> None:
    """A verb that runs while the store is closed ends: with its answer, or with an error of the contract."""
    store = await ground.open()
    record = ground.record(b"x" * 1000)
    kept = {f"k{number}": ground.record(b"%d" % number) for number in range(10)}
    calls = [store.write(*item) for item in kept.items()]
    calls += [store.write(f"s{number}", record) for number in range(10)]
    calls += [store.destroy(f"s{number}") for number in range(10)]
    reads = [store.read(f"s{number}") for number in range(10)]
    answers = await asyncio.gather(*calls, *reads, store.close(), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, StoreClosedError | StoreUnavailableError):
            raise answer
    await _expect_closed(ground, store)
    await store.init()
    for answer, session_id in zip(answers, kept, strict=False):
        lost = answer is None and await store.read(session_id) is None
        ground.check(not lost, expected="what was acknowledged to be there", got="None", ids=(session_id,))
    await store.write("after", record)
    await store.expect("after", record)


@law(
    "LIFECYCLE-05",
    proves=("LIFECYCLE-01",),
    catches=("enter-returns-none", "exit-swallows-error", "exit-keeps-open"),
)
async def a_block(ground: Ground) -> None:
    """The block `async with store:` gives the store itself, lets errors through, and closes the store either way."""
    store = ground.make()
    async with store.inner as given:
        ground.check(given is store.inner, expected="`async with store` to give the store itself", got=given)
        await store.write("a", ground.record())
    await _expect_closed(ground, store)
    try:
        async with store.inner:
            await _fail(store)
    except _OwnError:
        await _expect_closed(ground, store)
        return
    ground.check(False, expected="an error in the block to go through", got="none")


class _OwnError(Exception):
    """What a user's block may raise."""


async def _fail(store: TracedStore) -> None:
    await store.read("a")
    raise _OwnError


@law(
    "INIT-01",
    proves=("INIT-01",),
    catches=(
        "init-wipes",
        "init-not-idempotent",
        "init-returns-none",
        "init-needs-two-calls",
        "init-second-closes",
        "init-drops-mortal",
    ),
)
async def init_twice(ground: Ground) -> None:
    """Init may be called again and again, returns the store itself, and removes no session."""
    store = await ground.open()
    forever, mortal = ground.record(b"1"), ground.record(b"2", lives=60_000)
    await store.write("a", forever)
    await store.write("b", mortal)
    for _ in range(3):
        await store.init()
        await store.expect("a", forever)
        await store.expect("b", mortal)
    ground.advance(60_000 + ground.grace)
    await store.init()
    await store.expect("a", forever)
    await store.expect("b", None)


@law(
    "INIT-02",
    proves=("INIT-02",),
    catches=("init-concurrent", "init-returns-early", "init-concurrent-wipes", "init-again-interrupts"),
)
async def init_at_once(ground: Ground) -> None:
    """Several tasks may call init at once, on one store and on several of a new location, and each may go on then."""
    for _ in range(ground.profile.cycles):
        ground.move()
        stores = [ground.make() for _ in range(4)] * 3
        records = [ground.record() for _ in stores]
        turns = [_open_and_write(store, f"s{n}", records[n], pause=n % 5) for n, store in enumerate(stores)]
        await asyncio.gather(*turns)
        again = [store.init() for store in stores[:4]]
        await asyncio.gather(*again, *(store.expect(f"s{n}", records[n]) for n, store in enumerate(stores)))
        await ground.close()  # a server takes so many connections, and no more


async def _open_and_write(store: TracedStore, session_id: str, record: Record, *, pause: int) -> None:
    for _ in range(pause):
        await asyncio.sleep(0)
    await store.init()
    await store.write(session_id, record)


@law(
    "INIT-03",
    proves=("INIT-03",),
    hooks=("make_unusable",),
    catches=("init-lazy-lies", "init-fails-open", "init-foreign-error"),
)
async def unusable_medium(ground: Ground) -> None:
    """A medium that cannot be used is StoreUnavailableError at init, and the store stays closed."""
    harness: Unusable = ground.harness  # type: ignore[assignment]
    store = ground.trace(harness.make_unusable(clock=ground.clock))
    await store.refuses(StoreUnavailableError, "init")
    await store.refuses(StoreClosedError, "read", "a")
    await store.close()


@law("INIT-04", proves=("INIT-04", "INIT-01"), catches=("reopen-broken", "reopen-forgets", "ttl-lost-restart"))
async def reopened(ground: Ground) -> None:
    """After close init opens the store again, and the sessions are there with all that belongs to them."""
    store = await ground.open()
    forever, mortal, gone = ground.record(b"1"), ground.record(b"2", lives=60_000), ground.record(b"3")
    await store.write("a", forever)
    await store.write("b", mortal)
    await store.write("c", gone)
    await store.destroy("c")
    for _ in range(3):
        await store.close()
        await store.init()
        await store.expect("a", forever)
        await store.expect("b", mortal)
        await store.expect("c", None)
    ground.advance(59_999)
    await store.close()
    await store.init()
    await store.expect("b", mortal)
    ground.advance(1 + ground.grace)
    await store.expect("b", None)
    await store.close()
    await store.init()
    await store.expect("b", None)
    await store.expect("a", forever)


@law(
    "INIT-05",
    proves=("INIT-01", "INIT-02", "INIT-04"),
    needs=("shared",),
    catches=("init-second-store-wipes", "close-closes-all", "reopen-restores"),
)
async def init_beside_a_store(ground: Ground) -> None:
    """Another store that is opened or closed on the location disturbs neither the sessions nor the first store."""
    store = await ground.open()
    record = ground.record()
    await store.write("a", record)
    for namespace in ("", "", "other"):
        other = await ground.open(namespace=namespace)
        await store.expect("a", record)
        await other.close()
        await store.expect("a", record)
        await store.write("b", record)
        await store.expect("b", record)
    other = await ground.open()
    await store.close()
    new = ground.record(b"new")
    await other.write("a", new)
    await other.destroy("b")
    await store.init()
    for each in (store, other):
        await each.expect("a", new)
        await each.expect("b", None)


@law("INIT-07", proves=("INIT-03", "INIT-04"), hooks=("fail",), catches=("init-failure-is-final",))
async def init_after_a_failure(ground: Ground) -> None:
    """A store whose init has failed is opened by the next init, once the medium works."""
    harness: Fails = ground.harness  # type: ignore[assignment]
    store = await ground.open()
    record = ground.record()
    await store.write("a", record)
    await store.close()
    await harness.fail(ground.location)
    try:
        await store.refuses(StoreUnavailableError, "init")
        await store.refuses(StoreClosedError, "read", "a")
    finally:
        await harness.mend(ground.location)
    await store.init()
    await store.expect("a", record)


@law(
    "CLOSE-01",
    proves=("CLOSE-01",),
    catches=("close-not-idempotent", "close-before-init-raises", "close-twice-hangs", "close-returns-true"),
)
async def close_twice(ground: Ground) -> None:
    """Close may be called before init, again and again, and by several tasks at once."""
    store = ground.make()
    await store.close()
    await store.init()
    await store.write("a", ground.record())
    await asyncio.gather(*(store.close() for _ in range(5)))
    await store.close()


@law("CLOSE-05", proves=("CLOSE-02",), catches=("unclosed-warning", "close-task-fails"))
async def close_leaves_no_warning(ground: Ground) -> None:
    """A store that was closed can be collected without a ResourceWarning, and leaves no task that failed unseen."""
    failures: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(str(context.get("message"))))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        await _use_and_drop(ground)
        for _ in range(3):
            await asyncio.sleep(0)
            gc.collect()
    failures += [str(each.message) for each in seen if issubclass(each.category, ResourceWarning)]
    ground.check(not failures, expected="no warning after close", got="; ".join(failures))


async def _use_and_drop(ground: Ground) -> None:
    store = await ground.open()
    await call_declared(ground, store)
    await store.close()
    ground.forget(store)


async def _expect_closed(ground: Ground, store: TracedStore) -> None:
    declared = ground.capabilities
    empty: list[tuple[str, tuple[Any, ...]]] = [("read_many", ([],)), ("write_many", ([],))] if declared.batch else []
    for verb, arguments in [*declared_verbs(ground), *empty]:
        try:
            await store.refuses(StoreClosedError, verb, *arguments)
        except PalaverError as error:
            raise LawBroken(expected=f"{verb}() to raise StoreClosedError", got=str(error)) from error
