"""The contract of a session store: the one place where it is written down.

Each rule is a law with an id in brackets. The conformance kit checks a store against these laws, and names them when
one is broken. Laws for every verb:

- [ID-01] Two different ids never meet, whatever case, normal form, spaces, separators, wildcards or path parts they
  have. A store gets only ids that `check_session_id` accepts, and accepts all of them up to `max_id_bytes`.
- [NAMESPACE-01] A store sees and changes only the sessions of its own namespace.
- [EXPIRY-01] A record whose `expires_at` is not after the injected clock's `now()` does not exist, for any verb. A
  medium's own expiry only collects garbage.
- [VALUE-01] A store takes and hands out values: payload bytes, version and expiry come back exactly as they went in.
- [ERROR-01] A medium that fails is `StoreUnavailableError`, a record that cannot be understood is
  `CorruptSessionError`; neither is ever "no session". No exception of a client library crosses the contract.
- [ERROR-02] No credential and no payload is in a repr, a log or an error.
- [LIFECYCLE-01] Before `init` and after `close` every other verb raises `StoreClosedError`.
- [PLACE-01] A store is open in one event loop. Used in another one while that one runs, every verb raises
  `WrongLoopError` at once, and what goes on in the first is not disturbed.
- [PLACE-02] Used in another event loop once the former has ended, an open store opens itself again there, and leaks
  nothing.
- [PLACE-03] Used in a forked child, an open store opens itself again there; the parent's connections see no byte of it.
- [LOOP-01] No verb blocks the event loop.
- [CANCEL-01] A cancelled call leaves the old record or the new one, never a mixture, has no effect after it has
  ended, and leaves the store usable.
- [UNSUPPORTED-01] A verb of a capability that the store does not declare raises `UnsupportedError` and changes nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self, TypedDict

from palaver.contract.clock import Clock, SystemClock
from palaver.contract.session_ids import MAX_ID_BYTES, text_fault
from palaver.errors import InvalidOptionError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from types import TracebackType

    from palaver.contract.record import Absent, Record

__all__ = ("DEFAULT_TTL", "Capabilities", "SessionStore", "StoreOptions")

DEFAULT_TTL: Final = timedelta(days=365)

_MILLISECOND: Final = timedelta(milliseconds=1)
_SYSTEM_CLOCK: Final = SystemClock()


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a store can do beyond the four verbs: declared by its author, proven by the conformance kit."""

    swap: bool = False
    """Compare-and-swap and compare-and-delete, atomic among all processes that share the medium."""

    batch: bool = False
    """Several items in one call; `swap_many` needs `swap` as well."""

    touch: bool = False
    """Moving the expiry alone."""

    scan: bool = False
    """Listing the live ids."""

    purge: bool = False
    """Removing what has expired."""

    clear: bool = False
    """Removing the whole namespace."""

    durable: bool = False
    """[DURABLE-01] An acknowledged write survives `kill -9` of the writer and, where the medium can, loss of power."""

    shared: bool = False
    """[SHARED-01] Two stores on one location see each other's changes at once."""

    max_payload_bytes: int | None = None
    """The largest payload; a larger one is `SessionTooLargeError` before anything is changed. None is no limit."""

    max_id_bytes: int = MAX_ID_BYTES
    """The longest session id, in UTF-8 bytes."""

    expiry_granularity_ms: int = 1
    """By how many milliseconds a record may outlive its `expires_at`."""


class StoreOptions(TypedDict, total=False):
    """The options that every store takes, for the signature of a store's own constructor: `**options`."""

    ttl: float | timedelta | None
    namespace: str
    clock: Clock


