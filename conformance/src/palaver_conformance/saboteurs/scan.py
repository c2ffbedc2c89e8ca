"""Stores whose scans show too little, too much, or something twice."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from palaver.errors import StoreUnavailableError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from palaver.contract.record import Record


class _Listing(HonestStore):
    """Scans what `listed` says, in whatever order."""

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self.begin()
        for session_id in self.listed(prefix):
            yield session_id
            await self.begin()

    def listed(self, prefix: str) -> list[str]:
        return [each for each in self.own_ids() if self.matches(each, prefix) and self.is_live(each)]

    def matches(self, session_id: str, prefix: str) -> bool:
        return session_id.startswith(prefix)


# While others change something.


@saboteur("scan-miss-stable", law="SCAN-01", words="got:      0")
class ScanMissStable(HonestStore):
    """A scan counts its way through the sessions, and passes over some when others are destroyed."""

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self.begin()
        place = 0
        while place < len(ids := self.own_ids()):
            if ids[place].startswith(prefix) and self.is_live(ids[place]):
                yield ids[place]
                await self.begin()
            place += 1


@saboteur("scan-dup-on-change", law="SCAN-01", words="got:      2")
class ScanDupOnChange(_Listing):
    """A session that is overwritten while a scan goes on moves to the end, and is shown again."""

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, record)
        for ids in self.medium.notes["scans"].values():
            if ids.count(session_id) == 1:
                ids.append(session_id)

    def listed(self, prefix: str) -> list[str]:
        ids = super().listed(prefix)
        self.medium.notes["scans"][len(self.medium.notes["scans"])] = ids
        return ids


@saboteur("scan-endless", law="SCAN-01", words="scan() to end")
class ScanEndless(_Listing):
    """A session that is overwritten while a scan goes on is shown again, every time."""

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, record)
        for ids in self.medium.notes["scans"].values():
            ids.append(session_id)

    def listed(self, prefix: str) -> list[str]:
        ids = super().listed(prefix)
        self.medium.notes["scans"][len(self.medium.notes["scans"])] = ids
        return ids


@saboteur("scan-shared-cursor", law="SCAN-06", words="the first scan to show")
class ScanSharedCursor(HonestStore):
    """A store has one cursor, and a new scan sets it back."""

    left: list[str]

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self.begin()
        self.left = [each for each in self.own_ids() if each.startswith(prefix) and self.is_live(each)]
        while self.left:
            yield self.left.pop(0)


@saboteur("scan-blocks-store", law="SCAN-06", words="StoreUnavailableError: a scan is going on")
class ScanBlocksStore(HonestStore):
    """While a scan goes on nothing can be written."""

    scans = 0

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        self.scans += 1
        try:
            async for session_id in super().scan(prefix):
                yield session_id
        finally:
            self.scans -= 1

    async def write(self, session_id: str, record: Record) -> None:
        if self.scans:
            raise StoreUnavailableError("a scan is going on")
        await super().write(session_id, record)


@saboteur("scan-early-exit-leak", law="SCAN-04", words="tasks")
class ScanEarlyExitLeak(HonestStore):
    """A scan that is left early leaves its task behind."""

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        connection = asyncio.create_task(asyncio.sleep(3600))
        self.medium.notes["connections"][id(connection)] = connection
        async for session_id in super().scan(prefix):
            yield session_id
        connection.cancel()


# What is there.


@saboteur("scan-page-10", law="SCAN-02", words="to show exactly 10 ids")
class ScanPage10(_Listing):
    """The last page of ten is lost when it is full."""

    def listed(self, prefix: str) -> list[str]:
        ids = super().listed(prefix)
        return ids[:-10] if ids and len(ids) % 10 == 0 else ids


@saboteur("scan-drops-last", law="SCAN-02", words="got:      100 ids; missing: ['s100']")
class ScanDropsLast(_Listing):
    """A scan ends after a hundred ids."""

    def listed(self, prefix: str) -> list[str]:
        return super().listed(prefix)[:100]


@saboteur("scan-dup", law="SCAN-02", words="each once: 51")
class ScanDup(_Listing):
    """The last id of a page of fifty is shown again on the next page."""

    def listed(self, prefix: str) -> list[str]:
        ids = super().listed(prefix)
        return ids[:50] + ids[49:] if len(ids) > 50 else ids


@saboteur("scan-shows-destroyed", law="SCAN-02", words="too many: ['s")
class ScanShowsDestroyed(_Listing):
    """A scan shows what was destroyed."""

    async def destroy(self, session_id: str) -> None:
        await super().destroy(session_id)
        self.medium.notes["destroyed"][session_id] = True

    def listed(self, prefix: str) -> list[str]:
        return list({**dict.fromkeys(super().listed(prefix)), **self.medium.notes["destroyed"]})


@saboteur("scan-stops-at-expired", law="SCAN-07", words="got:      1 ids")
class ScanStopsAtExpired(_Listing):
    """A scan ends at the first session that has expired."""

    def listed(self, prefix: str) -> list[str]:
        ids = [each for each in self.own_ids() if self.matches(each, prefix)]
        expired = [number for number, each in enumerate(ids) if not self.is_live(each)]
        return ids[: expired[0]] if expired else ids


@saboteur("scan-page-of-expired", law="SCAN-07", words="missing: ['s")
class ScanPageOfExpired(_Listing):
    """A scan ends when a whole page of ten has expired."""

    def listed(self, prefix: str) -> list[str]:
        ids, shown = self.own_ids(), list[str]()
        for start in range(0, len(ids), 10):
            page = [each for each in ids[start : start + 10] if self.is_live(each)]
            if not page:
                break
            shown += page
        return [each for each in shown if self.matches(each, prefix)]


@saboteur("scan-stale", law="SCAN-05", words="to show exactly 2 ids")
class ScanStale(_Listing):
    """Every second scan shows what the scan before it showed."""

    def listed(self, prefix: str) -> list[str]:
        last: list[str] | None = self.medium.notes["scans"].pop(prefix, None)
        if last is None:
            self.medium.notes["scans"][prefix] = super().listed(prefix)
        return super().listed(prefix) if last is None else last


@saboteur("scan-index-late", law="SCAN-05", words="missing: ['s0']")
class ScanIndexLate(_Listing):
    """A session is in the index only when the next one is written."""

    def put(self, session_id: str, record: Record) -> None:
        self.medium.notes["last"]["id"] = session_id
        super().put(session_id, record)

    def listed(self, prefix: str) -> list[str]:
        return [each for each in super().listed(prefix) if each != self.medium.notes["last"].get("id")]


# Prefixes.


@saboteur("scan-prefix-wildcard", law="SCAN-03", words="too many: ['")
class ScanPrefixWildcard(_Listing):
    """A prefix is a glob pattern."""

    def matches(self, session_id: str, prefix: str) -> bool:
        return fnmatchcase(session_id, f"{prefix}*")


@saboteur("scan-prefix-ignored", law="SCAN-03", words="too many: ['")
class ScanPrefixIgnored(_Listing):
    """A prefix is ignored."""

    def matches(self, session_id: str, prefix: str) -> bool:  # noqa: ARG002
        return True


@saboteur("scan-prefix-casefold", law="SCAN-03", words="too many: ['A'")
class ScanPrefixCasefold(_Listing):
    """The case of a prefix does not matter."""

    def matches(self, session_id: str, prefix: str) -> bool:
        return session_id.casefold().startswith(prefix.casefold())


@saboteur("scan-prefix-contains", law="SCAN-03", words="too many: ['")
class ScanPrefixContains(_Listing):
    """A prefix may be anywhere in an id."""

    def matches(self, session_id: str, prefix: str) -> bool:
        return prefix in session_id


@saboteur("scan-prefix-range", law="SCAN-03", words="missing: ['")
class ScanPrefixRange(_Listing):
    """A prefix is a range that ends before `prefix + z`."""

    def matches(self, session_id: str, prefix: str) -> bool:
        return prefix <= session_id < f"{prefix}z" if prefix else True


@saboteur("scan-misses-eternal", law="SCAN-02", words="missing: ['s")
class ScanMissesEternal(_Listing):
    """A scan goes through the expiry index, in which nothing is that lives for ever."""

    def listed(self, prefix: str) -> list[str]:
        records: dict[str, Any] = {each: self.get(each) for each in super().listed(prefix)}
        return [each for each, record in records.items() if record.expires_at is not None]
