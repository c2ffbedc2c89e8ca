"""Moving the expiry alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.contract.record import Record
from palaver_conformance.ground.law import law
from palaver_conformance.ground.payloads import HOSTILE, random_bytes

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground


@law(
    "TOUCH-01",
    proves=("TOUCH-01",),
    needs=("touch",),
    catches=("touch-noop", "touch-new-version", "touch-drops-payload", "touch-only-later", "touch-never-ignored"),
)
async def moves_the_expiry(ground: Ground) -> None:
    """Touch moves the expiry, earlier and later, to never and back, and payload and version stay."""
    store = await ground.open()
    record = ground.record(b"kept", lives=60_000)
    await store.write("a", record)
    for life in (120_000, 1_000, None, 30_000, None, 2_592_000_001, 2_000):
        expires_at = None if life is None else ground.clock.now() + life
        ground.equal(await store.touch("a", expires_at), True, "touch to answer", "a")
        await store.expect("a", Record(record.payload, record.version, expires_at))
    ground.advance(1_999)
    await store.expect("a", Record(record.payload, record.version, ground.clock.now() + 1))
    ground.advance(1 + ground.grace)
    await store.expect("a", None)


@law(
    "TOUCH-02",
    proves=("TOUCH-02",),
    needs=("touch",),
    catches=("touch-creates", "touch-revives", "resurrect-by-touch", "touch-creates-silently"),
)
async def never_creates(ground: Ground) -> None:
    """Touch answers False and creates nothing where there is no session: never written, destroyed or expired."""
    store = await ground.open()
    for life in (None, 60_000):
        expires_at = None if life is None else ground.clock.now() + life
        ground.equal(await store.touch("never", expires_at), False, "touch of nothing to answer")
        await store.expect("never", None)
        await store.write("a", ground.record())
        await store.destroy("a")
        ground.equal(await store.touch("a", expires_at), False, "touch of a destroyed session to answer")
        await store.expect("a", None)
        await store.write("b", ground.record(lives=1_000))
        ground.advance(1_000 + ground.grace)
        ground.equal(await store.touch("b", expires_at), False, "touch of an expired session to answer")
        await store.expect("b", None)
    if ground.capabilities.scan:
        ground.equal(await store.scan_all(), [], "scan to show")


@law("TOUCH-03", proves=("TOUCH-01", "ID-01"), needs=("touch",), catches=("touch-all",))
async def touches_one_only(ground: Ground) -> None:
    """Touch moves the expiry of that session only."""
    store = await ground.open()
    records = {
        session_id: ground.record(session_id.encode(), lives=60_000) for session_id in ("a", "ab", "A", "b", "a:")
    }
    for session_id, record in records.items():
        await store.write(session_id, record)
    ground.equal(await store.touch("a", None), True, "touch to answer", "a")
    ground.equal(await store.touch("ab", ground.clock.now() + 1_000), True, "touch to answer", "ab")
    for session_id in ("A", "b", "a:"):
        await store.expect(session_id, records[session_id])
    ground.advance(1_000 + ground.grace)
    await store.expect("ab", None)
    ground.advance(59_000)
    await store.expect("a", Record(b"a", records["a"].version, None))
    for session_id in ("A", "b", "a:"):
        await store.expect(session_id, None)


@law(
    "TOUCH-04",
    proves=("TOUCH-01", "EXPIRY-01"),
    needs=("touch",),
    catches=("touch-past-ignored", "touch-zero-is-never"),
)
async def into_the_past(ground: Ground) -> None:
    """To touch with an instant that has passed ends the session."""
    store = await ground.open()
    for expires_at in (ground.clock.now() - ground.grace, ground.clock.now() - 60_000, 1, 0, -1):
        await store.write("a", ground.record(lives=60_000))
        ground.equal(await store.touch("a", expires_at), True, "touch of a live session to answer", "a")
        await store.expect("a", None)
        ground.equal(await store.touch("a", None), False, "touch of an ended session to answer", "a")
        await store.expect("a", None)


@law("TOUCH-05", proves=("TOUCH-01", "VALUE-01"), needs=("touch",), catches=("touch-reencodes", "touch-trunc"))
async def any_payload_stays(ground: Ground) -> None:
    """Touch leaves any payload alone, hostile or large."""
    store = await ground.open()
    large = [random_bytes(ground.random, size) for size in (5_000, 70_000, 1_048_577)]
    for payload in ground.within_limit((*HOSTILE.values(), *large)):
        ground.begin_case()
        record = ground.record(payload, lives=1_000)
        await store.write("a", record)
        ground.equal(await store.touch("a", None), True, "touch to answer", "a")
        await store.expect("a", Record(payload, record.version, None))


@law("TOUCH-06", proves=("TOUCH-01",), needs=("touch",), catches=("touch-nth-lost", "touch-by-amount"))
async def again_and_again(ground: Ground) -> None:
    """A session that is touched before each expiry lives on, and ends at the last one."""
    store = await ground.open()
    record = ground.record(lives=1_000)
    await store.write("a", record)
    for _ in ground.cases(range(2 * ground.profile.generated), at_least=24):
        ground.advance(999)
        ground.equal(await store.touch("a", ground.clock.now() + 1_000), True, "touch to answer", "a")
        await store.expect("a", Record(record.payload, record.version, ground.clock.now() + 1_000))
    ground.advance(1_000 + ground.grace)
    await store.expect("a", None)
    ground.equal(await store.touch("a", None), False, "touch of an expired session to answer", "a")
