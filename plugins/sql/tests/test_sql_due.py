"""When a purge looks at which row: what expires may move with each save, and the index stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from palaver.contract.record import ABSENT, Record, new_version
from palaver.toolkit.due import due_at
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver.contract.clock import ManualClock

    Query: TypeAlias = Callable[..., Awaitable[list[Any]]]

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
YEAR = 365 * DAY


def make(expires_at: int | None) -> Record:
    return Record(b"{}", new_version(), expires_at)


async def save(store: SQLSessionStore, verb: str, record: Record, expected: str) -> None:
    """Save session `a` by a verb, and another one with it where the verb takes several."""
    if verb == "write":
        await store.write("a", record)
    elif verb == "write_many":
        await store.write_many([("a", record), ("b", record)])
    elif verb == "swap":
        assert await store.swap("a", record, expected)
    elif verb == "swap_many":
        assert (await store.swap_many([("a", record, expected), ("b", record, ABSENT)]))[0]
    else:
        assert await store.touch("a", record.expires_at)


@pytest.mark.parametrize("verb", ["write", "write_many", "swap", "swap_many", "touch"])
async def test_every_verb_keeps_what_is_due_up_to_date(url: str, query: Query, clock: ManualClock, verb: str) -> None:
    """Later, sooner, never, and again: the row says what the expiry says."""
    old = make(clock.now() + YEAR)
    async with SQLSessionStore(url, clock=clock) as store:
        await store.swap("a", old, ABSENT)
        for expires_at in (old.expires_at, clock.now() + 2 * YEAR, clock.now() + MINUTE, None, clock.now() + DAY):
            new = make(expires_at)
            await save(store, verb, new, old.version)
            old = old if verb == "touch" else new
            [row] = await query("SELECT expires_at, due_at FROM palaver_sessions WHERE session_id = 'a'")
            assert row == (expires_at, due_at(expires_at, clock.now()))


@pytest.mark.parametrize("is_one_refused", [False, True])
async def test_a_batch_in_which_some_rows_become_due_at_another_time(
    url: str, clock: ManualClock, *, is_one_refused: bool
) -> None:
    """Each is replaced once, and who is refused changes nothing."""
    olds = {session_id: make(clock.now() + YEAR) for session_id in "abcd"}
    news = {
        session_id: make(clock.now() + years * YEAR) for session_id, years in zip("abcd", (1, 2, 1, 3), strict=True)
    }
    expected = {session_id: old.version for session_id, old in olds.items()}
    if is_one_refused:
        expected["c"] = new_version()
    async with SQLSessionStore(url, clock=clock) as store:
        await store.write_many(list(olds.items()))
        answers = await store.swap_many([(key, news[key], expected[key]) for key in "abcd"])

        assert answers == [True, True, not is_one_refused, True]
        wanted = [olds[key] if key == "c" and is_one_refused else news[key] for key in "abcd"]
        assert await store.read_many("abcd") == wanted


async def test_what_is_due_and_has_not_expired_stays(url: str, query: Query, clock: ManualClock) -> None:
    """A purge looks at it, and leaves it."""
    async with SQLSessionStore(url, clock=clock) as store:
        await store.write_many([(f"s{n}", make(clock.now() + DAY + n)) for n in range(100)])
        clock.advance((DAY - 1) / 1000)
        assert await query(f"SELECT COUNT(*) FROM palaver_sessions WHERE due_at <= {clock.now()}") == [(100,)]
        assert await store.purge() == 0
        clock.advance(0.05)
        assert await store.purge() == 50
        assert len([session_id async for session_id in store.scan()]) == 50
