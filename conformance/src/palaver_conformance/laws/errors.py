"""What goes wrong, and how it is told."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT, Record
from palaver.errors import (
    CorruptSessionError,
    PalaverError,
    SessionTooLargeError,
    StoreClosedError,
    StoreUnavailableError,
)
from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import LawBroken, NotRun
from palaver_conformance.harness import Corrupts, Fails, Unusable
from palaver_conformance.laws._change import VerbTrial, failing, verbs_on_a_session
from palaver_conformance.laws._verbs import call_declared, declared_verbs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore
    from palaver_conformance.harness import Secrets

_CANARY = b"canary-5f0c9d"  # short: a store may accept little


@law(
    "ERROR-01",
    proves=("ERROR-01", "READ-01"),
    hooks=("corrupt",),
    catches=(
        "corrupt-is-missing",
        "corrupt-foreign-error",
        "corrupt-accepted",
        "corrupt-is-unavailable",
        "corrupt-batch-missing",
        "corrupt-swap-overwrites",
        "corrupt-remove-missing",
        "corrupt-touch-missing",
        "corrupt-heals",
    ),
)
async def damaged_records(ground: Ground) -> None:
    """A record that cannot be understood is CorruptSessionError, never "no session", on every path that reads it."""
    harness: Corrupts = ground.harness  # type: ignore[assignment]
    store = await ground.open()
    await store.write("a", ground.record(b"x" * 100))
    await harness.corrupt(ground.location, "", "a")
    await store.refuses(CorruptSessionError, "read", "a")
    if ground.capabilities.batch:
        await store.refuses(CorruptSessionError, "read_many", ["b", "a"])
    if ground.capabilities.swap:
        for expected in (ABSENT, ground.version()):
            await store.refuses(CorruptSessionError, "swap", "a", ground.record(), expected)
        await store.refuses(CorruptSessionError, "remove", "a", ground.version())
    if ground.capabilities.swap and ground.capabilities.batch:
        await store.refuses(CorruptSessionError, "swap_many", [("a", ground.record(), ABSENT)])
    if ground.capabilities.touch:
        await _touch_or_refuse(store, ground.clock.now() + 60_000)
    await store.refuses(CorruptSessionError, "read", "a")


async def _touch_or_refuse(store: TracedStore, expires_at: int) -> None:
    """A store need not understand a record to touch it."""
    try:
        touched = await store.touch("a", expires_at)
    except CorruptSessionError:
        return
    if not touched:
        raise LawBroken(expected="touch() to raise CorruptSessionError, or to touch", got="False", ids=("a",))


@law(
    "ERROR-02",
    proves=("ERROR-02",),
    catches=("payload-in-log", "payload-in-error", "payload-in-cause", "payload-in-corrupt-error", "payload-in-repr"),
)
async def nothing_is_told_of_payloads(ground: Ground) -> None:
    """No payload is in a repr, a log or an error."""
    with _logs(ground) as lines:
        store = await ground.open()
        record = ground.record(_CANARY * 3)
        await store.write("a", record)
        await call_declared(ground, store)
        await store.write("b", record)
        told = [repr(store.inner), str(store.inner)]
        told += [*await _errors_about(ground, store), *await _failures(ground, store)]
        told += await _damage(ground, store)
        await store.close()
        for verb, arguments in declared_verbs(ground, payload=_CANARY):
            told.append(_tell(await store.refuses(StoreClosedError, verb, *arguments)))
    _expect_silence(ground, [*told, *lines], (_CANARY.decode(), _CANARY.hex()))


@law(
    "ERROR-03",
    proves=("ERROR-02",),
    hooks=("secrets",),
    catches=("url-credentials", "credentials-in-error", "credentials-in-init-error", "credentials-in-log"),
)
async def nothing_is_told_of_credentials(ground: Ground) -> None:
    """No credential is in a repr, a log or an error."""
    harness: Secrets = ground.harness  # type: ignore[assignment]
    if not harness.secrets:
        raise NotRun("hook secrets: the harness names none")
    with _logs(ground) as lines:
        store = ground.make()
        told = [repr(store.inner), str(store.inner), repr(store.inner.capabilities)]
        told.append(_tell(await store.refuses(StoreClosedError, "read", "a")))
        await store.init()
        told += [repr(store.inner), *await _errors_about(ground, store), *await _failures(ground, store)]
        await store.close()
        told.append(_tell(await store.refuses(StoreClosedError, "read", "a")))
    _expect_silence(ground, [*told, *lines], harness.secrets)


@law(
    "ERROR-04",
    proves=("ERROR-01",),
    catches=(
        "limit-lie",
        "limit-off-by-one",
        "oversize-accepted",
        "oversize-keeps-part",
        "oversize-unavailable",
        "oversize-without-facts",
        "oversize-swapped",
        "oversize-half-batch",
    ),
)
async def too_large(ground: Ground) -> None:
    """A payload at the declared limit is stored; one byte more is SessionTooLargeError before anything is changed."""
    limit = ground.capabilities.max_payload_bytes
    if limit is None:
        await _no_limit(ground)
        return
    store = await ground.open()
    record = await _at_the_limit(ground, store, limit)
    sizes = (limit + 1, limit + 2, 2 * limit, limit + 100_000) if limit <= ground.profile.largest else (limit + 1,)
    for size in sizes:
        ground.begin_case()
        # Zeros take no memory until somebody looks at them, which the store need not do.
        large = Record(bytes(size), ground.version(), None)
        error = await store.refuses(SessionTooLargeError, "write", "a", large)
        ground.equal((error.size, error.limit), (size, limit), "the error to carry size and limit")
        await store.refuses(SessionTooLargeError, "write", "new", large)
        if ground.capabilities.swap:
            await store.refuses(SessionTooLargeError, "swap", "a", large, record.version)
            await store.refuses(SessionTooLargeError, "swap", "new", large, ABSENT)
        if ground.capabilities.batch:
            await _too_large_in_batch(ground, store, large)
        await store.expect("a", record)
        for session_id in ("new", "b", "c"):
            await store.expect(session_id, None)


async def _at_the_limit(ground: Ground, store: TracedStore, limit: int) -> Record:
    """Write as much as is declared, or as much as the profile goes to."""
    if limit > ground.profile.largest:
        ground.events["limits too large to be reached"] += 1
    record = ground.record(b"x" * min(limit, ground.profile.largest))
    await store.write("a", record)
    await store.expect("a", record)
    return record


async def _no_limit(ground: Ground) -> None:
    store = await ground.open()
    record = ground.record(b"x" * min(ground.profile.largest, 4_000_000))
    await store.write("a", record)
    await store.expect("a", record)


async def _too_large_in_batch(ground: Ground, store: TracedStore, large: Record) -> None:
    small = ground.record(b"small")
    await store.refuses(SessionTooLargeError, "write_many", [("b", small), ("a", large), ("c", small)])
    if ground.capabilities.swap:
        items = [("b", small, ABSENT), ("c", large, ABSENT)]
        await store.refuses(SessionTooLargeError, "swap_many", items)


@law(
    "ERROR-05",
    proves=("ERROR-01",),
    hooks=("corrupt",),
    catches=("corrupt-poisons-all", "corrupt-poisons-init", "corrupt-purged", "corrupt-hidden-by-scan"),
)
async def damage_stays_where_it_is(ground: Ground) -> None:
    """One damaged record disturbs neither other sessions nor init, scan and purge, and stays as it is."""
    harness: Corrupts = ground.harness  # type: ignore[assignment]
    store = await ground.open()
    records = {session_id: ground.record(session_id.encode()) for session_id in ground.ids(5)}
    for session_id, record in records.items():
        await store.write(session_id, record)
    await harness.corrupt(ground.location, "", "session:2")
    await store.close()
    await store.init()
    others = {session_id: record for session_id, record in records.items() if session_id != "session:2"}
    for session_id, record in others.items():
        await store.expect(session_id, record)
    if ground.capabilities.scan:
        missing = sorted(set(others) - set(await store.scan_all()))
        ground.check(not missing, expected="scan to show all other sessions", got=f"missing: {missing}")
    if ground.capabilities.purge:
        await store.purge()
    for session_id, record in others.items():
        await store.expect(session_id, record)
    await store.refuses(CorruptSessionError, "read", "session:2")


@law(
    "ERROR-06",
    proves=("ERROR-01", "WRITE-01"),
    hooks=("fail",),
    catches=(
        "swallow-error",
        "swallow-write-error",
        "swallow-touch-error",
        "wrong-exception",
        "failure-is-corrupt",
        "error-leaves-change",
        "error-leaves-half",
        "error-is-final",
    ),
)
async def a_medium_that_fails(ground: Ground) -> None:
    """A medium that fails is StoreUnavailableError for every verb, never "no session"; once mended, all is there."""
    store = await ground.open()
    changes = [VerbTrial(ground, verb, f"of {verb}") for verb in verbs_on_a_session(ground)]
    for change in changes:
        await store.write(change.session_id, change.old)
    async with failing(ground):
        for change in changes:
            await store.refuses(StoreUnavailableError, change.verb, *change.arguments)
    for change in changes:
        await change.expect_old_or_new(store)
    async with failing(ground):
        for verb, arguments in declared_verbs(ground):
            await store.refuses(StoreUnavailableError, verb, *arguments)
    new = ground.record(b"new")
    await store.write("a", new)
    await store.expect("a", new)


@law("DESTROY-03", proves=("DESTROY-03",), hooks=("corrupt",), catches=("corrupt-undestroyable",))
async def damaged_records_can_be_destroyed(ground: Ground) -> None:
    """Destroy removes a record that cannot be understood, too, and the id can be used again."""
    harness: Corrupts = ground.harness  # type: ignore[assignment]
    store = await ground.open()
    await store.write("a", ground.record(b"x" * 100))
    await harness.corrupt(ground.location, "", "a")
    await store.destroy("a")
    await store.expect("a", None)
    record = ground.record()
    await store.write("a", record)
    await store.expect("a", record)


async def _failures(ground: Ground, store: TracedStore) -> list[str]:
    """Make the medium fail in the ways that the harness has, and return all that is told about it."""
    told = []
    harness = ground.harness
    if isinstance(harness, Fails):
        async with failing(ground):
            for verb, arguments in declared_verbs(ground, payload=_CANARY):
                told.append(_tell(await store.refuses(StoreUnavailableError, verb, *arguments)))
    if isinstance(harness, Unusable):
        unusable = ground.trace(harness.make_unusable(clock=ground.clock))
        told += [repr(unusable.inner), _tell(await unusable.refuses(StoreUnavailableError, "init"))]
    return told


async def _damage(ground: Ground, store: TracedStore) -> list[str]:
    """Damage a record, if the harness can, and return all that is told about it."""
    harness = ground.harness
    if not isinstance(harness, Corrupts):
        return []
    await store.write("damaged", ground.record(_CANARY * 10))
    await harness.corrupt(ground.location, "", "damaged")
    return [_tell(await store.refuses(CorruptSessionError, "read", "damaged"))]


async def _errors_about(ground: Ground, store: TracedStore) -> list[str]:
    """Provoke the errors that a store can be made to raise, and return all that they tell."""
    told = []
    limit = ground.capabilities.max_payload_bytes
    calls = [("touch", ("a", None)), ("purge", ()), ("clear", ()), ("swap", ("a", ground.record(_CANARY), ABSENT))]
    if limit is not None and limit <= ground.profile.largest:
        large = Record((_CANARY * 100)[: limit + 1].ljust(limit + 1, b"x"), ground.version(), None)
        calls.append(("write", ("a", large)))
    for verb, arguments in calls:
        try:
            await store.call(verb, *arguments)
        except PalaverError as error:
            told.append(_tell(error))
    return told


def _tell(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__
    return f"{error} {error!r} {error.args!r}" + (f" {_tell(cause)}" if cause is not None else "")


def _expect_silence(ground: Ground, told: list[str], secrets: tuple[str, ...]) -> None:
    for text in told:
        found = [secret for secret in secrets if secret in text]
        ground.check(not found, expected="no secret in anything that is told", got=f"it is in: {text[:200]}")


@contextmanager
def _logs(ground: Ground) -> Iterator[list[str]]:
    """Collect what is logged: by the store's own package in full, by others from INFO on."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(_line(record))  # type: ignore[method-assign]
    package = type(ground.make().inner).__module__.partition(".")[0]
    loggers = [logging.getLogger(), logging.getLogger(package), logging.getLogger("palaver")]
    before = [logger.level for logger in loggers]
    for logger, level in zip(loggers, (logging.INFO, logging.DEBUG, logging.DEBUG), strict=True):
        logger.setLevel(level)
    loggers[0].addHandler(handler)
    try:
        yield lines
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _line(record: logging.LogRecord) -> str:
    return f"{record.getMessage()} {record.args!r} {record.exc_info and record.exc_info[1]!r}"
