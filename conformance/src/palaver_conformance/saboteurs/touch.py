"""Stores in which touch does something else than to move an expiry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.contract.record import Record, new_version
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from typing import Any


class _Touching(HonestStore):
    """Makes something else of a record when it is touched."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        live = self.live(session_id)
        if live is not None:
            self.put(session_id, self.touched(live, expires_at))
        return live is not None

    def touched(self, live: Record, expires_at: int | None) -> Record:
        return replace(live, expires_at=expires_at)


@saboteur("touch-noop", law="TOUCH-01", words="expires_at 1700000060000")
class TouchNoop(_Touching):
    """Touch answers True and moves nothing."""

    def touched(self, live: Record, expires_at: int | None) -> Record:  # noqa: ARG002
        return live


@saboteur("touch-only-later", law="TOUCH-01", words="expires_at 1700000120000")
class TouchOnlyLater(_Touching):
    """Touch never moves an expiry to something earlier."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        is_earlier = expires_at is not None and live.expires_at is not None and expires_at < live.expires_at
        return live if is_earlier else super().touched(live, expires_at)


@saboteur("touch-never-ignored", law="TOUCH-01", words="expires_at 1700000001000")
class TouchNeverIgnored(_Touching):
    """To touch with no expiry moves nothing."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        return live if expires_at is None else super().touched(live, expires_at)


@saboteur("touch-new-version", law="TOUCH-01", words="got:      Record(4 bytes b'kept'")
class TouchNewVersion(_Touching):
    """Touch gives the record a new version."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        return Record(live.payload, new_version(), expires_at)


@saboteur("touch-drops-payload", law="TOUCH-01", words="got:      Record(0 bytes b''")
class TouchDropsPayload(_Touching):
    """Touch empties the payload."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        return Record(b"", live.version, expires_at)


@saboteur("touch-by-amount", law="TOUCH-06", words="expires_at 17000000")
class TouchByAmount(_Touching):
    """Touch prolongs what remains, instead of setting it."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        if expires_at is None or live.expires_at is None:
            return super().touched(live, expires_at)
        return super().touched(live, live.expires_at + expires_at - self.clock.now())


@saboteur("touch-past-ignored", law="TOUCH-04", words="expected: None (no live record)")
class TouchPastIgnored(_Touching):
    """To touch with an instant that has passed moves nothing."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        is_past = expires_at is not None and expires_at <= self.clock.now()
        return live if is_past else super().touched(live, expires_at)


@saboteur("touch-zero-is-never", law="TOUCH-04", words="expected: None (no live record)")
class TouchZeroIsNever(_Touching):
    """To touch with zero means never."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        return super().touched(live, expires_at or None)


@saboteur("touch-reencodes", law="TOUCH-05", words="the payloads differ from byte 128")
class TouchReencodes(_Touching):
    """Touch reads the payload as text and writes it back."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        return Record(live.payload.decode(errors="replace").encode(), live.version, expires_at)


@saboteur("touch-trunc", law="TOUCH-05", words="got:      Record(65535 bytes")
class TouchTrunc(_Touching):
    """Touch cuts the payload at 64 KiB."""

    def touched(self, live: Record, expires_at: int | None) -> Record:
        return Record(live.payload[:65_535], live.version, expires_at)


@saboteur("touch-nth-lost", law="TOUCH-06", words="expires_at 17000000")
class TouchNthLost(_Touching):
    """Every twentieth touch is lost."""

    touches = 0

    def touched(self, live: Record, expires_at: int | None) -> Record:
        self.touches += 1
        return live if self.touches % 20 == 0 else super().touched(live, expires_at)


@saboteur("touch-creates", law="TOUCH-02", words="touch of nothing to answer False")
class TouchCreates(HonestStore):
    """Touch makes a session where there is none."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        live = self.live(session_id) or Record(b"{}", new_version(), None)
        self.put(session_id, replace(live, expires_at=expires_at))
        return True


@saboteur("touch-creates-silently", law="TOUCH-02", words="got:      Record(2 bytes b'{}'")
class TouchCreatesSilently(HonestStore):
    """Touch answers False where there is no session, and makes one."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        was_there = await super().touch(session_id, expires_at)
        if not was_there:
            self.put(session_id, Record(b"{}", new_version(), expires_at))
        return was_there


@saboteur("touch-revives", law="TOUCH-02", words="touch of an expired session to answer False")
class TouchRevives(HonestStore):
    """Touch brings an expired session back."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        record = self.get(session_id)
        if not isinstance(record, Record):
            return False
        self.put(session_id, replace(record, expires_at=expires_at))
        return True


@saboteur("resurrect-by-touch", law="TOUCH-02", words="touch of a destroyed session to answer False")
class ResurrectByTouch(HonestStore):
    """Touch brings a destroyed session back."""

    def discard(self, session_id: str) -> None:
        self.medium.notes["destroyed"][session_id] = self.get(session_id)
        super().discard(session_id)

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        destroyed: Any = self.medium.notes["destroyed"].pop(session_id, None)
        if destroyed is not None and self.get(session_id) is None:
            self.put(session_id, destroyed)
        return await super().touch(session_id, expires_at)


@saboteur("touch-all", law="TOUCH-03", words="expires_at None")
class TouchAll(HonestStore):
    """Touch moves the expiry of all sessions whose ids begin like this one."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        was_there = await super().touch(session_id, expires_at)
        for other in self.own_ids():
            if other.startswith(session_id) and (live := self.live(other)) is not None:
                self.put(other, replace(live, expires_at=expires_at))
        return was_there
