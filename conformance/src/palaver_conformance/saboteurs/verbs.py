"""Stores that read, write or destroy wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.contract.record import Record
from palaver.errors import CorruptSessionError
from palaver_conformance.saboteurs._honest import DAMAGED, HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from palaver.contract.record import Absent

_EMPTY = Record(b"{}", "0" * 32, None)


# Reading.


@saboteur("read-missing-raises", law="READ-01", words="builtins.KeyError")
class ReadMissingRaises(HonestStore):
    """Reading what is not there raises a KeyError."""

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        if record is None:
            raise KeyError(session_id)
        return record


@saboteur("shared-default", law="READ-01", words="expected: None (no live record)")
class SharedDefault(HonestStore):
    """Reading what is not there returns an empty session."""

    async def read(self, session_id: str) -> Record | None:
        return await super().read(session_id) or _EMPTY


@saboteur("prefix-read", law="READ-01", words="which was written to 'session:1'")
class PrefixRead(HonestStore):
    """Reading what is not there returns the session whose id begins it."""

    async def read(self, session_id: str) -> Record | None:
        await self.begin()
        shorter = (session_id[:length] for length in range(len(session_id), 0, -1))
        return next((record for each in shorter if (record := self.live(each)) is not None), None)


@saboteur("read-your-writes", law="READ-02", words="write 0")
class ReadYourWrites(HonestStore):
    """A write is acknowledged before it can be seen: the first read after it sees what was there before."""

    async def write(self, session_id: str, record: Record) -> None:
        await self.begin()
        self.medium.notes["late"][session_id] = record

    async def read(self, session_id: str) -> Record | None:
        before = await super().read(session_id)
        for late in self.medium.notes.pop("late", {}).items():
            self.put(*late)
        return before


@saboteur("stale-read", law="READ-02", words="which was written to 's0'")
class StaleRead(HonestStore):
    """Read returns what it has seen once, until the session is destroyed."""

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        seen = self.medium.notes["seen"]
        return None if record is None else seen.setdefault(session_id, record)

    def discard(self, session_id: str) -> None:
        self.medium.notes["seen"].pop(session_id, None)
        super().discard(session_id)


@saboteur("lost-write", law="READ-02", words="write 49")
class LostWrite(HonestStore):
    """Every fiftieth write is lost."""

    writes = 0

    async def write(self, session_id: str, record: Record) -> None:
        self.writes += 1
        await (self.begin() if self.writes % 50 == 0 else super().write(session_id, record))


@saboteur("ttl-slides-on-read", law="READ-03", words="got:      Record")
class TtlSlidesOnRead(HonestStore):
    """Reading gives a session another minute to live."""

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        if record is not None and record.expires_at is not None:
            self.put(session_id, replace(record, expires_at=self.clock.now() + 60_000))
        return record


@saboteur("read-once", law="READ-03", words="got:      None (no live record)")
class ReadOnce(HonestStore):
    """Reading takes a session out, as if it were a message in a queue."""

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        self.discard(session_id)
        return record


@saboteur("read-creates", law="READ-04", words="got:      Record(2 bytes b'{}'")
class ReadCreates(HonestStore):
    """Reading what is not there makes an empty session."""

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        if record is None:
            self.put(session_id, _EMPTY)
        return record


# Writing.


@saboteur("first-write-wins", law="WRITE-01", words="got:      Record(2500 bytes")
class FirstWriteWins(HonestStore):
    """A session that is there is not written again."""

    async def write(self, session_id: str, record: Record) -> None:
        await self.begin()
        if self.live(session_id) is None:
            self.put(session_id, record)


@saboteur("overwrite-merges", law="WRITE-01", words="the payloads differ from byte 5")
class OverwriteMerges(HonestStore):
    """A shorter payload leaves the end of the longer one that it replaces."""

    def put(self, session_id: str, record: Record) -> None:
        former = self.get(session_id)
        rest = former.payload[len(record.payload) :] if isinstance(former, Record) else b""
        super().put(session_id, replace(record, payload=record.payload + rest))


@saboteur("overwrite-keeps-version", law="WRITE-01", words="got:      Record(5 bytes b'short'")
class OverwriteKeepsVersion(HonestStore):
    """The version is set when a session is made, and stays when it is overwritten."""

    async def write(self, session_id: str, record: Record) -> None:
        await self.begin()
        former = self.live(session_id)
        self.put(session_id, record if former is None else replace(record, version=former.version))


@saboteur("ttl-negative", law="WRITE-02", words="expected: None (no live record)")
class TtlNegative(HonestStore):
    """A record that has already expired lives for ever."""

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, replace(record, expires_at=None) if self.is_gone(record) else record)


@saboteur("past-write-keeps-old", law="WRITE-02", words="6 bytes b'before'")
class PastWriteKeepsOld(HonestStore):
    """To write a record that has already expired does nothing."""

    async def write(self, session_id: str, record: Record) -> None:
        await (self.begin() if self.is_gone(record) else super().write(session_id, record))


@saboteur("past-write-raises", law="WRITE-02", words="builtins.ValueError: invalid expire time")
class PastWriteRaises(HonestStore):
    """A record that has already expired is refused."""

    def put(self, session_id: str, record: Record) -> None:
        if self.is_gone(record):
            raise ValueError("invalid expire time")
        super().put(session_id, record)


@saboteur("write-touches-neighbours", law="WRITE-03", words="other:")
class WriteTouchesNeighbours(HonestStore):
    """To write a session moves the expiry of all whose ids it begins."""

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, record)
        for other in self.own_ids():
            if other.startswith(session_id) and (live := self.live(other)) is not None:
                self.put(other, replace(live, expires_at=record.expires_at))


@saboteur("rewrite-refused", law="WRITE-04", words="UNIQUE constraint failed")
class RewriteRefused(HonestStore):
    """A version can be stored in one place only."""

    def put(self, session_id: str, record: Record) -> None:
        owner = self.medium.notes["versions"].setdefault(record.version, session_id)
        if owner != session_id:
            raise ValueError("UNIQUE constraint failed: sessions.version")
        super().put(session_id, record)


class _Bounded(HonestStore):
    """Has room for so many sessions."""

    room_for = 100

    def put(self, session_id: str, record: Record) -> None:
        if self.key(session_id) not in self.medium.records and len(self.medium.records) >= self.room_for:
            self.make_room()
        super().put(session_id, record)

    def make_room(self) -> None:
        """Remove the session that was made first."""
        self.medium.records.pop(next(iter(self.medium.records)))


@saboteur("drops-when-many", law="WRITE-05", words="got:      None (no live record)")
class DropsWhenMany(_Bounded):
    """All sessions are dropped when there are more than 128."""

    room_for = 128

    def make_room(self) -> None:
        self.medium.records.clear()


@saboteur("capacity-drops", law="MODEL-02", words="expected: Record")
class CapacityDrops(_Bounded):
    """There is room for 24 sessions, and the oldest one makes way."""

    room_for = 24


@saboteur("lru-too-small", law="WRITE-05", words="got:      None (no live record)")
class LruTooSmall(_Bounded):
    """There is room for 100 sessions, and the one that was not used for longest makes way."""

    def live(self, session_id: str) -> Record | None:
        record = super().live(session_id)
        if record is not None:
            self.discard(session_id)
            self.put(session_id, record)
        return record


@saboteur("wrong-after-many-writes", law="WRITE-06", words="129")
class WrongAfterManyWrites(HonestStore):
    """A session can be written 128 times; later writes are lost."""

    def put(self, session_id: str, record: Record) -> None:
        counts = self.medium.notes["counts"]
        counts[session_id] = counts.get(session_id, 0) + 1
        if counts[session_id] <= 128:
            super().put(session_id, record)


# Destroying.


@saboteur("destroy-noop", law="DESTROY-01", words="expected: None (no live record)")
class DestroyNoop(HonestStore):
    """Destroy does nothing."""

    async def destroy(self, session_id: str) -> None:  # noqa: ARG002
        await self.begin()


@saboteur("destroy-second-time-noop", law="DESTROY-01", words="expected: None (no live record)")
class DestroySecondTimeNoop(HonestStore):
    """An id can be destroyed once; a session that uses it again cannot."""

    async def destroy(self, session_id: str) -> None:
        await self.begin()
        if self.medium.notes["destroyed"].setdefault(session_id, self.clock.now()) == self.clock.now():
            self.discard(session_id)


@saboteur("tombstone-hides", law="DESTROY-01", words="got:      None (no live record)")
class TombstoneHides(HonestStore):
    """The id of a session that was destroyed cannot be used again."""

    async def destroy(self, session_id: str) -> None:
        await super().destroy(session_id)
        self.medium.notes["tombstones"][session_id] = True

    def live(self, session_id: str) -> Record | None:
        return None if session_id in self.medium.notes["tombstones"] else super().live(session_id)


@saboteur("destroy-missing-raises", law="DESTROY-02", words="builtins.KeyError")
class DestroyMissingRaises(HonestStore):
    """To destroy what is not there raises a KeyError."""

    async def destroy(self, session_id: str) -> None:
        await self.begin()
        del self.medium.records[self.key(session_id)]


@saboteur("prefix-destroy", law="DESTROY-04", words="got:      None (no live record)")
class PrefixDestroy(HonestStore):
    """To destroy a session destroys all whose ids it begins."""

    async def destroy(self, session_id: str) -> None:
        await self.begin()
        for other in self.own_ids():
            if other.startswith(session_id):
                self.discard(other)


@saboteur("corrupt-undestroyable", law="DESTROY-03", words="CorruptSessionError")
class CorruptUndestroyable(HonestStore):
    """What cannot be understood cannot be destroyed."""

    async def destroy(self, session_id: str) -> None:
        if self.get(session_id) is DAMAGED:
            raise CorruptSessionError("it is damaged", session_id=session_id)
        await super().destroy(session_id)


# What shows only after many calls, or together.


@saboteur("wrong-in-combination", law="MODEL-01", words="touch")
class WrongInCombination(HonestStore):
    """A session that was swapped cannot be touched: touch says that it did."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        wins = super().decide(session_id, record, expected)
        if wins:
            self.medium.notes["swapped"][record.version] = True
        return wins

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        live = self.live(session_id)
        if live is None or live.version in self.medium.notes["swapped"]:
            return live is not None
        return await super().touch(session_id, expires_at)


