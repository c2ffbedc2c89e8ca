"""Tables of the first version, and tables that were left half made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from palaver.contract.record import ABSENT, Record, new_version
from palaver.errors import StoreUnavailableError
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Query: TypeAlias = Callable[..., Awaitable[list[Any]]]

DATA = Path(__file__).with_name("data")
DUMPS = {name: (DATA / f"v1-{name}.sql").read_text(encoding="utf-8") for name in ("sqlite", "postgresql", "mysql")}

STATE = '{"id":"telegram:1","created":1,"last_activity":2,"state":{"nickname":"Tím"}}'.encode()


async def test_first_version_is_opened(url: str, query: Query) -> None:
    """A dump that the first version left is read, swapped and purged by today's code."""
    dump = DUMPS[url.partition(":")[0].partition("+")[0]]
    for statement in dump.split(";\n"):
        if statement.strip():
            await query(statement)
    old = Record(STATE, "0123456789abcdef0123456789abcdef", None)
    damaged = Record(b"\x00\xff", "fedcba9876543210fedcba9876543210", 4102444800000)
    async with SQLSessionStore(url) as store, SQLSessionStore(url, namespace="shop") as shop:
        assert await store.read_many(["telegram:1", "TELEGRAM:1 "]) == [old, damaged]
        assert [session_id async for session_id in shop.scan()] == ["é"]
        assert await store.swap("telegram:1", Record(b"{}", new_version(), None), old.version)
        assert await store.purge() == 0
        assert await store.clear() == 2
        assert await shop.clear() == 1


async def test_tables_that_were_left_half_made(url: str, query: Query) -> None:
    """Where making the tables was interrupted, the next to come goes on."""
    async with SQLSessionStore(url):
        pass
    await query("UPDATE palaver_schema SET version = 0")
    async with SQLSessionStore(url) as store:
        assert await store.swap("a", Record(b"{}", new_version(), None), ABSENT)
    assert await query("SELECT version FROM palaver_schema") == [(1,)]
    await query("UPDATE palaver_schema SET version = 0")
    await query("DROP TABLE palaver_sessions")
    async with SQLSessionStore(url) as store:
        assert await store.swap("a", Record(b"{}", new_version(), None), ABSENT)


async def test_newer_schema_is_refused(url: str, query: Query) -> None:
    """A table of a later version is left alone, with a word on what to do."""
    async with SQLSessionStore(url):
        pass
    await query("UPDATE palaver_schema SET version = 2")
    with pytest.raises(StoreUnavailableError, match="install a newer palaver-sql"):
        await SQLSessionStore(url).init()


async def test_table_of_somebody_else_is_refused(url: str, query: Query) -> None:
    """A table that Palaver did not make is not used."""
    await query("CREATE TABLE users (name INTEGER)")
    with pytest.raises(StoreUnavailableError, match="'users' is not Palaver's"):
        await SQLSessionStore(url, table="users").init()
    assert await query("SELECT * FROM users") == []
