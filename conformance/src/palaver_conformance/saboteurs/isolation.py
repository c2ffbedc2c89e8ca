"""Stores in which namespaces, locations or instances meet, or do not where they should."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from palaver.contract.record import Record
from palaver_conformance.saboteurs._honest import HonestHarness, HonestStore, Medium
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from palaver.contract.clock import Clock
    from palaver.contract.record import Absent

_EVERYWHERE: Final = Medium()


# Namespaces.


class _Spilling(HonestStore):
    """Can look into all namespaces."""

    def all_keys(self, session_id: str) -> list[Any]:
        return [key for key in self.medium.records if key[1] == session_id]

    def anywhere(self, session_id: str) -> Record | None:
        found = (self.medium.records[key] for key in self.all_keys(session_id))
        return next((record for record in found if not self.is_gone(record)), None)


@saboteur("ns-ignored", law="NAMESPACE-01", words="expected: None (no live record)")
class NsIgnored(HonestStore):
    """The namespace is accepted and ignored."""

    def room(self) -> str:
        return ""


@saboteur("ns-casefold", law="NAMESPACE-01", words="expected: None (no live record)")
class NsCasefold(HonestStore):
    """The case of a namespace does not matter."""

    def room(self) -> str:
        return self.namespace.casefold()


@saboteur("ns-slug", law="NAMESPACE-01", words="expected: None (no live record)")
class NsSlug(HonestStore):
    """What is neither letter nor digit in a namespace is lost."""

    def room(self) -> str:
        return "".join(filter(str.isalnum, self.namespace))


@saboteur("ns-second-only", law="NAMESPACE-08", words="expected: None (no live record)")
class NsSecondOnly(HonestStore):
    """In the namespace that was used first everything is well; in all others case does not matter."""

    def key(self, session_id: str) -> Any:
        is_first = self.medium.notes["rooms"].setdefault("first", self.namespace) == self.namespace
        return self.room(), session_id if is_first else session_id.casefold()


@saboteur("ns-leak-read", law="NAMESPACE-01", words="expected: None (no live record)")
class NsLeakRead(_Spilling):
    """Read falls back to a session of the same id in another namespace."""

    async def read(self, session_id: str) -> Record | None:
        return await super().read(session_id) or self.anywhere(session_id)


@saboteur("ns-key-join", law="NAMESPACE-02", words="expected: None (no live record)")
class NsKeyJoin(HonestStore):
    """Namespace and id are joined with a colon, which may be in either."""

    def key(self, session_id: str) -> Any:
        return f"{self.namespace}:{session_id}" if self.namespace else session_id

    def own_ids(self) -> list[str]:
        beginning = self.key("")
        return [key.removeprefix(beginning) for key in self.medium.records if key.startswith(beginning)]


@saboteur("scan-foreign", law="NAMESPACE-03", words="expected: scan to show")
class ScanForeign(_Spilling):
    """A scan shows the sessions of all namespaces."""

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self.begin()
        for session_id in dict.fromkeys(key[1] for key in list(self.medium.records)):
            if session_id.startswith(prefix) and self.anywhere(session_id):
                yield session_id


@saboteur("ns-leak-clear", law="NAMESPACE-04", words="got:      None (no live record)")
class NsLeakClear(HonestStore):
    """Clear empties the whole location."""

    async def clear(self) -> int:
        count = await super().clear()
        self.medium.records.clear()
        return count


@saboteur("clear-wildcard", law="NAMESPACE-04", words="got:      None (no live record)")
class ClearWildcard(HonestStore):
    """Clear takes the namespace for a pattern."""

    async def clear(self) -> int:
        count = await super().clear()
        for key in list(self.medium.records):
            if fnmatchcase(key[0], self.namespace):
                del self.medium.records[key]
        return count


@saboteur("purge-foreign", law="NAMESPACE-05", words="purge to answer at most 4")
class PurgeForeign(HonestStore):
    """Purge removes what has expired in every namespace."""

    async def purge(self) -> int:
        await self.begin()
        gone = [key for key, record in self.medium.records.items() if self.is_gone(record)]
        for key in gone:
            del self.medium.records[key]
        return len(gone)


@saboteur("ns-truncate", law="NAMESPACE-06", words="expected: None (no live record)")
class NsTruncate(HonestStore):
    """Only the first 100 characters of a namespace count."""

    def room(self) -> str:
        return self.namespace[:100]


@saboteur("ns-leak-destroy", law="NAMESPACE-07", words="got:      None (no live record)")
class NsLeakDestroy(_Spilling):
    """Destroy removes the sessions of that id in all namespaces."""

    async def destroy(self, session_id: str) -> None:
        await self.begin()
        for key in self.all_keys(session_id):
            del self.medium.records[key]


@saboteur("ns-leak-batch", law="NAMESPACE-07", words="read_many in the other namespace")
class NsLeakBatch(_Spilling):
    """Reading many ids looks into all namespaces."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        answers = await super().read_many(session_ids)
        return [answer or self.anywhere(session_id) for session_id, answer in zip(session_ids, answers, strict=True)]