class SessionStore(ABC):
    """Keeps the record of each session.

    A complete driver implements `init`, `read`, `write` and `destroy`, and `close` when it holds something open. All
    else is optional: a store declares it in `capabilities`.

    Args:
        ttl: how long a session lives after its last turn: seconds, a `timedelta`, or None for ever.
        namespace: keeps the sessions of several bots apart in one medium; any text of up to 512 UTF-8 bytes.
        clock: what time it is.

    Raises:
        InvalidOptionError: `ttl` is not a positive number of seconds, `namespace` is not such a text, or `clock` is no
            `Clock`.
    """

    capabilities: Capabilities = Capabilities()
    """What the store can do; the same for its whole life."""

    batches_in_flight: int = 1
    """A hint for the engine, where the store has `batch`: how many batches of one verb are worth sending at a time; 0
    when the store answers without waiting for anything, so that a batch gains nothing. More than 1 pays where a server
    works on one batch while the bot works on another."""

    ttl: timedelta | None = DEFAULT_TTL
    namespace: str = ""
    clock: Clock = _SYSTEM_CLOCK

    def __init__(
        self,
        *,
        ttl: float | timedelta | None = DEFAULT_TTL,
        namespace: str = "",
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        self.ttl = _parse_ttl(ttl)
        self.namespace = _parse_namespace(namespace)
        self.clock = _checked_clock(clock)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def expiry(self, now: int) -> int | None:
        """Return when a session whose last turn is at `now` expires, both in Unix milliseconds; None is never."""
        return None if self.ttl is None else now + self.ttl // _MILLISECOND

    async def __aenter__(self) -> Self:
        return await self.init()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The four verbs, and close.

    @abstractmethod
    async def init(self) -> Self:
        """Make the store ready for use, and the medium too: folders, tables, indexes.

        - [INIT-01] It is idempotent and never removes a session.
        - [INIT-02] It is safe to call concurrently, on one store, on several, and from several processes.
        - [INIT-03] A medium that cannot be used is `StoreUnavailableError` now, not at the first read.
        - [INIT-04] After `close` it opens the store again.

        Returns:
            The store itself.

        Raises:
            StoreUnavailableError: the medium cannot be reached or cannot be made ready.
        """

    @abstractmethod
    async def read(self, session_id: str) -> Record | None:
        """Return the live record of a session.

        - [READ-01] It returns None when there is no record or it has expired, and for no other reason.
        - [READ-02] It sees every write that was acknowledged before it began.
        - [READ-03] It changes nothing: neither the record nor its expiry.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed.
            CorruptSessionError: what is stored cannot be understood.
        """

    @abstractmethod
    async def write(self, session_id: str, record: Record) -> None:
        """Store a record, whatever is there.

        - [WRITE-01] The record replaces the former one as a whole: payload, version and expiry.
        - [WRITE-02] A record that has already expired is accepted, and is not there afterwards.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed; the old record or the new one is stored.
            SessionTooLargeError: the payload is larger than `max_payload_bytes`; nothing was changed.
            CorruptSessionError: what is stored cannot be understood, and the store would rather keep it.
        """

    @abstractmethod
    async def destroy(self, session_id: str) -> None:
        """Remove a session.

        - [DESTROY-01] Afterwards there is no record.
        - [DESTROY-02] It is idempotent: to destroy what is not there is no error.
        - [DESTROY-03] It removes a record that cannot be understood, too.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed.
        """

    async def close(self) -> None:  # noqa: B027  # a store that holds nothing open has nothing to do
        """Release what the store holds open; the sessions stay.

        - [CLOSE-01] It is idempotent, and safe to call concurrently and before `init`.
        - [CLOSE-02] It leaves no task, thread or connection behind.
        - [CLOSE-03] A client object that was handed to the store stays open.
        """

    # What follows is optional.

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        """Store a record only if the live one has the expected version: compare-and-swap.

        - [SWAP-01] It stores the record exactly if the live record's version is `expected`, or if there is no live
          record and `expected` is `ABSENT`.
        - [SWAP-02] It is atomic among all callers and all processes that share the medium: of several swaps that
          expect the same version, one stores.
        - [SWAP-03] It answers True, too, when the live record has the version of `record`, so that a swap whose
          answer was lost may be repeated.
        - [SWAP-04] When it answers False it has changed nothing.

        Args:
            session_id: which session.
            record: what to store; its version is new.
            expected: the version that must be live, or `ABSENT`.

        Returns:
            Whether the record is stored.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed; the old record or the new one is stored.
            SessionTooLargeError: the payload is larger than `max_payload_bytes`; nothing was changed.
            CorruptSessionError: what is stored cannot be understood.
            UnsupportedError: the store does not declare `swap`.
        """
        raise self._unsupported("swap")

    async def remove(self, session_id: str, expected: str) -> bool:
        """Remove a session only if its live record has the expected version: compare-and-delete.

        - [REMOVE-01] It removes the record exactly if the live record's version is `expected`.
        - [REMOVE-02] It is atomic among all callers and all processes that share the medium: of several calls that
          expect the same version, `remove` and `swap` alike, one succeeds.
        - [REMOVE-03] When it answers False, also because there is no live record, it has changed nothing.

        Args:
            session_id: which session.
            expected: the version that must be live.

        Returns:
            Whether this call removed the record.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed; the record is there or is not.
            CorruptSessionError: what is stored cannot be understood; `destroy` removes it.
            UnsupportedError: the store does not declare `swap`.
        """
        raise self._unsupported("swap")

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        """Do what `read` does for several ids at once.

        - [BATCH-01] There is one result for each item, in order; no items are no results.
        - [BATCH-02] Ids may repeat; items of one id take effect in order.
        - [BATCH-03] Each item is atomic by itself; the batch as a whole is not.
        - [BATCH-04] An item that cannot be served, because it is damaged, locked or unreadable, spoils no other: the
          error names it (`session_id`), and every other item can be read, saved and destroyed.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed.
            CorruptSessionError: what is stored for one of them cannot be understood.
            UnsupportedError: the store does not declare `batch`.
        """
        raise self._unsupported("batch")

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        """Do what `write` does for several records at once; laws BATCH-01 to BATCH-03.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed; each item is stored or is not.
            SessionTooLargeError: a payload is larger than `max_payload_bytes`; nothing was changed.
            CorruptSessionError: what is stored for one of them cannot be understood.
            UnsupportedError: the store does not declare `batch`.
        """
        raise self._unsupported("batch")

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        """Do what `swap` does for several records at once; laws BATCH-01 to BATCH-03.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed; each item is stored or is not.
            SessionTooLargeError: a payload is larger than `max_payload_bytes`; nothing was changed.
            CorruptSessionError: what is stored for one of them cannot be understood.
            UnsupportedError: the store does not declare both `batch` and `swap`.
        """
        raise self._unsupported("batch")

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        """Move the expiry of a live record, and nothing else.

        - [TOUCH-01] Payload and version stay.
        - [TOUCH-02] It never creates a record, and never revives one that has expired.

        Args:
            session_id: which session.
            expires_at: the new expiry in Unix milliseconds, or None for never. An instant that has passed ends the
                session.

        Returns:
            Whether there was a live record.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed.
            CorruptSessionError: what is stored cannot be understood.
            UnsupportedError: the store does not declare `touch`.
        """
        raise self._unsupported("touch")

    def scan(self, prefix: str = "") -> AsyncIterator[str]:
        """Iterate over the ids of the live sessions, in no particular order.

        - [SCAN-01] A session that is live throughout is seen exactly once, whatever else comes and goes meanwhile.
        - [SCAN-02] Nothing else is seen that was never live during the scan, and no id twice.
        - [SCAN-03] `prefix` is compared character by character; nothing in it is a wildcard.
        - [SCAN-04] A scan that is left early holds nothing open once it is closed.

        Args:
            prefix: only ids that begin with it.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed.
            UnsupportedError: the store does not declare `scan`.
        """
        raise self._unsupported("scan")

    async def purge(self) -> int:
        """Remove the records of this namespace that have expired.

        - [PURGE-01] It removes what has expired, and nothing else.

        Returns:
            How many records it removed: at most what had expired, and less where the medium collects by itself.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed; some may be removed.
            UnsupportedError: the store does not declare `purge`.
        """
        raise self._unsupported("purge")

    async def clear(self) -> int:
        """Remove every session of this namespace.

        - [CLEAR-01] It removes all that was there when it began, and nothing of another namespace.

        Returns:
            How many live sessions it removed.

        Raises:
            StoreClosedError: the store is not open.
            StoreUnavailableError: the medium failed; some may be removed.
            UnsupportedError: the store does not declare `clear`.
        """
        raise self._unsupported("clear")

    def _unsupported(self, capability: str) -> UnsupportedError:
        return UnsupportedError(capability, store=repr(self))


def _parse_ttl(ttl: float | timedelta | None) -> timedelta | None:
    if ttl is None:
        return None
    if isinstance(ttl, timedelta):
        return _checked_ttl(ttl)
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not math.isfinite(ttl):
        raise InvalidOptionError(
            f"{ttl!r} is no time to live; give seconds, a timedelta, or None for never", option="ttl"
        )
    try:
        return _checked_ttl(timedelta(seconds=ttl))
    except OverflowError as error:
        raise InvalidOptionError("it is too long; None means never", option="ttl") from error


def _checked_ttl(ttl: timedelta) -> timedelta:
    if ttl < _MILLISECOND:
        raise InvalidOptionError(
            f"it is {ttl.total_seconds():g} seconds, but must be at least 0.001; None means never", option="ttl"
        )
    return ttl


def _checked_clock(clock: Clock) -> Clock:
    # A class has the method, too, but none to ask.
    if isinstance(clock, type) or not isinstance(clock, Clock):
        raise InvalidOptionError(
            f"{clock!r} is no clock; give an object whose now() returns Unix milliseconds, as palaver.ManualClock()",
            option="clock",
        )
    return clock


def _parse_namespace(namespace: str) -> str:
    if not isinstance(namespace, str):
        raise InvalidOptionError(f"it is of type {type(namespace).__name__}, not str", option="namespace")
    fault = text_fault(namespace, MAX_ID_BYTES)
    if fault is not None:
        raise InvalidOptionError(fault, option="namespace")
    return namespace
