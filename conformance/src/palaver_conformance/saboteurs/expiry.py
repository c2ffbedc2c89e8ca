"""Stores in which sessions live too long, or not long enough."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from palaver.contract.record import Record
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from palaver.contract.record import Absent

_YEAR: Final = 365 * 86_400_000


class _Timing(HonestStore):
    """Judges by a deadline of its own, which it sets when it puts a record."""

    def put(self, session_id: str, record: Record) -> None:
        self.medium.notes["deadlines"][record.version] = self.deadline(record)
        super().put(session_id, record)

    def is_gone(self, record: Record) -> bool:
        deadline = self.medium.notes["deadlines"].get(record.version, record.expires_at)
        return deadline is not None and deadline <= self.now()

    def now(self) -> int:
        return self.clock.now()

    def deadline(self, record: Record) -> int | None:
        return None if record.expires_at is None else self.deadline_of(record.expires_at)

    @abstractmethod
    def deadline_of(self, expires_at: int) -> int: ...


# How long.


@saboteur("ttl-ignored", law="EXPIRY-01", words="expected: None (no live record)")
class TtlIgnored(HonestStore):
    """Nothing ever expires."""

    def is_gone(self, record: Record) -> bool:  # noqa: ARG002
        return False


@saboteur("deadline-inclusive", law="EXPIRY-01", words="expected: None (no live record)")
class DeadlineInclusive(HonestStore):
    """A record is still there at the instant of its expiry."""

    def is_gone(self, record: Record) -> bool:
        return record.expires_at is not None and record.expires_at < self.clock.now()


@saboteur("ttl-round-up", law="EXPIRY-01", words="expected: None (no live record)")
class TtlRoundUp(HonestStore):
    """A record lives until the end of the second, although a granularity of a millisecond is declared."""

    def is_gone(self, record: Record) -> bool:
        return record.expires_at is not None and -(-record.expires_at // 1000) * 1000 <= self.clock.now()


@saboteur("ttl-unit", law="EXPIRY-01", words="expected: None (no live record)")
class TtlUnit(_Timing):
    """Milliseconds are given to a timer that counts seconds."""

    def deadline_of(self, expires_at: int) -> int:
        return self.clock.now() + 1000 * (expires_at - self.clock.now())


@saboteur("ttl-doubled", law="EXPIRY-01", words="expected: None (no live record)")
class TtlDoubled(_Timing):
    """The index counts a session's life from its expiry on, and not from now."""

    def deadline_of(self, expires_at: int) -> int:
        return expires_at + max(0, expires_at - self.clock.now())


@saboteur("ttl-unit-short", law="EXPIRY-02", words="got:      None (no live record)")
class TtlUnitShort(_Timing):
    """Seconds are given to a timer that counts milliseconds."""

    def deadline_of(self, expires_at: int) -> int:
        return self.clock.now() + (expires_at - self.clock.now()) // 1000


@saboteur("ttl-early", law="EXPIRY-02", words="got:      None (no live record)")
class TtlEarly(HonestStore):
    """A record is gone one millisecond early."""

    def is_gone(self, record: Record) -> bool:
        return record.expires_at is not None and record.expires_at - 1 <= self.clock.now()


@saboteur("ttl-overflow", law="EXPIRY-02", words="got:      None (no live record)")
class TtlOverflow(_Timing):
    """A life of more than 2^31 milliseconds wraps around."""

    def deadline_of(self, expires_at: int) -> int:
        return self.clock.now() + (expires_at - self.clock.now()) % 2**31


@saboteur("ttl-thirty-days", law="EXPIRY-02", words="got:      None (no live record)")
class TtlThirtyDays(_Timing):
    """Nothing lives longer than thirty days."""

    def deadline_of(self, expires_at: int) -> int:
        return min(expires_at, self.clock.now() + 30 * 86_400_000)


@saboteur("never-expires-anyway", law="EXPIRY-03", words="got:      None (no live record)")
class NeverExpiresAnyway(_Timing):
    """A record without expiry gets a year to live."""

    def deadline(self, record: Record) -> int | None:
        return self.deadline_of(self.clock.now() + _YEAR if record.expires_at is None else record.expires_at)

    def deadline_of(self, expires_at: int) -> int:
        return expires_at


