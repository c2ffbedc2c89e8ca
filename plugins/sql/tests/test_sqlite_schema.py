"""The tables: their version, and rows that people have put in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver.record import ABSENT, Record, new_version
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


async def test_table_that_was_dropped_is_missed_at_once(query: Query, url: str) -> None:
    """A table that ought to be there and is not fails init, not the first read."""
    async with SQLSessionStore(url):
        pass
    await query("DROP TABLE palaver_sessions")
    with pytest.raises(StoreUnavailableError, match="no such table"):
        await SQLSessionStore(url).init()


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
    """It is an error for reading and swapping, never "no session", and can be overwritten and destroyed."""
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", make()), ("b", make())])
        await query(f"UPDATE palaver_sessions SET {column} = {value}")
        for call in (store.read("a"), store.read_many(["b", "a"]), store.swap("a", make(), ABSENT)):
            with pytest.raises(CorruptSessionError, match=reason) as caught:
                await call
            assert "secret" not in str(caught.value)
        await store.destroy("a")
        assert await store.read("a") is None
        await store.write("b", make(b"new"))
        assert (await store.read_many(["b"]))[0] is not None


@pytest.mark.parametrize("value", ["x'ff'", "CAST(x'ff' AS TEXT)", "''"])
async def test_id_that_cannot_be_understood(query: Query, url: str, value: str) -> None:
    """A scan says so, and clear removes the row."""
    async with SQLSessionStore(url) as store:
        await store.write("a", make())
        await query(f"UPDATE palaver_sessions SET session_id = {value}")
        with pytest.raises(CorruptSessionError):
            [session_id async for session_id in store.scan()]
        await store.clear()
    assert await query("SELECT count(*) FROM palaver_sessions") == [(0,)]
