"""Stores that purge or clear too little or too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.contract.record import Record
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from typing import Any


class _Purging(HonestStore):
    """Purges what `dead` says."""

    async def purge(self) -> int:
        await self.begin()
        dead = self.dead()
        for session_id in dead:
            self.discard(session_id)
        return len(dead)

    def dead(self) -> list[str]:
        records: dict[str, Any] = {each: self.get(each) for each in self.own_ids()}
        return [each for each, record in records.items() if isinstance(record, Record) and self.is_dead(record)]

    def is_dead(self, record: Record) -> bool:
        return self.is_gone(record)


@saboteur("purge-removes-live", law="PURGE-01", words="purge before any expiry to answer 0")
class PurgeRemovesLive(_Purging):
    """Purge removes what expires within the second, too."""

    def is_dead(self, record: Record) -> bool:
        return record.expires_at is not None and record.expires_at // 1000 <= self.clock.now() // 1000 + 1


@saboteur("purge-removes-eternal", law="PURGE-01", words="purge before any expiry to answer 0")
class PurgeRemovesEternal(_Purging):
    """Purge takes no expiry for zero, and removes what lives for ever."""

    def is_dead(self, record: Record) -> bool:
        return (record.expires_at or 0) <= self.clock.now()


@saboteur("purge-miscounts", law="PURGE-01", words="purge to answer at most 3")
class PurgeMiscounts(_Purging):
    """Purge answers how many sessions it has looked at."""

    async def purge(self) -> int:
        seen = len(self.own_ids())
        return seen if await super().purge() else 0


@saboteur("purge-threshold", law="PURGE-01", words="expected: None (no live record)")
class PurgeThreshold(_Purging):
    """Purge leaves what expires at this very instant."""

    def is_dead(self, record: Record) -> bool:
        return record.expires_at is not None and record.expires_at < self.clock.now()


@saboteur("purge-noop", law="PURGE-02", words="expected: None (no live record)")
class PurgeNoop(HonestStore):
    """Purge counts and removes nothing."""

    async def purge(self) -> int:
        await self.begin()
        return sum(self.is_gone(self.get(each)) for each in self.own_ids())


@saboteur("purge-hides-only", law="PURGE-02", words="expected: None (no live record)")
class PurgeHidesOnly(_Purging):
    """Purge marks what has expired and removes it never."""

    async def purge(self) -> int:
        await self.begin()
        marked = self.medium.notes["marked"]
        dead = [each for each in self.dead() if marked.get(each) is not self.get(each)]
        marked.update({each: self.get(each) for each in dead})
        return len(dead)


@saboteur("purge-page", law="PURGE-03", words="expected: None (no live record)")
class PurgePage(_Purging):
    """Purge removes fifty sessions at most."""

    def dead(self) -> list[str]:
        return super().dead()[:50]


@saboteur("purge-count-cut", law="PURGE-05", words="got:      [64")
class PurgeCountCut(_Purging):
    """Purge removes all, and counts its last page only."""

    async def purge(self) -> int:
        return min(64, await super().purge())


class _Indexing(HonestStore):
    """Purges by an index of expiries."""

    def index(self, session_id: str, expires_at: int | None) -> None:
        self.medium.notes["index"][self.key(session_id)] = expires_at

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, record)
        self.index(session_id, record.expires_at)

    async def purge(self) -> int:
        await self.begin()
        due = self.medium.notes["index"].items()
        dead = [key for key, instant in due if instant is not None and instant <= self.clock.now()]
        for key in dead:
            del self.medium.notes["index"][key]
        return sum(self.medium.records.pop(key, None) is not None for key in dead)


@saboteur("purge-old-index", law="PURGE-04", words="purge to answer at most 1")
class PurgeOldIndex(_Indexing):
    """The first expiry that a session ever had stays in the index."""

    def index(self, session_id: str, expires_at: int | None) -> None:
        self.medium.notes["index"].setdefault(self.key(session_id), expires_at)


@saboteur("purge-after-touch", law="PURGE-04", words="purge to answer at most 1")
class PurgeAfterTouch(_Indexing):
    """Touch moves the expiry of the record and not that in the index."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        before = self.medium.notes["index"].get(self.key(session_id))
        was_there = await super().touch(session_id, expires_at)
        self.index(session_id, before)
        return was_there


# Clearing.


class _Clearing(HonestStore):
    """Clears what `chosen` says."""

    async def clear(self) -> int:
        await self.begin()
        chosen = self.chosen()
        count = sum(map(self.is_live, chosen))
        for session_id in chosen:
            self.discard(session_id)
        return count

    def chosen(self) -> list[str]:
        return self.own_ids()


@saboteur("clear-noop", law="CLEAR-01", words="expected: None (no live record)")
class ClearNoop(HonestStore):
    """Clear counts and removes nothing."""

    async def clear(self) -> int:
        await self.begin()
        return sum(map(self.is_live, self.own_ids()))


@saboteur("clear-miscounts", law="CLEAR-01", words="clear to answer")
class ClearMiscounts(_Clearing):
    """Clear answers 1 when it has removed something."""

    async def clear(self) -> int:
        return min(1, await super().clear())


@saboteur("clear-prefix", law="CLEAR-01", words="clear to answer")
class ClearPrefix(_Clearing):
    """Clear leaves sessions whose ids begin with an underscore: they look like the store's own."""

    def chosen(self) -> list[str]:
        return [each for each in super().chosen() if not each.startswith("_")]


@saboteur("clear-page", law="CLEAR-02", words="got:      100")
class ClearPage(_Clearing):
    """Clear removes a hundred sessions at most."""

    def chosen(self) -> list[str]:
        return super().chosen()[:100]


@saboteur("clear-count-cut", law="CLEAR-02", words="got:      100")
class ClearCountCut(_Clearing):
    """Clear removes all, and counts its last page only."""

    async def clear(self) -> int:
        return min(100, await super().clear())


@saboteur("clear-counts-expired", law="CLEAR-03", words="clear to answer 2")
class ClearCountsExpired(HonestStore):
    """Clear counts what has expired, too."""

    async def clear(self) -> int:
        count = len(self.own_ids())
        await super().clear()
        return count


@saboteur("clear-keeps-expired", law="CLEAR-03", words="expected: None (no live record)")
class ClearKeepsExpired(_Clearing):
    """Clear leaves what has expired."""

    def chosen(self) -> list[str]:
        return [each for each in super().chosen() if self.is_live(each)]
