"""Reading, writing and destroying, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT, Record
from palaver_conformance.ground.law import law
from palaver_conformance.laws._ways import ways_to_put

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground


@law("READ-01", proves=("READ-01",), catches=("read-missing-raises", "shared-default", "prefix-read"))
async def nothing_there(ground: Ground) -> None:
    """A session that was never written is None, whatever else is there."""
    store = await ground.open()
    await store.expect("a", None)
    await store.write("session:1", ground.record())
    for session_id in ("a", "session", "session:", "session:11", "session:2", "ession:1", "1"):
        await store.expect(session_id, None)


@law("READ-02", proves=("READ-02",), catches=("read-your-writes", "stale-read", "lost-write"), is_cause=True)
async def writes_are_seen_at_once(ground: Ground) -> None:
    """Every read sees the write before it, however often this is repeated."""
    store = await ground.open()
    for number in ground.cases(range(10 * ground.profile.generated), at_least=60):
        session_id = f"s{number % 7}"
        record = ground.record(f"write {number}".encode())
        await store.write(session_id, record)
        for _ in range(1 + number % 3):
            await store.expect(session_id, record)


@law("READ-03", proves=("READ-03",), catches=("ttl-slides-on-read", "read-once"))
async def reading_changes_nothing(ground: Ground) -> None:
    """Reading moves no expiry and uses nothing up."""
    store = await ground.open()
    mortal, forever = ground.record(b"1", lives=60_000), ground.record(b"2")
    await store.write("a", mortal)
    await store.write("b", forever)
    for _ in range(11):
        ground.advance(5_000)
        await store.expect("a", mortal)
        await store.expect("b", forever)
    ground.advance(5_000 + ground.grace)
    await store.expect("a", None)
    await store.expect("b", forever)


@law("READ-04", proves=("READ-01", "READ-03"), catches=("read-creates",))
async def reading_creates_nothing(ground: Ground) -> None:
    """Reading a session that is not there does not make one."""
    store = await ground.open()
    for _ in range(3):
        await store.expect("a", None)
    if ground.capabilities.scan:
        ground.equal(await store.scan_all(), [], "scan to show")
    if ground.capabilities.touch:
        ground.equal(await store.touch("a", None), False, "touch to answer")
    if ground.capabilities.clear:
        ground.equal(await store.clear(), 0, "clear to remove")
    if ground.capabilities.swap:
        ground.equal(await store.swap("a", ground.record(), ABSENT), True, "swap from ABSENT to answer")


@law(
    "WRITE-01",
    proves=("WRITE-01",),
    catches=("first-write-wins", "ttl-kept-on-overwrite", "overwrite-merges", "overwrite-keeps-version"),
)
async def writes_replace(ground: Ground) -> None:
    """A write replaces payload, version and expiry of the former record as a whole."""
    store = await ground.open()
    payloads = (b"long " * 500, b"short", b"", b"longer than before", b"x" * 100_000, b"y" * 70_000, b"z")
    lives = (60_000, None, 30_000, 90_000, None, None, 1_000)
    for put in ways_to_put(ground):
        for payload, life in zip(payloads, lives, strict=True):
            if ground.within_limit([payload]):
                record = ground.record(payload, lives=life)
                await put(store, "a", record)
                await store.expect("a", record)
    await store.expect("b", None)


@law(
    "WRITE-02", proves=("WRITE-02", "EXPIRY-01"), catches=("ttl-negative", "past-write-keeps-old", "past-write-raises")
)
async def writes_in_the_past(ground: Ground) -> None:
    """A record that has already expired is accepted, is not there, and neither is the one that it replaced."""
    store = await ground.open()
    past = (ground.clock.now() - ground.grace, ground.clock.now() - 1 - ground.grace, ground.clock.now() - 60_000)
    for put in ways_to_put(ground):
        for expires_at in (*past, 1, 0, -1, -1_000):
            ground.begin_case()
            before, late = ground.record(b"before"), ground.record(b"late")
            await store.write("a", before)
            await put(store, "a", Record(late.payload, late.version, expires_at))
            await store.expect("a", None)
            await store.write("a", before)
            await store.expect("a", before)


@law("WRITE-03", proves=("WRITE-01", "ID-01"), catches=("write-touches-neighbours",))
async def writes_leave_others_alone(ground: Ground) -> None:
    """Writing and destroying one session changes no other one."""
    store = await ground.open()
    others = {f"other:{number}": ground.record(b"%d" % number, lives=60_000 + number) for number in range(12)}
    for session_id, record in others.items():
        await store.write(session_id, record)
    for number in range(20):
        await store.write("other", ground.record(b"x" * number, lives=1_000))
        await store.destroy("other:" if number % 2 else "other")
    for session_id, record in others.items():
        await store.expect(session_id, record)


@law("WRITE-04", proves=("WRITE-01",), catches=("rewrite-refused",))
async def writes_can_be_repeated(ground: Ground) -> None:
    """The same record may be written again, and to another session."""
    store = await ground.open()
    record = ground.record(b"same", lives=60_000)
    for session_id in ("a", "a", "b", "a"):
        await store.write(session_id, record)
        await store.expect(session_id, record)
    await store.destroy("a")
    await store.expect("a", None)
    await store.expect("b", record)
    await store.write("a", record)
    await store.expect("a", record)


@law(
    "WRITE-05", proves=("WRITE-01", "READ-02"), catches=("drops-when-many", "capacity-drops", "lru-too-small"), weight=4
)
async def many_sessions(ground: Ground) -> None:
    """A crowd of sessions is kept, each with its own record, and none is lost to make room."""
    store = await ground.open()
    records = {}
    for session_id in ground.cases(ground.ids(ground.profile.crowd), at_least=150):
        records[session_id] = ground.record(session_id.encode(), lives=60_000)
        await store.write(session_id, records[session_id])
    for session_id, record in records.items():
        ground.beat()
        await store.expect(session_id, record)
    ground.advance(60_000 + ground.grace)
    for session_id in list(records)[::10]:
        await store.expect(session_id, None)


@law("WRITE-06", proves=("WRITE-01", "READ-02"), catches=("wrong-after-many-writes",), weight=2)
async def one_session_many_times(ground: Ground) -> None:
    """One session can be written as often as one likes; the last record counts."""
    store = await ground.open()
    for number in ground.cases(range(3 * ground.profile.crowd), at_least=150):
        record = ground.record(b"%d" % number, lives=60_000 + number)
        await store.write("a", record)
        if number % 10 == 0:
            await store.expect("a", record)
    await store.expect("a", record)


@law("DESTROY-01", proves=("DESTROY-01",), catches=("destroy-noop", "destroy-second-time-noop", "tombstone-hides"))
async def destroyed(ground: Ground) -> None:
    """A session that was destroyed is not there, and nothing of it comes back when its id is used again."""
    store = await ground.open()
    for number in range(5):
        first = ground.record(b"first", lives=60_000)
        await store.write("a", first)
        await store.destroy("a")
        await store.expect("a", None)
        second = ground.record(b"", lives=None if number % 2 else 120_000)
        await store.write("a", second)
        await store.expect("a", second)
        ground.advance(60_000 + ground.grace)
        await store.expect("a", second)


@law("DESTROY-02", proves=("DESTROY-02",), catches=("destroy-missing-raises",))
async def destroyed_again(ground: Ground) -> None:
    """To destroy a session that is not there is no error: never written, destroyed before, or expired."""
    store = await ground.open()
    await store.destroy("never")
    await store.write("a", ground.record(lives=1_000))
    await store.destroy("a")
    await store.destroy("a")
    await store.write("b", ground.record(lives=1_000))
    ground.advance(1_000 + ground.grace)
    await store.destroy("b")
    await store.expect("b", None)


@law("DESTROY-04", proves=("DESTROY-01", "ID-01"), catches=("prefix-destroy",))
async def destroys_one_only(ground: Ground) -> None:
    """To destroy a session removes that one only, whatever its id has in common with others."""
    store = await ground.open()
    ids = [
        "s",
        "s1",
        "s10",
        "s100",
        "s:",
        "s:1",
        "s:1:2",
        "S1",
        "s1 ",
        "s%",
        "s*",
        "s_",
        "s?",
        "long-prefix-1",
        "long-prefix-2",
    ]
    records = {session_id: ground.record(session_id.encode()) for session_id in ground.acceptable(ids)}
    for victim in ground.cases(records, at_least=6):
        ground.begin_case()
        for session_id, record in records.items():
            await store.write(session_id, record)
        await store.destroy(victim)
        for session_id, record in records.items():
            await store.expect(session_id, None if session_id == victim else record)
