"""Stores whose init is wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from palaver.errors import StoreUnavailableError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._honest_files import FileStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from palaver.contract.record import Record


@saboteur("init-wipes", law="INIT-01", words="None (no live record)")
class InitWipes(HonestStore):
    """Init makes everything new."""

    async def init(self) -> Self:
        self.medium.records.clear()
        return await super().init()


@saboteur("init-not-idempotent", law="INIT-01", words="it is open already")
class InitOnce(HonestStore):
    """Init of an open store raises."""

    async def init(self) -> Self:
        if self.is_open:
            raise StoreUnavailableError("it is open already", store=repr(self))
        return await super().init()


@saboteur("init-returns-none", law="INIT-01", words="init() to return the store itself")
class InitReturnsNothing(HonestStore):
    """Init returns None."""

    async def init(self) -> Any:
        await super().init()


@saboteur("init-needs-two-calls", law="INIT-01", words="StoreClosedError")
class InitTwice(HonestStore):
    """The first init connects, and only the second one opens."""

    is_connected = False

    async def init(self) -> Self:
        if self.is_connected:
            return await super().init()
        self.is_connected = True
        await self.trip()
        return self


@saboteur("init-second-closes", law="INIT-01", words="StoreClosedError")
class InitToggles(HonestStore):
    """Init of an open store closes it."""

    async def init(self) -> Self:
        was_open = self.is_open
        await super().init()
        self.is_open = not was_open
        return self


@saboteur("init-drops-mortal", law="INIT-01", words="None (no live record)")
class InitPurgesTooMuch(HonestStore):
    """Init of an open store removes all sessions that will expire one day."""

    async def init(self) -> Self:
        for key, record in list(self.medium.records.items()) if self.is_open else []:
            if getattr(record, "expires_at", None) is not None:
                del self.medium.records[key]
        return await super().init()


@saboteur("init-concurrent", law="INIT-02", words="table sessions already exists")
class InitRaces(HonestStore):
    """Init looks whether the table is there, and makes it later: two at once both make it."""

    async def init(self) -> Self:
        tables = self.medium.notes["tables"]
        is_missing = "sessions" not in tables
        await super().init()
        if is_missing and "sessions" in tables:
            raise RuntimeError("table sessions already exists")
        tables["sessions"] = True
        return self


@saboteur("init-returns-early", law="INIT-02", words="StoreClosedError")
class InitReturnsEarly(HonestStore):
    """While one init is under way another one returns at once."""

    is_opening = False

    async def init(self) -> Self:
        if self.is_opening:
            return self
        self.is_opening = True
        try:
            return await super().init()
        finally:
            self.is_opening = False


@saboteur("init-concurrent-wipes", law="INIT-02", words="None (no live record)")
class InitMakesTwice(HonestStore):
    """Init of a new location makes it, and wipes what others have written to it meanwhile."""

    async def init(self) -> Self:
        tables = self.medium.notes["tables"]
        is_missing = "sessions" not in tables
        for _ in range(5):
            await self.trip()
        if is_missing:
            self.medium.records.clear()
            tables["sessions"] = True
        return await super().init()


@saboteur("init-again-interrupts", law="INIT-02", words="StoreClosedError")
class InitAgainInterrupts(HonestStore):
    """Init of an open store closes it for a moment, and calls at that moment fail."""

    async def init(self) -> Self:
        self.is_open = False
        return await super().init()


@saboteur("init-lazy-lies", law="INIT-03", words="init() to raise StoreUnavailableError")
class InitLooksAtNothing(HonestStore):
    """Init does not look whether there is a medium."""

    async def init(self) -> Self:
        self.is_open = True
        return self


@saboteur("init-fails-open", law="INIT-03", words="read() to raise StoreClosedError")
class InitFailsOpen(HonestStore):
    """A store whose init has failed is open."""

    async def init(self) -> Self:
        self.is_open = True
        return await super().init()


@saboteur("init-foreign-error", law="INIT-03", words="ConnectionRefusedError")
class InitForeignError(HonestStore):
    """Init lets an error of the medium through."""

    async def init(self) -> Self:
        try:
            return await super().init()
        except StoreUnavailableError as error:
            raise ConnectionRefusedError("[Errno 111] Connect call failed") from error


@saboteur("init-failure-is-final", law="INIT-07", words="the medium is away")
class InitFailureIsFinal(HonestStore):
    """A store whose init has failed once can never be opened."""

    failure: StoreUnavailableError | None = None

    async def init(self) -> Self:
        if self.failure is not None:
            raise self.failure
        try:
            return await super().init()
        except StoreUnavailableError as error:
            self.failure = error
            raise


@saboteur("reopen-broken", law="INIT-04", words="StoreClosedError")
class NeverAgain(HonestStore):
    """After close init does not open the store again."""

    was_closed = False

    async def init(self) -> Self:
        return self if self.was_closed else await super().init()

    async def close(self) -> None:
        await super().close()
        self.was_closed = True


@saboteur("reopen-forgets", law="INIT-04", words="None (no live record)")
class CloseForgets(HonestStore):
    """Close throws the sessions away."""

    async def close(self) -> None:
        if self.is_open:
            self.medium.records.clear()
        await super().close()


@saboteur("ttl-lost-restart", law="INIT-04", words="expires_at None")
class ExpiryInMemory(FileStore):
    """Expiries are kept in memory: a store that is opened again does not know them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.expiries: dict[str, int | None] = {}

    async def end(self) -> None:
        self.expiries.clear()
        await super().end()

    def put(self, session_id: str, record: Record) -> None:
        self.expiries[session_id] = record.expires_at
        super().put(session_id, record)

    def get(self, session_id: str) -> Any:
        found = super().get(session_id)
        is_known = not hasattr(found, "expires_at") or session_id in self.expiries
        return found if is_known else type(found)(found.payload, found.version, None)


@saboteur("reopen-restores", law="INIT-05", words="was written to")
class RestoresSnapshot(HonestStore):
    """Close takes a snapshot, and init puts it back over what others have done meanwhile."""

    snapshot: dict[Any, Any] | None = None

    async def init(self) -> Self:
        if not self.is_open:
            self.medium.records.update(self.snapshot or {})
        return await super().init()

    async def close(self) -> None:
        self.snapshot = dict(self.medium.records)
        await super().close()


@saboteur("init-second-store-wipes", law="INIT-05", words="None (no live record)")
class SecondStoreWipes(HonestStore):
    """A store that is opened for the first time makes everything new."""

    was_open = False

    async def init(self) -> Self:
        if not self.was_open:
            self.medium.records.clear()
        self.was_open = True
        return await super().init()


@saboteur("close-closes-all", law="INIT-05", words="StoreClosedError")
class ClosesAll(HonestStore):
    """Stores on a location have one connection, and the first close ends it for all."""

    async def init(self) -> Self:
        self.medium.notes["open"]["yes"] = True
        return await super().init()

    async def close(self) -> None:
        self.medium.notes["open"].clear()
        await super().close()

    async def begin(self) -> None:
        self.is_open = self.is_open and bool(self.medium.notes["open"])
        await super().begin()


@saboteur("init-processes-race", law="INIT-06", words="File exists")
class FolderMadeTwice(FileStore):
    """Init looks whether the folder is there, and makes it later: two processes at once both make it."""

    def prepare(self) -> None:
        if not self.home.exists():
            time.sleep(0.1)
            self.folder.mkdir(exist_ok=True, parents=True)
            self.home.mkdir()
