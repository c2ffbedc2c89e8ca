"""Stores that take damage wrongly, or tell too much."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from palaver.contract.record import ABSENT, Absent, Record
from palaver.errors import CorruptSessionError, StoreClosedError, StoreUnavailableError
from palaver_conformance.saboteurs._honest import DAMAGED, HonestStore
from palaver_conformance.saboteurs._honest_files import FileStore
from palaver_conformance.saboteurs._honest_server import ServerStore
from palaver_conformance.saboteurs._registry import saboteur
from palaver_conformance.saboteurs._server import PASSWORD, Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = logging.getLogger(__name__)


# ERROR-01 and ERROR-05: damage


@saboteur("corrupt-is-missing", law="ERROR-01", words="read() to raise CorruptSessionError")
class DamagedIsMissing(HonestStore):
    """What cannot be understood is taken for nothing."""

    def live(self, session_id: str) -> Record | None:
        return None if self.get(session_id) is DAMAGED else super().live(session_id)


@saboteur("corrupt-accepted", law="ERROR-01", words="0 bytes b''")
class DamagedIsEmpty(HonestStore):
    """What cannot be understood is an empty record."""

    def live(self, session_id: str) -> Record | None:
        return Record(b"", "0", None) if self.get(session_id) is DAMAGED else super().live(session_id)


@saboteur("corrupt-foreign-error", law="ERROR-01", words="builtins.ValueError")
class DamagedIsForeign(HonestStore):
    """What cannot be understood raises the error of a decoder."""

    def live(self, session_id: str) -> Record | None:
        if self.get(session_id) is DAMAGED:
            raise ValueError("Expecting value: line 1 column 1 (char 0)")
        return super().live(session_id)


@saboteur("corrupt-is-unavailable", law="ERROR-01", words="got:      StoreUnavailableError")
class DamagedIsUnavailable(HonestStore):
    """What cannot be understood may be tried again, it is said."""

    def live(self, session_id: str) -> Record | None:
        try:
            return super().live(session_id)
        except CorruptSessionError as error:
            raise StoreUnavailableError("it cannot be read", store=repr(self)) from error


@saboteur("corrupt-batch-missing", law="ERROR-01", words="read_many() to raise CorruptSessionError")
class DamagedIsMissingInBatch(HonestStore):
    """In a batch what cannot be understood is taken for nothing."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        await self.begin()
        return [self.live(each) if self.is_live(each) else None for each in session_ids]


@saboteur("corrupt-swap-overwrites", law="ERROR-01", words="swap() to raise CorruptSessionError")
class DamagedIsAbsent(HonestStore):
    """Swap from ABSENT replaces what cannot be understood."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        if self.get(session_id) is DAMAGED and expected is ABSENT:
            self.put(session_id, record)
            return True
        return super().decide(session_id, record, expected)


@saboteur("corrupt-remove-missing", law="ERROR-01", words="remove() to raise CorruptSessionError")
class DamagedCannotBeRemoved(HonestStore):
    """Remove takes what cannot be understood for nothing."""

    def decide_removal(self, session_id: str, expected: str) -> bool:
        return self.get(session_id) is not DAMAGED and super().decide_removal(session_id, expected)


@saboteur("corrupt-touch-missing", law="ERROR-01", words="touch() to raise CorruptSessionError")
class DamagedCannotBeTouched(HonestStore):
    """Touch takes what cannot be understood for nothing."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await self.begin()
        return self.is_live(session_id) and await super().touch(session_id, expires_at)


@saboteur("corrupt-heals", law="ERROR-01", words="read_many() to raise CorruptSessionError")
class DamagedIsRemoved(HonestStore):
    """What cannot be understood is removed when it is noticed."""

    def live(self, session_id: str) -> Record | None:
        try:
            return super().live(session_id)
        except CorruptSessionError:
            self.discard(session_id)
            raise


@saboteur("corrupt-poisons-all", law="ERROR-05", words="CorruptSessionError")
class DamageEndsScan(HonestStore):
    """A scan ends with an error at the first record that cannot be understood."""

    def is_live(self, session_id: str) -> bool:
        return self.live(session_id) is not None


@saboteur("corrupt-poisons-init", law="ERROR-05", words="CorruptSessionError")
class DamageKeepsClosed(HonestStore):
    """Init reads all records, and one that cannot be understood keeps the store closed."""

    async def init(self) -> Self:
        for session_id in self.own_ids():
            self.live(session_id)
        return await super().init()


