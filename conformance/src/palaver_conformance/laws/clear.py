"""Removing a whole namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver_conformance.ground.ids import RELATED
from palaver_conformance.ground.law import law
from palaver_conformance.laws._verbs import expect_gone_everywhere

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground


@law("CLEAR-01", proves=("CLEAR-01",), needs=("clear",), catches=("clear-noop", "clear-miscounts", "clear-prefix"))
async def everything(ground: Ground) -> None:
    """Clear removes and counts all sessions, whatever their ids, and the store can be used afterwards."""
    store = await ground.open()
    ground.equal(await store.clear(), 0, "clear of nothing to answer")
    ids = ground.acceptable([each for group in RELATED.values() for each in group])
    for number, session_id in enumerate(ids):
        await store.write(session_id, ground.record(lives=None if number % 2 else 60_000))
    ground.equal(await store.clear(), len(ids), "clear to answer")
    for session_id in ids:
        await store.expect(session_id, None)
    ground.equal(await store.clear(), 0, "clear again to answer")
    record = ground.record()
    await store.write("a", record)
    await store.expect("a", record)


@law("CLEAR-02", proves=("CLEAR-01",), needs=("clear",), catches=("clear-page", "clear-count-cut"), weight=2)
async def many(ground: Ground) -> None:
    """Clear removes all sessions, however many they are."""
    store = await ground.open()
    ids = []
    for session_id in ground.cases(ground.ids(ground.profile.crowd), at_least=120):
        await store.write(session_id, ground.record())
        ids.append(session_id)
    ground.equal(await store.clear(), len(ids), "clear to answer")
    for session_id in ids[:: 1 + len(ids) // 200]:
        await store.expect(session_id, None)
    if ground.capabilities.scan:
        ground.equal(await store.scan_all(), [], "scan to show")


@law(
    "CLEAR-03",
    proves=("CLEAR-01", "EXPIRY-01"),
    needs=("clear",),
    catches=("clear-counts-expired", "clear-keeps-expired"),
)
async def expired_sessions_do_not_count(ground: Ground) -> None:
    """Clear counts the live sessions only, and what had expired does not come back when the clock goes back."""
    store = await ground.open()
    for number in range(6):
        await store.write(f"s{number}", ground.record(lives=1_000 if number % 3 else 60_000))
    ground.advance(1_000 + ground.grace)
    ground.equal(await store.clear(), 2, "clear to answer")
    ground.advance(-1_000 - ground.grace)
    for number in range(6):
        await expect_gone_everywhere(ground, store, f"s{number}", ground.version())
