"""The tables: their version, and rows that people have put in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from palaver.contract.record import ABSENT, Record, new_version
from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Query: TypeAlias = Callable[[str], Awaitable[list[Any]]]


def make(payload: bytes = b"{}", expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


async def test_newer_schema_is_refused(query: Query, url: str) -> None:
    """A table of a later version is left alone, with a word on what to do."""
    async with SQLSessionStore(url):
        pass
    await query("UPDATE palaver_schema SET version = 2")
    with pytest.raises(StoreUnavailableError, match="install a newer palaver-sql"):
        await SQLSessionStore(url).init()
    async with SQLSessionStore(url, table="other"):
        pass


async def test_table_of_somebody_else_is_refused(query: Query, url: str) -> None:
    """A table that Palaver did not make is not used."""
    await query("CREATE TABLE users (name TEXT)")
    with pytest.raises(StoreUnavailableError, match="'users' is not Palaver's"):
        await SQLSessionStore(url, table="users").init()
    assert await query("SELECT name FROM sqlite_master") == [("users",)]


async def test_table_that_was_dropped_is_made_again(query: Query, url: str) -> None:
    """A table that ought to be there and is not is made when the store opens."""
    async with SQLSessionStore(url):
        pass
    await query("DROP TABLE palaver_sessions")
    async with SQLSessionStore(url) as store:
        assert await store.read("a") is None
        await store.write("a", make())
        assert await store.read("a") is not None


async def test_other_tables_are_left_alone(query: Query, url: str) -> None:
    """A database may hold other things as well."""
    await query("CREATE TABLE users (name TEXT)")
    await query("INSERT INTO users VALUES ('Tim')")
    async with SQLSessionStore(url) as store:
        await store.write("a", make())
        await store.clear()
    assert await query("SELECT name FROM users") == [("Tim",)]


# Rows that people have put in.


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("payload", "CAST(x'ff74686520736563726574' AS TEXT)", "payload is not a BLOB"),
        ("payload", "'the secret of a conversation'", "payload is not a BLOB"),
        ("payload", "7", "payload is not a BLOB"),
        ("version", "x'00'", "version is not text"),
        ("version", "CAST(x'ff' AS TEXT)", "version is not text"),
        ("expires_at", "'tomorrow'", "expires_at is not a whole number"),
        ("expires_at", "1.5e300", "expires_at is not a whole number"),
    ],
)
async def test_row_that_cannot_be_understood(query: Query, url: str, column: str, value: str, reason: str) -> None:
    """It is an error for every verb but `destroy` and `write`, and stays as it is until one of them is called."""
    old, rows = make(), "SELECT hex(payload), hex(version), quote(expires_at) FROM palaver_sessions"
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", old), ("b", old)])
        await query(f"UPDATE palaver_sessions SET {column} = {value}")
        damaged = await query(rows)
        calls = (
            store.read("a"),
            store.read_many(["a", "b"]),
            store.swap("a", make(), ABSENT),
            store.swap("a", make(), old.version),
            store.touch("a", None),
            store.remove("a", old.version),
        )
        for call in calls:
            with pytest.raises(CorruptSessionError, match=reason) as caught:
                await call
            assert caught.value.session_id == "a"
            assert "secret" not in str(caught.value)
        assert await query(rows) == damaged
        await store.destroy("a")
        assert await store.read("a") is None
        await store.write("b", make(b"new"))
        assert (await store.read_many(["b"]))[0] is not None


@pytest.mark.parametrize("value", ["x'ff'", "CAST(x'ff' AS TEXT)", "''"])
async def test_id_that_cannot_be_understood(
    query: Query, url: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A scan warns and goes on, and clear removes the row."""
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", make()), ("b", make()), ("~", make())])
        await query(f"UPDATE palaver_sessions SET session_id = {value} WHERE session_id = 'b'")
        assert [session_id async for session_id in store.scan()] == ["a", "~"]
        assert "a session in sqlite" in caplog.text
        await store.clear()
    assert await query("SELECT count(*) FROM palaver_sessions") == [(0,)]


async def test_pages_of_ids_that_cannot_be_understood(query: Query, url: str) -> None:
    """A scan goes on behind a page that has nothing but damaged ids, text or not, and ends."""
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", make()), ("\U0010ffff", make())])
        for value in ("CAST(x'62ff' || value AS TEXT)", "CAST(value AS BLOB)"):
            await query(
                "WITH RECURSIVE numbers (value) AS (SELECT 1000 UNION ALL SELECT value + 1 FROM numbers LIMIT 2500)"
                f" INSERT INTO palaver_sessions SELECT '', {value}, x'7b7d', 'v', NULL, NULL FROM numbers"
            )
        assert [session_id async for session_id in store.scan()] == ["a", "\U0010ffff"]


@pytest.mark.parametrize("value", ["'soon'", "1.5", "x'01'"])
async def test_damaged_row_holds_no_snapshot(query: Query, url: str, value: str) -> None:
    """After a verb has met a damaged row, its connections see what others save, and let the log be emptied."""
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", make()), ("b", make()), ("c", make())])
        await query(f"UPDATE palaver_sessions SET expires_at = {value} WHERE session_id = 'b'")
        errors: list[Any] = []  # kept, as a program may keep them: with each goes what its frames refer to
        for _ in range(8):
            errors += await asyncio.gather(
                store.read_many(["a", "b", "c"]),
                store.swap("b", make(), ABSENT),
                store.touch("b", None),
                store.remove("b", "x"),
                _scan_in_part(store),
                return_exceptions=True,
            )
        assert sum(isinstance(error, CorruptSessionError) for error in errors) == 32
        assert await query("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]


async def _scan_in_part(store: SQLSessionStore) -> None:
    async for _ in store.scan():
        return


@pytest.mark.parametrize("value", ["'soon'", "1.5", "x'01'"])
async def test_purge_leaves_a_damaged_expiry(query: Query, url: str, value: str) -> None:
    """What is no expiry has not expired: a purge leaves the row to whoever looks at it, and a clear removes it."""
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", make(expires_at=1)), ("b", make(expires_at=1))])
        await query(f"UPDATE palaver_sessions SET expires_at = {value} WHERE session_id = 'b'")
        assert await store.purge() == 1
        assert await query("SELECT session_id FROM palaver_sessions") == [("b",)]
        assert await store.clear() == 1
        assert await query("SELECT session_id FROM palaver_sessions") == []
