"""Stores that take too much, or do not tell that their medium failed."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from palaver.errors import CorruptSessionError, SessionTooLargeError, StoreUnavailableError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver.contract.record import Absent, Record

__all__ = ("LimitedStore",)

_log = logging.getLogger(__name__)


# ERROR-04: too large


class LimitedStore(HonestStore):
    """The contract, for payloads of up to 4096 bytes."""

    capabilities = replace(HonestStore.capabilities, max_payload_bytes=4_096)

    def accept(self, *items: tuple[Any, ...]) -> None:
        """Refuse payloads that are too large."""
        for session_id, record, *_ in items:
            if len(record.payload) > 4_096:
                raise SessionTooLargeError(session_id, size=len(record.payload), limit=4_096)

    async def write(self, session_id: str, record: Record) -> None:
        self.accept((session_id, record))
        await super().write(session_id, record)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        self.accept((session_id, record))
        return await super().swap(session_id, record, expected)

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        self.accept(*items)
        await super().write_many(items)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        self.accept(*items)
        return await super().swap_many(items)


@saboteur("limit-lie", law="ERROR-04", words="SessionTooLargeError")
class LimitBelow(LimitedStore):
    """Accepts fewer bytes than it declares: what it adds itself counts, too."""

    def accept(self, *items: tuple[Any, ...]) -> None:
        super().accept(*[(each[0], replace(each[1], payload=each[1].payload + b"envelope")) for each in items])


@saboteur("limit-off-by-one", law="ERROR-04", words="write() to raise SessionTooLargeError")
class LimitAbove(LimitedStore):
    """Accepts one byte more than it declares."""

    def accept(self, *items: tuple[Any, ...]) -> None:
        super().accept(*[(each[0], replace(each[1], payload=each[1].payload[1:])) for each in items])


@saboteur("oversize-accepted", law="ERROR-04", words="write() to raise SessionTooLargeError")
class OversizeCut(LimitedStore):
    """A payload that is too large is cut."""

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, replace(record, payload=record.payload[:4_096]))


@saboteur("oversize-keeps-part", law="ERROR-04", words="4096 bytes")
class OversizeKeepsPart(LimitedStore):
    """A payload that is too large is refused when a part of it is stored."""

    async def write(self, session_id: str, record: Record) -> None:
        await HonestStore.write(self, session_id, replace(record, payload=record.payload[:4_096]))
        self.accept((session_id, record))


@saboteur("oversize-unavailable", law="ERROR-04", words="StoreUnavailableError: <OversizeUnavailable>")
class OversizeUnavailable(LimitedStore):
    """A payload that is too large may be tried again, it is said."""

    def accept(self, *items: tuple[Any, ...]) -> None:
        try:
            super().accept(*items)
        except SessionTooLargeError as error:
            raise StoreUnavailableError("packet too large", store=repr(self)) from error


@saboteur("oversize-without-facts", law="ERROR-04", words="the error to carry size and limit")
class OversizeWithoutFacts(LimitedStore):
    """The error about a payload that is too large says neither how large it is nor what is accepted."""

    def accept(self, *items: tuple[Any, ...]) -> None:
        try:
            super().accept(*items)
        except SessionTooLargeError as error:
            raise SessionTooLargeError(error.session_id) from error


@saboteur("oversize-swapped", law="ERROR-04", words="swap() to raise SessionTooLargeError")
class OversizeSwapped(LimitedStore):
    """Swap accepts any size."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return await HonestStore.swap(self, session_id, record, expected)


@saboteur("oversize-half-batch", law="ERROR-04", words="5 bytes b'small'")
class OversizeHalfBatch(LimitedStore):
    """A batch is stored up to the payload that is too large."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        for session_id, record in items:
            await self.write(session_id, record)


# ERROR-06: a medium that fails


@saboteur("swallow-error", law="ERROR-06", words="read() to raise StoreUnavailableError")
class FailureIsMissing(HonestStore):
    """Read takes a medium that fails for an empty one."""

    async def read(self, session_id: str) -> Record | None:
        try:
            return await super().read(session_id)
        except StoreUnavailableError:
            return None


@saboteur("swallow-write-error", law="ERROR-06", words="write() to raise StoreUnavailableError")
class FailureIsLogged(HonestStore):
    """Write logs that the medium failed, and goes on."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except StoreUnavailableError:
            _log.warning("session %s was not saved", session_id)


@saboteur("swallow-touch-error", law="ERROR-06", words="touch() to raise StoreUnavailableError")
class FailureIsNoTouch(HonestStore):
    """Touch answers False when the medium fails."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        try:
            return await super().touch(session_id, expires_at)
        except StoreUnavailableError:
            return False


@saboteur("wrong-exception", law="ERROR-06", words="ConnectionResetError")
class FailureIsForeign(HonestStore):
    """The error of the medium comes through as it is."""

    async def trip(self) -> None:
        try:
            await super().trip()
        except StoreUnavailableError as error:
            raise ConnectionResetError("[Errno 104] Connection reset by peer") from error


@saboteur("failure-is-corrupt", law="ERROR-06", words="got:      CorruptSessionError")
class FailureIsDamage(HonestStore):
    """A medium that fails is taken for a record that is damaged."""

    async def read(self, session_id: str) -> Record | None:
        try:
            return await super().read(session_id)
        except StoreUnavailableError as error:
            raise CorruptSessionError("it cannot be read", session_id=session_id) from error


@saboteur("error-leaves-change", law="ERROR-06", words="got:      None")
class FailureLosesRecord(HonestStore):
    """A write that fails has removed the old record."""

    async def write(self, session_id: str, record: Record) -> None:
        try:
            await super().write(session_id, record)
        except StoreUnavailableError:
            self.discard(session_id)
            raise


@saboteur("error-leaves-half", law="ERROR-06", words="900 bytes b'new")
class FailureLeavesHalf(HonestStore):
    """A swap that fails has stored the new payload under the old version."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        try:
            return await super().swap(session_id, record, expected)
        except StoreUnavailableError:
            live = self.live(session_id)
            if live is not None:
                self.put(session_id, replace(live, payload=record.payload))
            raise


@saboteur("error-is-final", law="ERROR-06", words="the pool is broken")
class FailureIsFinal(HonestStore):
    """When the medium has failed once, the store does not try again."""

    has_failed = False

    async def trip(self) -> None:
        if self.has_failed:
            raise StoreUnavailableError("the pool is broken", store=repr(self))
        try:
            await super().trip()
        except StoreUnavailableError:
            self.has_failed = True
            raise
