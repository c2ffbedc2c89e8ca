"""How the database goes about what it is asked: through an index, whatever else is in the table."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from palaver.contract.record import ABSENT, Record, new_version
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from palaver.contract.clock import ManualClock

    Query: TypeAlias = Callable[..., Awaitable[list[Any]]]

ROWS = 5_000
EXPIRED = 20
ANALYZE = {"sqlite": "ANALYZE", "postgresql": "ANALYZE palaver_sessions", "mysql": "ANALYZE TABLE palaver_sessions"}


@contextmanager
def plans(url: str) -> Iterator[list[str]]:
    """Collect the plan of each statement on sessions, as the database tells it just before the statement is run."""
    found: list[str] = []
    explain = "EXPLAIN QUERY PLAN" if url.startswith("sqlite") else "EXPLAIN"

    def look(connection: Any, _: Any, statement: str, parameters: Any, *more: Any) -> None:
        if "palaver_sessions" in statement and not statement.startswith("EXPLAIN"):
            rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
            found.append("\n".join(str(tuple(row)) for row in rows))

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", look)


@pytest.fixture(params=[False, True], ids=["new", "analyzed"])
async def store(url: str, query: Query, clock: ManualClock, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A store with many sessions, of which a few have expired; the database knows that, or has no statistics yet."""
    soon, late = clock.now() + 1_000, clock.now() + 1_000_000
    lives = [soon] * EXPIRED + [late, None] * (ROWS // 2)
    async with SQLSessionStore(url, clock=clock) as store, SQLSessionStore(url, clock=clock, namespace="x") as other:
        for each in (store, other):
            await each.write_many([(f"s{n}", Record(b"{}", new_version(), end)) for n, end in enumerate(lives)])
        if request.param:
            await query(ANALYZE[dialect_of(url)])
        clock.advance(2)
        yield store


async def test_purge_goes_along_the_expiries(url: str, store: SQLSessionStore) -> None:
    """A purge costs what has expired, not what is there."""
    with plans(url) as found:
        assert await store.purge() == EXPIRED
    assert len(found) == 2
    for plan in found:
        assert "palaver_sessions_due" in plan, plan
        assert "Hash" not in plan, plan
        assert not looks_at_all(url, plan), plan


async def test_scan_goes_along_the_keys(url: str, store: SQLSessionStore) -> None:
    """A scan takes page after page in the order of the keys, and keeps and sorts nothing."""
    with plans(url) as found:
        assert len([session_id async for session_id in store.scan()]) == ROWS
    assert len(found) > ROWS // 1_000
    for plan in found:
        assert any(name in plan for name in ("_pkey", "'PRIMARY', '1028'", "autoindex_palaver_sessions_1")), plan
        assert not looks_at_all(url, plan), plan


async def test_no_verb_looks_at_all_sessions(url: str, store: SQLSessionStore) -> None:
    """Whatever is done to some sessions goes along an index."""
    one, other = Record(b"1", new_version(), None), Record(b"2", new_version(), None)
    with plans(url) as found:
        await store.read("s100")
        await store.read_many(["s100", "s200", "new"])
        await store.write_many([("s100", one), ("new", one)])
        assert await store.swap("s100", other, one.version)
        assert await store.swap_many([("s100", one, other.version), ("newer", one, ABSENT)]) == [True, True]
        assert await store.touch("s100", None)
        await store.destroy("s100")
    assert len(found) >= 7
    for plan in found:
        assert not looks_at_all(url, plan), plan


async def test_clear_goes_along_an_index(url: str, store: SQLSessionStore) -> None:
    """A clear looks at its own namespace alone, a piece after the other."""
    with plans(url) as found:
        assert await store.clear() == ROWS
    for plan in found:
        assert not looks_at_all(url, plan), plan


def dialect_of(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


def looks_at_all(url: str, plan: str) -> bool:
    """Tell whether a plan reads a whole table or index, or more of it than it hands on."""
    if "'INSERT'" in plan:
        return False  # MySQL says that it reads all for what reads nothing
    words = {
        "sqlite": ("SCAN palaver_sessions", "TEMP B-TREE"),
        "postgresql": ("Seq Scan on palaver_sessions", "Bitmap", "Sort"),
        "mysql": ("'ALL'", "'index'", "filesort", "temporary"),
    }
    return any(word in plan for word in words[dialect_of(url)])