@saboteur("corrupt-purged", law="ERROR-05", words="read() to raise CorruptSessionError")
class PurgesDamage(HonestStore):
    """Purge removes what cannot be understood."""

    async def purge(self) -> int:
        for session_id in self.own_ids():
            if self.get(session_id) is DAMAGED:
                self.discard(session_id)
        return await super().purge()


@saboteur("corrupt-hidden-by-scan", law="ERROR-05", words="scan to show all other sessions")
class ScanStopsAtDamage(HonestStore):
    """A scan ends silently at the first record that cannot be understood."""

    def own_ids(self) -> list[str]:
        own = super().own_ids()
        damaged = [each for each in own if self.get(each) is DAMAGED]
        return own[: own.index(damaged[0])] if damaged else own


# ERROR-02 and ERROR-03: secrets


@saboteur("payload-in-log", law="ERROR-02", words="no secret in anything that is told")
class LogsPayloads(HonestStore):
    """What is written is logged, for debugging."""

    async def write(self, session_id: str, record: Record) -> None:
        _log.debug("write %s: %s", session_id, record.payload)
        await super().write(session_id, record)


@saboteur("payload-in-error", law="ERROR-02", words="no secret in anything that is told")
class ClosedErrorShowsPayload(HonestStore):
    """The error about a closed store shows what was to be written."""

    async def write(self, session_id: str, record: Record) -> None:
        if not self.is_open:
            raise StoreClosedError(f"{self!r}.write({session_id!r}, {record.payload!r})")
        await super().write(session_id, record)


@saboteur("payload-in-cause", law="ERROR-02", words="no secret in anything that is told")
class CauseShowsPayload(HonestStore):
    """The error of the client library, which shows the statement with its values, is the cause of ours."""

    async def begin(self) -> None:
        try:
            await super().begin()
        except StoreClosedError as error:
            values = [each.payload for each in self.medium.records.values() if isinstance(each, Record)]
            raise StoreClosedError(repr(self)) from OSError(f"the values were {values!r}: {error}")


@saboteur("payload-in-corrupt-error", law="ERROR-02", words="no secret in anything that is told")
class DamageShowsPayload(FileStore):
    """The error about a record that cannot be understood shows it."""

    def live(self, session_id: str) -> Record | None:
        try:
            return super().live(session_id)
        except CorruptSessionError as error:
            content = self.key(session_id).read_bytes()
            raise CorruptSessionError(f"cannot decode {content!r}", session_id=session_id) from error


@saboteur("payload-in-repr", law="ERROR-02", words="no secret in anything that is told")
class ShowsPayloads(HonestStore):
    """The repr of the store shows what is in it."""

    def __repr__(self) -> str:
        values = [each.payload for each in self.medium.records.values() if isinstance(each, Record)]
        return f"<ShowsPayloads {values!r}>"


@saboteur("url-credentials", law="ERROR-03", words="no secret in anything that is told")
class ShowsPassword(ServerStore):
    """The repr of the store is its URL, with the password."""

    def __repr__(self) -> str:
        return f"<ShowsPassword kv://bot:{PASSWORD}@server>"


@saboteur("credentials-in-error", law="ERROR-03", words="no secret in anything that is told")
class ErrorShowsPassword(ServerStore):
    """The error about a server that is out of order shows its URL, with the password."""

    def understand(self, verb: str, answer: Answer) -> Any:
        if answer.error == "StoreUnavailableError":
            raise StoreUnavailableError(f"kv://bot:{PASSWORD}@server is out of order")
        return super().understand(verb, answer)


@saboteur("credentials-in-init-error", law="ERROR-03", words="no secret in anything that is told")
class InitErrorShowsPassword(ServerStore):
    """The error about a server that cannot be reached shows its URL, with the password."""

    async def init(self) -> Self:
        try:
            return await super().init()
        except StoreUnavailableError as error:
            raise StoreUnavailableError(f"kv://bot:{PASSWORD}@server cannot be reached") from error


@saboteur("credentials-in-log", law="ERROR-03", words="no secret in anything that is told")
class LogsPassword(ServerStore):
    """Init logs where it connects to, with the password."""

    async def init(self) -> Self:
        _log.info("connecting to kv://bot:%s@server", PASSWORD)
        return await super().init()
