"""Stores whose compare-and-swap is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from palaver.contract.record import ABSENT, Absent, Record
from palaver.errors import ConflictError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from palaver.contract.clock import Clock
    from palaver_conformance.saboteurs._honest import Medium

_LARGE: Final = 65_536


@saboteur("cas-accepts-stale", law="SWAP-01", words="swap from another version to answer False")
class AcceptsStale(HonestStore):
    """Swap takes every version for the live one."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        return super().decide(session_id, record, live.version if live and expected is not ABSENT else expected)


@saboteur("cas-missing", law="SWAP-01", words="swap of a record from ABSENT to answer False")
class AbsentAlways(HonestStore):
    """Swap from ABSENT replaces a record that is there."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        return super().decide(session_id, record, live.version if live and expected is ABSENT else expected)


@saboteur("cas-creates", law="SWAP-01", words="swap of nothing from")
class Creates(HonestStore):
    """Swap from a version makes a session where there is none."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return super().decide(session_id, record, expected if self.live(session_id) else ABSENT)


@saboteur("cas-always-true", law="SWAP-01", words="swap of nothing from")
class AlwaysTrue(HonestStore):
    """Swap answers True when it has refused."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return super().decide(session_id, record, expected) or True


@saboteur("cas-inverted", law="SWAP-01", words="swap")
class Inverted(HonestStore):
    """Swap stores exactly if the expected version is not the live one."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        if expected == (ABSENT if live is None else live.version):
            return False
        self.put(session_id, record)
        return True


@saboteur("cas-casefold", law="SWAP-01", words="to answer False")
class IgnoresCase(HonestStore):
    """Swap compares versions without their case."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        same = live and expected is not ABSENT and live.version.lower() == expected.lower()
        return super().decide(session_id, record, live.version if live and same else expected)


@saboteur("cas-absent-text", law="SWAP-01", words="swap of nothing from '' to answer False")
class EmptyIsAbsent(HonestStore):
    """Swap takes an empty version for ABSENT."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return super().decide(session_id, record, expected or ABSENT)


@saboteur("cas-raises", law="SWAP-01", words="ConflictError")
class Raises(HonestStore):
    """Swap raises ConflictError where it has to answer False."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        if not super().decide(session_id, record, expected):
            raise ConflictError(session_id)
        return True


@saboteur("cas-nth-wrong", law="SWAP-02", words="swap from a former version to answer False")
class TwentiethWrong(HonestStore):
    """The twentieth swap that has to be refused stores."""

    refusals = 0

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        stores = super().decide(session_id, record, expected)
        self.refusals += not stores
        if stores or self.refusals % 20:
            return stores
        self.put(session_id, record)
        return True


@saboteur("cas-repeat-refused", law="SWAP-03", words="swap of the record that is live to answer True")
class RepeatRefused(HonestStore):
    """A swap that is repeated finds its own record in the way."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        if live is not None and live.version == record.version and expected != live.version:
            return False
        return super().decide(session_id, record, expected)


@saboteur("cas-remembers-all", law="SWAP-03", words="swap of a former record to answer False")
class RemembersAll(HonestStore):
    """Swap answers True for every record that it has ever stored, live or not."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        stored = self.medium.notes["stored"]
        if super().decide(session_id, record, expected):
            stored[session_id, record.version] = True
        return (session_id, record.version) in stored


@saboteur("cas-repeat-stores", law="SWAP-03", words="expires_at")
class RepeatStores(HonestStore):
    """A swap that is repeated stores again, and so undoes a touch in between."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        if live is not None and live.version == record.version:
            self.put(session_id, record)
        return super().decide(session_id, record, expected)


@saboteur("cas-repeat-expired", law="SWAP-03", words="swap of a record that is gone to answer False")
class RepeatExpired(HonestStore):
    """A swap of the record that was there last is taken for a repeated one when it has expired."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        last = self.get(session_id)
        is_repeated = isinstance(last, Record) and last.version == record.version
        return is_repeated or super().decide(session_id, record, expected)


@saboteur("cas-partial-report", law="SWAP-04", words="late")
class RefusesAndStores(HonestStore):
    """Swap answers False and has stored the record."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        stores = super().decide(session_id, record, expected)
        self.put(session_id, record)
        return stores


@saboteur("cas-refused-moves-expiry", law="SWAP-04", words="expires_at None")
class RefusesAndTouches(HonestStore):
    """A swap that is refused gives the live record its expiry."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        stores = super().decide(session_id, record, expected)
        live = self.live(session_id)
        if live is not None:
            self.put(session_id, replace(live, expires_at=record.expires_at))
        return stores


@saboteur("cas-refused-destroys", law="SWAP-04", words="None (no live record)")
class RefusesAndRemoves(HonestStore):
    """A swap that is refused removes the record."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        stores = super().decide(session_id, record, expected)
        if not stores:
            self.discard(session_id)
        return stores


