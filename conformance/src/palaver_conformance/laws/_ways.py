"""Every way in which a record can come into a store: each may have its own mistakes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from palaver.contract.record import ABSENT
from palaver_conformance.ground.verdicts import LawBroken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver.contract.record import Absent, Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore

__all__ = ("Way", "ways_to_put")

Way: TypeAlias = "Callable[[TracedStore, str, Record], Awaitable[None]]"


def ways_to_put(ground: Ground) -> list[Way]:
    """Return the ways that the store has, each of which replaces whatever is there."""
    declared = ground.capabilities
    ways: list[tuple[bool, Way]] = [
        (True, _write),
        (declared.swap, _swap),
        (declared.batch, _write_many),
        (declared.batch and declared.swap, _swap_many),
        (declared.touch, _write_and_touch),
    ]
    return [way for is_declared, way in ways if is_declared]


async def _write(store: TracedStore, session_id: str, record: Record) -> None:
    await store.write(session_id, record)


async def _write_many(store: TracedStore, session_id: str, record: Record) -> None:
    await store.write_many([(session_id, record)])


async def _swap(store: TracedStore, session_id: str, record: Record) -> None:
    won = await store.swap(session_id, record, await _version(store, session_id))
    _expect_won(won, "swap", session_id)


async def _swap_many(store: TracedStore, session_id: str, record: Record) -> None:
    (won,) = await store.swap_many([(session_id, record, await _version(store, session_id))])
    _expect_won(won, "swap_many", session_id)


async def _write_and_touch(store: TracedStore, session_id: str, record: Record) -> None:
    other = None if record.expires_at is not None else store.inner.clock.now() + 3_600_000
    await store.write(session_id, replace(record, expires_at=other))
    won = await store.touch(session_id, record.expires_at)
    _expect_won(won, "touch", session_id)


async def _version(store: TracedStore, session_id: str) -> str | Absent:
    live = await store.read(session_id)
    return ABSENT if live is None else live.version


def _expect_won(won: bool, verb: str, session_id: str) -> None:
    if not won:
        raise LawBroken(expected=f"{verb} to answer True", got="False", ids=(session_id,))
