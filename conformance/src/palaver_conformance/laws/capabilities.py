"""What a store declares."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from palaver.contract.record import ABSENT
from palaver.contract.session_ids import MAX_ID_BYTES
from palaver.errors import UnsupportedError
from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.laws._verbs import call_declared

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground


_WITH_VERBS = ("swap", "batch", "touch", "scan", "purge", "clear")


@law("CAPABILITY-01", proves=("UNSUPPORTED-01",), catches=("capability-drift", "capability-by-namespace"))
async def the_same_for_its_whole_life(ground: Ground) -> None:
    """What a store declares is the same before init, after it, after close, and on every store of its location."""
    store = ground.make()
    before = store.capabilities
    await store.init()
    ground.equal(store.capabilities, before, "after init")
    await store.write("a", ground.record())
    ground.equal(store.capabilities, before, "after a write")
    await store.close()
    ground.equal(store.capabilities, before, "after close")
    ground.equal(ground.make().capabilities, before, "on another store")
    ground.equal(ground.make(namespace="other").capabilities, before, "in another namespace")


@law(
    "CAPABILITY-02",
    proves=("UNSUPPORTED-01",),
    catches=("capability-unknown", "capability-truthy", "capability-zero-granularity"),
)
async def declarations_are_possible(ground: Ground) -> None:
    """Each capability is True or False, and each limit a number that a store can keep."""
    declared = ground.capabilities
    for field in dataclasses.fields(declared):
        value = getattr(declared, field.name)
        fault = _limit_fault(field.name, value)
        ground.check(fault is None, expected=f"{field.name} to be {fault}", got=value)


def _limit_fault(name: str, value: Any) -> str | None:
    if name == "max_payload_bytes":
        return None if value is None or (type(value) is int and value > 0) else "a number of bytes, or None"
    if name == "max_id_bytes":
        fine = type(value) is int and 0 < value <= MAX_ID_BYTES
        return None if fine else f"a number of bytes, at most {MAX_ID_BYTES}"
    if name == "expiry_granularity_ms":
        return None if type(value) is int and value > 0 else "a number of milliseconds, 1 or more"
    return None if type(value) is bool else "True or False"


@law("CAPABILITY-03", proves=("UNSUPPORTED-01",), catches=("declared-raises", "declared-swap-many-raises"))
async def declared_verbs_are_there(ground: Ground) -> None:
    """Every verb of a declared capability works."""
    store = await ground.open()
    try:
        await call_declared(ground, store)
    except UnsupportedError as error:
        raise LawBroken(expected=f"{error.capability}, which is declared, to work", got=str(error)) from error


@law("CAPABILITY-04", proves=("NAMESPACE-01", "EXPIRY-01"), catches=("options-dropped", "expiry-in-seconds"))
async def options_are_kept(ground: Ground) -> None:
    """A store shows the namespace and the clock that it was made with, and how long a session lives."""
    store = ground.make(namespace="of a bot").inner
    ground.equal(store.namespace, ground.whole_namespace("of a bot"), "namespace")
    ground.advance(1_234)
    ground.equal(store.clock.now(), ground.clock.now(), "store.clock to show the time of the clock that was given:")
    now = ground.clock.now()
    expiry = None if store.ttl is None else now + store.ttl // timedelta(milliseconds=1)
    ground.equal(store.expiry(now), expiry, "store.expiry(now) to be its ttl later, in milliseconds:")


@law(
    "UNSUPPORTED-01",
    proves=("UNSUPPORTED-01",),
    catches=(
        "undeclared-silent",
        "undeclared-works",
        "undeclared-changes",
        "undeclared-foreign-error",
        "undeclared-scan-empty",
        "undeclared-swap-many",
        "undeclared-remove",
    ),
)
async def undeclared_verbs_are_refused(ground: Ground) -> None:
    """A verb of a capability that is not declared raises UnsupportedError and changes nothing."""
    store = await ground.open()
    record = ground.record(b"before", lives=60_000)
    await store.write("a", record)
    for verb, arguments in _undeclared(ground):
        await store.refuses(UnsupportedError, verb, *arguments)
        await store.expect("a", record)
        await store.expect("b", None)
    ground.advance(60_000 + ground.grace)
    await store.expect("a", None)


@law("UNSUPPORTED-02", proves=("UNSUPPORTED-01",), catches=("unsupported-without-name",))
async def refusals_name_the_capability(ground: Ground) -> None:
    """An UnsupportedError names a capability that is not declared, and carries no session id."""
    store = await ground.open()
    for verb, arguments in _undeclared(ground):
        error = await store.refuses(UnsupportedError, verb, *arguments)
        name = error.capability
        # What swap_many lacks may be either.
        fine = name in _WITH_VERBS and (verb == "swap_many" or not getattr(ground.capabilities, name))
        ground.check(fine, expected="the name of a capability that is not declared", got=name)


def _undeclared(ground: Ground) -> list[tuple[str, tuple[Any, ...]]]:
    declared = ground.capabilities
    new = ground.record(b"new")
    verbs: list[tuple[bool, str, tuple[Any, ...]]] = [
        (declared.swap, "swap", ("a", new, ABSENT)),
        (declared.swap, "swap", ("b", new, ABSENT)),
        (declared.swap, "remove", ("a", "of nobody")),
        (declared.batch, "read_many", (["a", "b"],)),
        (declared.batch, "write_many", ([("a", new), ("b", new)],)),
        (declared.batch and declared.swap, "swap_many", ([("a", new, ABSENT), ("b", new, ABSENT)],)),
        (declared.touch, "touch", ("a", None)),
        (declared.touch, "touch", ("b", None)),
        (declared.scan, "scan", ()),
        (declared.scan, "scan", ("a",)),
        (declared.purge, "purge", ()),
        (declared.clear, "clear", ()),
    ]
    return [(verb, arguments) for is_declared, verb, arguments in verbs if not is_declared]
