"""What every purge must keep to, whoever else collects: what was expired is gone, and no more is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore

__all__ = ("purge_at_most", "purge_for_good")


async def purge_at_most(ground: Ground, store: TracedStore, most: int, what: str = "purge") -> int:
    """Purge where so many have expired; the medium may have collected some of them by itself.

    Args:
        ground: where the law is tried.
        store: what to purge.
        most: how many records have expired.
        what: which purge it is, for the message.

    Returns:
        How many the store says it removed.
    """
    count = await store.purge()
    expected = f"{what} to answer {most}" if most == 0 else f"{what} to answer at most {most}"
    ground.check(count <= most, expected=expected, got=count)
    return count


async def purge_for_good(
    ground: Ground, store: TracedStore, expired: Collection[str], *, alive_at: int, what: str = "purge"
) -> int:
    """Purge, and see with the clock turned back that what had expired does not come back.

    Args:
        ground: where the law is tried.
        store: what to purge.
        expired: the ids whose records have expired.
        alive_at: an instant at which all of them were alive, in epoch milliseconds.
        what: which purge it is, for the message.

    Returns:
        How many the store says it removed.
    """
    count = await purge_at_most(ground, store, len(expired), what)
    now = ground.clock.now()
    ground.advance_to(alive_at)
    for session_id in expired:
        await store.expect(session_id, None)
    ground.advance_to(now)
    return count
