"""Stores that declare what is not so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from palaver.errors import UnsupportedError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from palaver.contract.record import Absent, Record
    from palaver.contract.store import Capabilities

_WITHOUT_TOUCH = replace(HonestStore.capabilities, touch=False)


@saboteur("capability-drift", law="CAPABILITY-01", words="after init")
class Drifts(HonestStore):
    """Declares more when it is open, having asked the server."""

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        return HonestStore.capabilities if self.is_open else _WITHOUT_TOUCH


@saboteur("capability-by-namespace", law="CAPABILITY-01", words="in another namespace")
class DriftsByNamespace(HonestStore):
    """Declares less in a namespace."""

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        return _WITHOUT_TOUCH if self.namespace else HonestStore.capabilities


@saboteur("capability-unknown", law="CAPABILITY-02", words="max_id_bytes to be a number of bytes, at most 512")
class AcceptsLongerIds(HonestStore):
    """Declares longer ids than there are."""

    capabilities = replace(HonestStore.capabilities, max_id_bytes=4_096)


@saboteur("capability-truthy", law="CAPABILITY-02", words="swap to be True or False")
class DeclaresText(HonestStore):
    """Declares a capability with a text."""

    capabilities = replace(HonestStore.capabilities, swap="server-side")  # type: ignore[arg-type]


@saboteur("capability-zero-granularity", law="CAPABILITY-02", words="a number of milliseconds, 1 or more")
class NoGranularity(HonestStore):
    """Declares that nothing outlives its expiry, in milliseconds."""

    capabilities = replace(HonestStore.capabilities, expiry_granularity_ms=0)


@saboteur("declared-raises", law="CAPABILITY-03", words="touch, which is declared, to work")
class DeclaresTouch(HonestStore):
    """Declares touch and does not have it."""

    async def touch(self, session_id: str, expires_at: int | None) -> bool:  # noqa: ARG002
        raise UnsupportedError("touch", store=repr(self))


@saboteur("declared-swap-many-raises", law="CAPABILITY-03", words="which is declared, to work")
class DeclaresBatch(HonestStore):
    """Declares swap and batch, and does not have both together."""

    async def swap_many(self, items: Any) -> list[bool]:  # noqa: ARG002
        raise UnsupportedError("batch", store=repr(self))


@saboteur("options-dropped", law="CAPABILITY-04", words="namespace 'of a bot'")
class DropsNamespace(HonestStore):
    """Does not show the namespace that it was given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kept_in, self.namespace = self.namespace, ""

    def key(self, session_id: str) -> Any:
        return self.kept_in, session_id

    def own_ids(self) -> list[str]:
        return [session_id for namespace, session_id in list(self.medium.records) if namespace == self.kept_in]


@saboteur("expiry-in-seconds", law="CAPABILITY-04", words="store.expiry(now)")
class ExpiryInSeconds(HonestStore):
    """Counts the ttl in seconds where milliseconds are due."""

    def expiry(self, now: int) -> int | None:
        return None if self.ttl is None else now + int(self.ttl.total_seconds())


@saboteur("undeclared-silent", law="UNSUPPORTED-01", words="touch() to raise UnsupportedError")
class IgnoresTouch(HonestStore):
    """Does not declare touch, and answers that it did it."""

    capabilities = _WITHOUT_TOUCH

    async def touch(self, session_id: str, expires_at: int | None) -> bool:  # noqa: ARG002
        await self.begin()
        return self.live(session_id) is not None


@saboteur("undeclared-works", law="UNSUPPORTED-01", words="swap() to raise UnsupportedError")
class SwapsUndeclared(HonestStore):
    """Does not declare swap, and does it all the same."""

    capabilities = replace(HonestStore.capabilities, swap=False)


@saboteur("undeclared-changes", law="UNSUPPORTED-01", words="expires_at None")
class RefusesTooLate(HonestStore):
    """Does not declare touch, and refuses it when it has done it."""

    capabilities = _WITHOUT_TOUCH

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        await super().touch(session_id, expires_at)
        raise UnsupportedError("touch", store=repr(self))


@saboteur("undeclared-foreign-error", law="UNSUPPORTED-01", words="builtins.NotImplementedError")
class NotImplementedYet(HonestStore):
    """Does not declare touch, and raises NotImplementedError."""

    capabilities = _WITHOUT_TOUCH

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        raise NotImplementedError


@saboteur("undeclared-scan-empty", law="UNSUPPORTED-01", words="scan() to raise UnsupportedError")
class ScansNothing(HonestStore):
    """Does not declare scan, and shows no session."""

    capabilities = replace(HonestStore.capabilities, scan=False)

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:  # noqa: ARG002
        await self.begin()
        if not self.is_open:
            yield ""


@saboteur("undeclared-swap-many", law="UNSUPPORTED-01", words="swap_many() to raise UnsupportedError")
class SwapsManyUndeclared(HonestStore):
    """Declares batch and not swap, and has swap_many all the same."""

    capabilities = replace(HonestStore.capabilities, swap=False)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:  # noqa: ARG002
        raise UnsupportedError("swap", store=repr(self))

    async def remove(self, session_id: str, expected: str) -> bool:  # noqa: ARG002
        raise UnsupportedError("swap", store=repr(self))


@saboteur("undeclared-remove", law="UNSUPPORTED-01", words="remove() to raise UnsupportedError")
class RemovesUndeclared(HonestStore):
    """Does not declare swap, and has remove all the same."""

    capabilities = replace(HonestStore.capabilities, swap=False)

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:  # noqa: ARG002
        raise UnsupportedError("swap", store=repr(self))

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:  # noqa: ARG002
        raise UnsupportedError("swap", store=repr(self))


@saboteur("unsupported-without-name", law="UNSUPPORTED-02", words="the name of a capability that is not declared")
class RefusesWithId(HonestStore):
    """Says which session cannot be touched where it has to say that touch is not there."""

    capabilities = _WITHOUT_TOUCH

    async def touch(self, session_id: str, expires_at: int | None) -> bool:  # noqa: ARG002
        raise UnsupportedError(session_id, store=repr(self))