@saboteur("resurrect", law="MODEL-01", words="destroy")
class Resurrect(HonestStore):
    """To destroy a session that was overwritten uncovers the former record."""

    def put(self, session_id: str, record: Record) -> None:
        self.medium.notes["former"][self.key(session_id)] = self.get(session_id)
        super().put(session_id, record)

    async def destroy(self, session_id: str) -> None:
        await super().destroy(session_id)
        former = self.medium.notes["former"].pop(self.key(session_id), None)
        if former is not None:
            super().put(session_id, former)


@saboteur("stale-every-7th", law="MODEL-02", words="expected: Record")
class StaleEvery7th(HonestStore):
    """Every seventh read shows what was there before the last write."""

    reads = 0

    def put(self, session_id: str, record: Record) -> None:
        self.medium.notes["former"][self.key(session_id)] = self.get(session_id)
        super().put(session_id, record)

    async def read(self, session_id: str) -> Record | None:
        self.reads += 1
        record = await super().read(session_id)
        former = self.medium.notes["former"].get(self.key(session_id))
        is_stale = record is not None and self.reads % 7 == 0
        return former if is_stale and isinstance(former, Record) else record


@saboteur("wrong-after-many-calls", law="MODEL-02", words="touch to answer True")
class WrongAfterManyCalls(HonestStore):
    """After two hundred calls touch forgets to answer."""

    async def begin(self) -> None:
        await super().begin()
        calls = self.medium.notes["calls"]
        calls["all"] = calls.get("all", 0) + 1

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        return await super().touch(session_id, expires_at) and self.medium.notes["calls"]["all"] < 200
