"""Removing what has expired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.laws._purging import purge_at_most, purge_for_good

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore

_ROUNDS: Final = 6
"""A medium that collects at odd moments lets a purge have all of them in some round."""

_OCCASIONS: Final = 20
"""One that collects so often that it does not, does so at one of these moments."""


@law(
    "PURGE-01",
    proves=("PURGE-01",),
    needs=("purge",),
    catches=("purge-removes-live", "purge-miscounts", "purge-threshold", "purge-removes-eternal"),
)
async def exactly_what_has_expired(ground: Ground) -> None:
    """Purge removes exactly what has expired: not what lives one millisecond longer, or for ever."""
    store = await ground.open()
    await purge_at_most(ground, store, 0, "purge of nothing")
    records = {
        f"s{number}": ground.record(lives=life) for number, life in enumerate((1_000, 2_000, 60_000, None, 1_000))
    }
    alive_at = ground.clock.now()
    for session_id, record in records.items():
        await store.write(session_id, record)
    ground.advance(999)
    await purge_at_most(ground, store, 0, "purge before any expiry")
    for session_id, record in records.items():
        await store.expect(session_id, record)
    ground.advance(60_000 - 999 - 1)
    await purge_at_most(ground, store, 3)
    await purge_at_most(ground, store, 0, "purge again")
    await store.expect("s2", records["s2"])
    await store.expect("s3", records["s3"])
    ground.advance(1 + ground.grace)
    await purge_for_good(ground, store, ["s2"], alive_at=alive_at, what="purge at the instant of expiry")
    await store.expect("s3", records["s3"])


@law("PURGE-02", proves=("PURGE-01",), needs=("purge",), catches=("purge-noop", "purge-hides-only"))
async def really_removed(ground: Ground) -> None:
    """What was purged is gone for good: it does not come back when the clock goes back."""
    store = await ground.open()
    await store.write("a", ground.record(lives=1_000))
    await store.write("b", ground.record(lives=60_000))
    alive_at = ground.clock.now()
    ground.advance(1_000 + ground.grace)
    await purge_for_good(ground, store, ["a"], alive_at=alive_at)
    ground.check(await store.read("b") is not None, expected="what lives to stay", got="None", ids=("b",))


@law("PURGE-03", proves=("PURGE-01",), needs=("purge",), catches=("purge-page",), weight=2)
async def many_expired(ground: Ground) -> None:
    """Purge removes all that has expired, however much it is, and leaves what lives among it."""
    store = await ground.open()
    alive_at = ground.clock.now()
    kept, expired = {}, []
    for number in ground.cases(range(ground.profile.crowd), at_least=120):
        record = ground.record(b"%d" % number, lives=None if number % 6 == 0 else 1_000 + number)
        await store.write(f"s{number}", record)
        if number % 6 == 0:
            kept[f"s{number}"] = record
        else:
            expired.append(f"s{number}")
    ground.advance(1_000 + ground.profile.crowd + ground.grace)
    await purge_for_good(ground, store, expired, alive_at=alive_at)
    for session_id, record in kept.items():
        await store.expect(session_id, record)
    await purge_at_most(ground, store, 0, "purge again")


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
    await purge_at_most(ground, store, 1)
    await store.expect("a", longer)
    await store.expect("c", forever)
    if ground.capabilities.touch:
        ground.check(await store.read("e") is not None, expected="the touched session to stay", got="None", ids=("e",))


@law("PURGE-05", proves=("PURGE-01",), needs=("purge",), catches=("purge-count-cut",))
async def counts_what_it_removes(ground: Ground) -> None:
    """Purge answers how many it removed; where nobody else collects, that is all that had expired."""
    store = await ground.open()
    for crowd in ground.cases((1, 3, 100), at_least=3):
        counts = [await _purge_of_expired(ground, store, crowd) for _ in range(_ROUNDS)]
        if crowd in counts or await _collects_by_itself(ground, store, crowd):
            continue
        raise LawBroken(expected=f"purge to answer {crowd} in one of {_ROUNDS} rounds at least", got=str(counts))


async def _purge_of_expired(ground: Ground, store: TracedStore, crowd: int) -> int:
    await _let_expire(ground, store, crowd)
    return await purge_at_most(ground, store, crowd)


async def _let_expire(ground: Ground, store: TracedStore, crowd: int) -> None:
    for number in range(crowd):
        await store.write(f"s{number}", ground.record(lives=1_000))
    ground.advance(1_000 + ground.grace)


async def _collects_by_itself(ground: Ground, store: TracedStore, crowd: int) -> bool:
    """Tell whether what has expired goes away although nobody purges."""
    alive_at = ground.clock.now()
    await _let_expire(ground, store, crowd)
    for _ in range(_OCCASIONS):
        await store.read("somebody else")
    now = ground.clock.now()
    ground.advance_to(alive_at)
    there = [await store.read(f"s{number}") for number in range(crowd)]
    ground.advance_to(now)
    return None in there