@saboteur("ns-leak-touch", law="NAMESPACE-07", words="touch in the empty namespace to answer False")
class NsLeakTouch(_Spilling):
    """Touch finds a session by its id alone."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        found = self.anywhere(session_id)
        if found is not None:
            self.medium.records[self.all_keys(session_id)[0]] = Record(found.payload, found.version, expires_at)
        return found is not None


@saboteur("ns-leak-swap", law="NAMESPACE-07", words="swap in the empty namespace to answer False")
class NsLeakSwap(_Spilling):
    """Swap compares with a session of the same id in any namespace."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        found = self.anywhere(session_id)
        if found is None or found.version != expected:
            return super().decide(session_id, record, expected)
        self.put(session_id, record)
        return True


# Locations.


@saboteur("global-state", law="LOCATION-01", words="which was written to 'a'")
class GlobalState(HonestStore):
    """All stores of a process share what they keep, wherever they are."""

    def __init__(self, medium: Medium, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(medium, clock=clock, namespace=namespace)
        self.medium = _EVERYWHERE


@saboteur("location-truncate", law="LOCATION-01", words="which was written to 'a'")
class LocationTruncate(HonestHarness):
    """Only the first 18 characters of a location count."""

    def medium(self, location: str) -> Medium:
        return super().medium(location[:18])


# Instances.


class _Private(HonestStore):
    """Can change sessions so that only this instance sees it."""

    def __init__(self, medium: Medium, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(medium, clock=clock, namespace=namespace)
        self.private: dict[Any, Any] = {}

    def get(self, session_id: str) -> Any:
        return self.private.get(session_id, super().get(session_id))

    def put(self, session_id: str, record: Record) -> None:
        self.private.pop(session_id, None)
        super().put(session_id, record)

    def discard(self, session_id: str) -> None:
        self.private.pop(session_id, None)
        super().discard(session_id)


@saboteur("no-shared-state", law="SHARED-01", words="got:      None (no live record)")
class NoSharedState(HonestStore):
    """Each store keeps its own sessions, although it declares that they are shared."""

    def __init__(self, medium: Medium, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(medium, clock=clock, namespace=namespace)
        self.medium = Medium()


@saboteur("instance-cache", law="SHARED-01", words="which was written to 's0'")
class InstanceCache(_Private):
    """A store keeps what it has read, and does not notice that another one changes it."""

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        if record is not None:
            self.private[session_id] = record
        return record


@saboteur("remembers-absence", law="SHARED-01", words="got:      None (no live record)")
class RemembersAbsence(_Private):
    """A store remembers that a session was not there, and does not notice that another one makes it."""

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        if record is None:
            self.private[session_id] = None
        return record


@saboteur("touch-not-shared", law="SHARED-02", words="the touched session to be there")
class TouchNotShared(_Private):
    """Touch moves the expiry for this store only."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        live = self.live(session_id)
        if live is not None:
            self.private[session_id] = Record(live.payload, live.version, expires_at)
        return live is not None


@saboteur("swap-not-shared", law="SHARED-02", words="got:      Record(1 bytes b'1'")
class SwapNotShared(_Private):
    """What was swapped can be seen in this store only."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        before = super().get(session_id)
        wins = super().decide(session_id, record, expected)
        if wins and isinstance(before, Record):
            super().put(session_id, before)
            self.private[session_id] = record
        return wins


@saboteur("batch-not-shared", law="SHARED-02", words="got:      None (no live record)")
class BatchNotShared(_Private):
    """What was written in a batch can be seen in this store only."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self.begin()
        self.private.update(items)


@saboteur("clear-not-shared", law="SHARED-02", words="expected: None (no live record)")
class ClearNotShared(_Private):
    """Clear hides the sessions from this store only."""

    async def clear(self) -> int:
        await self.begin()
        live = [session_id for session_id in self.own_ids() if self.is_live(session_id)]
        self.private.update(dict.fromkeys(self.own_ids()))
        return len(live)
