"""Removing what has expired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver_conformance._law import law

if TYPE_CHECKING:
    from palaver_conformance._ground import Ground


@law(
    "PURGE-01",
    proves=("PURGE-01",),
    needs=("purge",),
    catches=("purge-removes-live", "purge-miscounts", "purge-threshold", "purge-removes-eternal"),
)
async def exactly_what_has_expired(ground: Ground) -> None:
    """Purge removes and counts exactly what has expired: not what lives one millisecond longer, or for ever."""
    store = await ground.open()
    ground.equal(await store.purge(), 0, "purge of nothing to answer")
    records = {
        f"s{number}": ground.record(lives=life) for number, life in enumerate((1_000, 2_000, 60_000, None, 1_000))
    }
    for session_id, record in records.items():
        await store.write(session_id, record)
    ground.advance(999)
    ground.equal(await store.purge(), 0, "purge before any expiry to answer")
    for session_id, record in records.items():
        await store.expect(session_id, record)
    ground.advance(60_000 - 999 - 1)
    ground.equal(await store.purge(), 3, "purge to answer")
    ground.equal(await store.purge(), 0, "purge again to answer")
    await store.expect("s2", records["s2"])
    await store.expect("s3", records["s3"])
    ground.advance(1 + ground.grace)
    ground.equal(await store.purge(), 1, "purge at the instant of expiry to answer")
    await store.expect("s3", records["s3"])


@law("PURGE-02", proves=("PURGE-01",), needs=("purge",), catches=("purge-noop", "purge-hides-only"))
async def really_removed(ground: Ground) -> None:
    """What was purged is gone for good: it does not come back when the clock goes back."""
    store = await ground.open()
    await store.write("a", ground.record(lives=1_000))
    await store.write("b", ground.record(lives=60_000))
    ground.advance(1_000 + ground.grace)
    ground.equal(await store.purge(), 1, "purge to answer")
    ground.advance(-1_000 - ground.grace)
    await store.expect("a", None)
    ground.check(await store.read("b") is not None, expected="what lives to stay", got="None", ids=("b",))


@law("PURGE-03", proves=("PURGE-01",), needs=("purge",), catches=("purge-page", "purge-count-cut"), weight=2)
async def many_expired(ground: Ground) -> None:
    """Purge removes all that has expired, however much it is, and leaves what lives among it."""
    store = await ground.open()
    kept, written = {}, 0
    for number in ground.cases(range(ground.profile.crowd), at_least=120):
        record = ground.record(b"%d" % number, lives=None if number % 6 == 0 else 1_000 + number)
        await store.write(f"s{number}", record)
        written += 1
        if number % 6 == 0:
            kept[f"s{number}"] = record
    ground.advance(1_000 + ground.profile.crowd + ground.grace)
    ground.equal(await store.purge(), written - len(kept), "purge to answer")
    for session_id, record in kept.items():
        await store.expect(session_id, record)
    ground.equal(await store.purge(), 0, "purge again to answer")


@law("PURGE-04", proves=("PURGE-01", "WRITE-01"), needs=("purge",), catches=("purge-old-index", "purge-after-touch"))
async def by_the_last_expiry(ground: Ground) -> None:
    """Purge goes by the expiry that a session has now, not by one that it had before."""
    store = await ground.open()
    await store.write("a", ground.record(lives=1_000))
    longer = ground.record(b"longer", lives=60_000)
    await store.write("a", longer)
    await store.write("b", ground.record(lives=60_000))
    await store.write("b", ground.record(b"shorter", lives=1_000))
    await store.write("c", ground.record(lives=1_000))
    forever = ground.record(b"for ever")
    await store.write("c", forever)
    await store.write("d", ground.record(lives=1_000))
    await store.destroy("d")
    if ground.capabilities.touch:
        await store.write("e", ground.record(lives=1_000))
        await store.touch("e", None)
    ground.advance(1_000 + ground.grace)
    ground.equal(await store.purge(), 1, "purge to answer")
    await store.expect("a", longer)
    await store.expect("c", forever)
    if ground.capabilities.touch:
        ground.check(await store.read("e") is not None, expected="the touched session to stay", got="None", ids=("e",))