@saboteur("expires-none-zero", law="EXPIRY-03", words="got:      None (no live record)")
class ExpiresNoneZero(HonestStore):
    """No expiry is kept as the year 1970, and read as such."""

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, replace(record, expires_at=record.expires_at or 0))


# What moves it.


@saboteur("ttl-kept-on-overwrite", law="EXPIRY-04", words="expires_at 17000000")
class TtlKeptOnOverwrite(HonestStore):
    """Overwriting a session keeps its expiry."""

    def put(self, session_id: str, record: Record) -> None:
        live = self.live(session_id)
        super().put(session_id, record if live is None else replace(record, expires_at=live.expires_at))


@saboteur("ttl-max-of-both", law="EXPIRY-04", words="expires_at 1700000060000")
class TtlMaxOfBoth(HonestStore):
    """Overwriting a session moves its expiry only to something later."""

    def put(self, session_id: str, record: Record) -> None:
        live = self.live(session_id)
        if live is not None and None not in (live.expires_at, record.expires_at):
            record = replace(record, expires_at=max(live.expires_at or 0, record.expires_at or 0))
        super().put(session_id, record)


@saboteur("late-reaper", law="EXPIRY-05", words="got:      None (no live record)")
class LateReaper(HonestStore):
    """What is found to have expired is removed a little later, and by then it may be something new."""

    def live(self, session_id: str) -> Record | None:
        record = self.get(session_id)
        if isinstance(record, Record) and self.is_gone(record):
            self.medium.notes["to reap"][session_id] = True
        return super().live(session_id)

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, record)
        for each in self.medium.notes.pop("to reap", {}):
            self.discard(each)


@saboteur("index-outlives", law="EXPIRY-05", words="got:      None (no live record)")
class IndexOutlives(HonestStore):
    """The entry of the expiry index stays when a session is overwritten by one that lives for ever."""

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, record)
        if record.expires_at is not None:
            self.medium.notes["index"][self.key(session_id)] = record.expires_at

    def live(self, session_id: str) -> Record | None:
        expires_at = self.medium.notes["index"].get(self.key(session_id))
        return None if expires_at is not None and expires_at <= self.clock.now() else super().live(session_id)


# Whose clock.


@saboteur("wall-clock", law="EXPIRY-06", words="got:      None (no live record)")
class WallClock(HonestStore):
    """The computer's own clock judges."""

    def is_gone(self, record: Record) -> bool:
        return record.expires_at is not None and record.expires_at <= time.time() * 1000


@saboteur("server-clock", law="EXPIRY-06", words="expected: None (no live record)")
class ServerClock(_Timing):
    """A server's clock judges, on which a record lives as long as the injected clock says."""

    def deadline_of(self, expires_at: int) -> int:
        return self.now() + expires_at - self.clock.now()

    def now(self) -> int:
        return int(time.time() * 1000)


@saboteur("process-clock", law="EXPIRY-12", words="expected: None (no live record)")
class ProcessClock(HonestStore):
    """The clock of the first store on a location judges for all."""

    def is_gone(self, record: Record) -> bool:
        clock = self.medium.notes["clock"].setdefault("first", self.clock)
        return record.expires_at is not None and record.expires_at <= clock.now()


@saboteur("wall-clock-jump", law="EXPIRY-10", words="got:      None (no live record)")
class WallClockJump(HonestStore):
    """The age of a record is counted without a sign: when the clock goes back it is very old."""

    def put(self, session_id: str, record: Record) -> None:
        self.medium.notes["written"][record.version] = self.clock.now()
        super().put(session_id, record)

    def is_gone(self, record: Record) -> bool:
        written = self.medium.notes["written"].get(record.version, 0)
        age = (self.clock.now() - written) % 2**63
        return record.expires_at is not None and age >= record.expires_at - written


@saboteur("clock-only-forwards", law="EXPIRY-10", words="got:      None (no live record)")
class ClockOnlyForwards(HonestStore):
    """The latest time that was ever seen counts."""

    def is_gone(self, record: Record) -> bool:
        seen = self.medium.notes["clock"]
        seen["latest"] = max(self.clock.now(), seen.get("latest", 0))
        return record.expires_at is not None and record.expires_at <= seen["latest"]