@saboteur("cas-aba", law="SWAP-05", words="swap from the old version to answer False")
class CountsFromOne(HonestStore):
    """Swap compares numbers of versions, and these begin anew when a session is destroyed."""

    def number(self, session_id: str, version: str) -> int | None:
        return self.medium.notes["numbers"].get((self.key(session_id), version))

    def put(self, session_id: str, record: Record) -> None:
        last = self.get(session_id)
        number = 0 if last is None else self.number(session_id, last.version) or 0
        self.medium.notes["numbers"][self.key(session_id), record.version] = number + 1
        super().put(session_id, record)

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        same = live and expected is not ABSENT and self.number(session_id, expected)
        is_same = live and same and same == self.number(session_id, live.version)
        return super().decide(session_id, record, live.version if live and is_same else expected)


@saboteur("cas-version-reuse", law="SWAP-05", words="swap from the old version to answer False")
class ComparesPayloads(HonestStore):
    """Swap compares the payload of the expected version with the live one."""

    def put(self, session_id: str, record: Record) -> None:
        self.medium.notes["payloads"][self.key(session_id), record.version] = record.payload
        super().put(session_id, record)

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        was = self.medium.notes["payloads"].get((self.key(session_id), expected))
        return super().decide(session_id, record, live.version if live and was == live.payload else expected)


@saboteur("cas-path-dropped", law="SWAP-06", words="swap from ABSENT to answer False")
class LargeUnconditionally(HonestStore):
    """Swap of a large payload does not look at what is expected."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        if len(record.payload) <= _LARGE:
            return super().decide(session_id, record, expected)
        self.put(session_id, record)
        return True


@saboteur("cas-trunc", law="SWAP-06", words="65536 bytes")
class LargeCut(HonestStore):
    """Swap cuts a large payload, write does not."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return super().decide(session_id, replace(record, payload=record.payload[:_LARGE]), expected)


@saboteur("cas-keeps-ttl", law="SWAP-07", words="expires_at")
class KeepsExpiry(HonestStore):
    """Swap keeps the expiry of the former record."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        return super().decide(session_id, replace(record, expires_at=live.expires_at) if live else record, expected)


@saboteur("cas-drops-ttl", law="SWAP-07", words="expires_at None")
class DropsExpiry(HonestStore):
    """What is swapped in never expires."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return super().decide(session_id, replace(record, expires_at=None), expected)


@saboteur("cas-past-keeps-old", law="SWAP-08", words="expected: None (no live record)")
class IgnoresThePast(HonestStore):
    """Swap answers True for a record that has already expired, and keeps the old one."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        stores = super().decide(session_id, record, expected)
        if stores and live is not None and self.is_gone(record):
            self.put(session_id, live)
        return stores


@saboteur("cas-own-counter", law="SWAP-09", words="swap from an overwritten version to answer False")
class OwnVersions(HonestStore):
    """Swap knows the versions that it has stored itself, and not those of write."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live, own = self.live(session_id), self.medium.notes["swapped"].get(self.key(session_id))
        stores = super().decide(session_id, record, live.version if live and own == expected else expected)
        if stores:
            self.medium.notes["swapped"][self.key(session_id)] = record.version
        return stores


@saboteur("cas-destroy-keeps-version", law="SWAP-09", words="swap of a destroyed session to answer False")
class RemembersTheDestroyed(HonestStore):
    """Swap takes the version of a session that was destroyed for the live one."""

    def discard(self, session_id: str) -> None:
        live = self.get(session_id)
        super().discard(session_id)
        if isinstance(live, Record):
            self.medium.notes["destroyed"][self.key(session_id)] = live.version

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        was_destroyed = self.medium.notes["destroyed"].get(self.key(session_id)) == expected
        is_gone = self.live(session_id) is None
        return super().decide(session_id, record, ABSENT if is_gone and was_destroyed else expected)


@saboteur("cas-touch-new-version", law="SWAP-09", words="swap from the written version to answer True")
class TouchedIsAnother(HonestStore):
    """After a touch swap does not know the version any more."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        touched = await super().touch(session_id, expires_at)
        live = self.get(session_id)
        if touched and isinstance(live, Record):
            self.medium.notes["touched"][self.key(session_id), live.version] = True
        return touched

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        if (self.key(session_id), expected) in self.medium.notes["touched"]:
            return False
        return super().decide(session_id, record, expected)


@saboteur("cas-first-store-only", law="SHARED-02", words="swap")
class FirstStoreOnly(HonestStore):
    """Swap compares with what this very store has seen last, not with what is there."""

    def __init__(self, medium: Medium, *, clock: Clock, namespace: str = "") -> None:
        super().__init__(medium, clock=clock, namespace=namespace)
        self.seen: dict[str, Record | None] = {}

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, record)
        self.seen[session_id] = record

    def discard(self, session_id: str) -> None:
        super().discard(session_id)
        self.seen.pop(session_id, None)

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live, seen = self.live(session_id), self.seen.get(session_id)
        is_known = live is not None and seen is not None and seen.version == expected
        return super().decide(session_id, record, live.version if live and is_known else expected)
