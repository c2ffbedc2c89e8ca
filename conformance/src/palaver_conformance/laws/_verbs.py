"""Every verb that a store has, to go through them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from palaver.contract.record import ABSENT

if TYPE_CHECKING:
    from palaver.contract.store import Capabilities
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore

__all__ = ("call_declared", "declared_verbs", "expect_everywhere", "expect_gone_everywhere")


def declared_verbs(ground: Ground, session_id: str = "a", payload: bytes = b"new") -> list[tuple[str, tuple[Any, ...]]]:
    """Return a call of every verb that the store has."""
    declared: Capabilities = ground.capabilities
    record = ground.record(payload, lives=3_600_000)
    verbs: list[tuple[bool, str, tuple[Any, ...]]] = [
        (True, "read", (session_id,)),
        (True, "write", (session_id, record)),
        (True, "destroy", (session_id,)),
        (declared.swap, "swap", (session_id, record, ABSENT)),
        (declared.swap, "remove", (session_id, "of nobody")),
        (declared.touch, "touch", (session_id, None)),
        (declared.batch, "read_many", ([session_id],)),
        (declared.batch, "write_many", ([(session_id, record)],)),
        (declared.batch and declared.swap, "swap_many", ([(session_id, record, ABSENT)],)),
        (declared.scan, "scan", ()),
        (declared.purge, "purge", ()),
        (declared.clear, "clear", ()),
    ]
    return [(verb, arguments) for is_declared, verb, arguments in verbs if is_declared]


async def call_declared(ground: Ground, store: TracedStore, session_id: str = "a") -> None:
    """Call every verb that the store has once."""
    for verb, arguments in declared_verbs(ground, session_id):
        if verb == "scan":
            await store.scan_all(*arguments)
        else:
            await store.call(verb, *arguments)


async def expect_everywhere(ground: Ground, store: TracedStore, session_id: str, record: Any) -> None:
    """See that a live session has this record, on every path that shows it and changes nothing."""
    await store.expect(session_id, record)
    if ground.capabilities.batch:
        ground.same_record((await store.read_many([session_id]))[0], record, session_id)
    if ground.capabilities.scan:
        await _expect_scanned(ground, store, session_id, times=1)
    if ground.capabilities.swap:
        refused = await store.swap(session_id, ground.record(b"loser"), ABSENT)
        ground.check(not refused, expected="swap from ABSENT to be refused", got="True", ids=(session_id,))
        await store.expect(session_id, record)


async def expect_gone_everywhere(ground: Ground, store: TracedStore, session_id: str, version: str) -> None:
    """See that a session does not exist, on every path."""
    await store.expect(session_id, None)
    if ground.capabilities.batch:
        ground.same_record((await store.read_many([session_id]))[0], None, session_id)
    if ground.capabilities.scan:
        await _expect_scanned(ground, store, session_id, times=0)
    if ground.capabilities.touch:
        revived = await store.touch(session_id, None)
        ground.check(not revived, expected="touch to answer False", got="True", ids=(session_id,))
        await store.expect(session_id, None)
    if ground.capabilities.swap:
        won = await store.swap(session_id, ground.record(b"loser"), version)
        ground.check(not won, expected="swap from the old version to be refused", got="True", ids=(session_id,))
        won = await store.remove(session_id, version)
        ground.check(not won, expected="remove from the old version to be refused", got="True", ids=(session_id,))
        await store.expect(session_id, None)


async def _expect_scanned(ground: Ground, store: TracedStore, session_id: str, *, times: int) -> None:
    seen = await store.scan_all()
    ground.equal(seen.count(session_id), times, f"scan to show {session_id!a} this many times:", session_id)