@saboteur("monotonic-remaining", law="EXPIRY-10", words="got:      None (no live record)")
class MonotonicRemaining(_Timing):
    """What remains of a life is counted down by every step forwards, and no step backwards is counted."""

    def now(self) -> int:
        seen = self.medium.notes["clock"]
        step = self.clock.now() - seen.get("last", self.clock.now())
        seen["last"] = self.clock.now()
        seen["elapsed"] = seen.get("elapsed", 0) + max(0, step)
        elapsed: int = seen["elapsed"]
        return elapsed

    def deadline_of(self, expires_at: int) -> int:
        return self.now() + expires_at - self.clock.now()


@saboteur("tz-local", law="EXPIRY-11", words="got:      None (no live record)")
class TzLocal(HonestStore):
    """Expiry and clock are compared as local times, which go back in autumn."""

    def is_gone(self, record: Record) -> bool:
        return record.expires_at is not None and _local(record.expires_at) <= _local(self.clock.now())


def _local(instant: int) -> datetime:
    moment = datetime.fromtimestamp(min(instant, 4_000_000_000_000) / 1000, tz=UTC)
    return moment.astimezone().replace(tzinfo=None, fold=0)


# On which path.


@saboteur("lazy-reaper-visible", law="EXPIRY-07", words="expected: None (no live record)")
class LazyReaperVisible(HonestStore):
    """Read shows what has expired until it is purged."""

    async def read(self, session_id: str) -> Record | None:
        await super().read(session_id)
        record = self.get(session_id)
        return record if isinstance(record, Record) else None


@saboteur("scan-expired", law="EXPIRY-07", words="scan to show")
class ScanExpired(HonestStore):
    """A scan shows what has expired."""

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self.begin()
        for session_id in self.own_ids():
            if session_id.startswith(prefix):
                yield session_id


@saboteur("batch-sees-expired", law="EXPIRY-07", words="got:      Record")
class BatchSeesExpired(HonestStore):
    """Reading many ids shows what has expired."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        await self.begin()
        return [self.get(session_id) for session_id in session_ids]


@saboteur("expired-cas", law="EXPIRY-07", words="swap from the old version to be refused")
class ExpiredCas(HonestStore):
    """Swap compares with what has expired as if it were there."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        there = self.get(session_id)
        if isinstance(there, Record) and there.version == expected:
            self.put(session_id, record)
            return True
        return super().decide(session_id, record, expected)


@saboteur("expired-blocks-swap", law="EXPIRY-08", words="swap from ABSENT to answer True")
class ExpiredBlocksSwap(HonestStore):
    """Where something has expired nothing new can be swapped in until it is purged."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        there = self.get(session_id)
        is_blocked = isinstance(there, Record) and self.is_gone(there)
        return not is_blocked and super().decide(session_id, record, expected)


# With others.


@saboteur("sweeps-too-much", law="EXPIRY-09", words="got:      None (no live record)")
class SweepsTooMuch(HonestStore):
    """Who finds an expired session removes all that expire in the same minute."""

    def live(self, session_id: str) -> Record | None:
        record = self.get(session_id)
        if isinstance(record, Record) and self.is_gone(record):
            for each in self.own_ids():
                self._sweep(each)
        return super().live(session_id)

    def _sweep(self, session_id: str) -> None:
        record: Any = self.get(session_id)
        if record.expires_at is not None and record.expires_at // 60_000 <= self.clock.now() // 60_000:
            self.discard(session_id)


@saboteur("expiry-of-one-is-of-all", law="EXPIRY-09", words="expected: None (no live record)")
class ExpiryOfOneIsOfAll(HonestStore):
    """The whole location expires when the session expires that was written last."""

    def put(self, session_id: str, record: Record) -> None:
        self.medium.notes["deadline"]["of all"] = record.expires_at
        super().put(session_id, record)

    def is_gone(self, record: Record) -> bool:  # noqa: ARG002
        deadline = self.medium.notes["deadline"].get("of all")
        return deadline is not None and deadline <= self.clock.now()
