"""Stores whose compare-and-delete is wrong."""

from __future__ import annotations

from dataclasses import replace

from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur


@saboteur("remove-ignores-version", law="REMOVE-01", words="to answer False")
class IgnoresVersion(HonestStore):
    """Remove takes every version for the live one."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        live = self.live(session_id)
        return super().decide_removal(session_id, expected if live is None else live.version)


@saboteur("remove-noop", law="REMOVE-01", words="expected: None (no live record)")
class DoesNothing(HonestStore):
    """Remove answers as it should, and removes nothing."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        live = self.live(session_id)
        return live is not None and live.version == expected


@saboteur("remove-always-true", law="REMOVE-01", words="remove of nothing")
class AlwaysTrue(HonestStore):
    """Remove answers True when it has refused."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        super().decide_removal(session_id, expected)
        return True


@saboteur("remove-says-false", law="REMOVE-01", words="remove from the live version to answer True")
class SaysFalse(HonestStore):
    """Remove answers False when it has removed."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        super().decide_removal(session_id, expected)
        return False


@saboteur("remove-casefold", law="REMOVE-01", words="to answer False")
class IgnoresCase(HonestStore):
    """Remove compares versions without their case."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        live = self.live(session_id)
        is_like = live is not None and live.version.lower() == expected.lower()
        return super().decide_removal(session_id, live.version if live and is_like else expected)


@saboteur("remove-same-payload", law="REMOVE-01", words="to answer False")
class ComparesPayloads(HonestStore):
    """Remove takes a former version for the live one when both have the same payload."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        live = self.live(session_id)
        payloads = self.medium.notes["payloads"]
        is_like = live is not None and payloads.get(expected) == live.payload
        return super().decide_removal(session_id, live.version if live and is_like else expected)

    def put(self, session_id: str, record: object) -> None:
        super().put(session_id, record)  # type: ignore[arg-type]
        self.medium.notes["payloads"][record.version] = record.payload  # type: ignore[attr-defined]


@saboteur("remove-toctou", law="REMOVE-02", words="3 removes and 3 swaps at once to succeed")
class LooksThenRemoves(HonestStore):
    """Remove looks, lets others change the session, and removes what is there then."""

    async def remove(self, session_id: str, expected: str) -> bool:
        await self.begin()
        live = self.live(session_id)
        if live is None or live.version != expected:
            return False
        await self.trip()
        self.discard(session_id)
        return True


@saboteur("remove-refused-moves-expiry", law="REMOVE-03", words="expires_at None")
class RefusalMovesExpiry(HonestStore):
    """A remove that is refused lets the session live for ever."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        is_removed = super().decide_removal(session_id, expected)
        live = self.live(session_id)
        if not is_removed and live is not None:
            self.put(session_id, replace(live, expires_at=None))
        return is_removed


@saboteur("remove-expired", law="REMOVE-03", words="remove of an expired session to answer False")
class RemovesTheExpired(HonestStore):
    """Remove finds sessions that have expired."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        found = self.get(session_id)
        if found is None or getattr(found, "version", None) != expected:
            return super().decide_removal(session_id, expected)
        self.discard(session_id)
        return True


@saboteur("remove-neighbor", law="REMOVE-03", words="expected: Record")
class RemovesByPrefix(HonestStore):
    """Remove takes all sessions with it whose id begins with that of the session."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        is_removed = super().decide_removal(session_id, expected)
        for other in self.own_ids() if is_removed else ():
            if other.startswith(session_id):
                self.discard(other)
        return is_removed


@saboteur("remove-all-namespaces", law="REMOVE-03", words="expected: Record")
class RemovesEverywhere(HonestStore):
    """Remove takes the session of that id from every namespace."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        is_removed = super().decide_removal(session_id, expected)
        for key in list(self.medium.records) if is_removed else ():
            if key[1] == session_id:
                del self.medium.records[key]
        return is_removed
