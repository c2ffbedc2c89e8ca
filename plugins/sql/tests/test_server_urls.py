"""URLs, options and engines of servers; nothing is connected, unless a test says so."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from palaver import open_store
from palaver.errors import InvalidOptionError, StoreUnavailableError
from palaver.record import ABSENT, Record, new_version
from palaver_sql import SQLSessionStore


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:tiger@host/db", "postgresql://host/db"),
        ("postgresql+asyncpg://u:tiger@host:5433/db?ssl=require", "postgresql://host:5433/db"),
        ("postgresql+psycopg://u:tiger@[::1]/db", "postgresql://[::1]/db"),
        ("postgresql://u:tiger@host/db?sslmode=verify-full&sslrootcert=ca.pem", "postgresql://host/db"),
        ("postgresql+psycopg://u@host/db?password=tiger", "postgresql://host/db"),
        ("mysql://u:tiger@host/db", "mysql://host/db"),
        ("mysql+asyncmy://u:tiger@host/db?ssl_ca=ca.pem", "mysql://host/db"),
        ("mariadb://u:tiger@host:3307/db", "mariadb://host:3307/db"),
    ],
)
def test_url_opens_the_store(url: str, shown: str) -> None:
    """Every scheme is discovered, and the store shows where it is without the password."""
    store = open_store(url)
    assert isinstance(store, SQLSessionStore)
    assert repr(store) == f"<SQLSessionStore {shown} table 'palaver_sessions'>"


def test_options_of_palaver_are_taken_out_of_the_url() -> None:
    """What is Palaver's is the store's, and all else the client library's."""
    store = open_store(
        "postgresql://h/db?ttl=60&namespace=shop&table=bots&connect_timeout=1&statement_timeout=2&ssl=require"
    )
    assert store.ttl == timedelta(seconds=60)
    assert store.namespace == "shop"
    assert repr(store) == "<SQLSessionStore postgresql://h/db table 'bots'>"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://h/db?foo=1", "foo"),
        ("postgresql://h/db?dsn=x", "dsn"),
        ("postgresql+psycopg://h/db?foo=1", "foo"),
        ("mysql://h/db?foo=1", "foo"),
        ("mysql://h/db?autocommit=1", "autocommit"),
        ("postgresql+psycopg2://h/db", "url"),
        ("mysql+pymysql://h/db", "url"),
        ("mysql://h/db?connect_timeout=soon", "connect_timeout"),
        ("mysql://h/db?connect_timeout=0", "connect_timeout"),
        ("postgresql://h/db?statement_timeout=nan", "statement_timeout"),
        ("sqlite:///bot.db?statement_timeout=1", "statement_timeout"),
    ],
)
def test_unknown_options_and_values_are_named(url: str, name: str) -> None:
    """An option that nobody knows, or whose value means nothing, is refused by name before anything is opened."""
    with pytest.raises(InvalidOptionError) as caught:
        open_store(url)
    assert caught.value.option == name


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("postgresql://h/db", "asyncpg", "postgresql"),
        ("postgresql+psycopg://h/db", "psycopg", "psycopg"),
        ("mysql://h/db", "asyncmy", "mysql"),
        ("mariadb://h/db", "greenlet", "mysql"),
    ],
)
def test_missing_client_library(url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidOptionError, match=rf"pip install 'palaver-sql\[{extra}\]'"):
        open_store(url)


async def test_engine_is_used_and_left_open(url: str) -> None:
    """A store works with an engine that is handed to it, leaves its settings alone, and does not close it."""
    drivers = {"mysql": "mysql+asyncmy", "postgresql": "postgresql+asyncpg"}
    parsed = make_url(url)
    engine = create_async_engine(parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername)))
    old, new = Record(b"{}", new_version(), None), Record(b"\xff\0'", new_version(), None)
    try:
        async with SQLSessionStore(engine) as store:
            assert await store.swap("a", old, ABSENT)
            assert await store.swap_many([("a", new, old.version), ("b", new, ABSENT)]) == [True, True]
            assert await store.touch("a", None) is True
        async with engine.connect() as connection:
            counted = await connection.exec_driver_sql("SELECT count(*) FROM palaver_sessions")
            assert counted.scalar() == 2
            await connection.exec_driver_sql("DELETE FROM palaver_sessions")
            await connection.rollback()
        async with SQLSessionStore(engine) as store:
            assert await store.read_many(["a", "b"]) == [new, new]
            assert "p%40ss" not in repr(store)
    finally:
        await engine.dispose()


async def test_touch_with_the_same_expiry(url: str) -> None:
    """A touch that changes nothing finds the session all the same, where servers count only what they changed."""
    async with SQLSessionStore(url) as store:
        await store.write("a", Record(b"{}", new_version(), None))
        assert await store.touch("a", None) is True
        assert await store.touch("a", None) is True


async def test_certificate_that_cannot_be_read(url: str) -> None:
    """A file that is not there is an error of the medium, not one of Python."""
    option: dict[str, Any] = {"ssl_ca": "/nowhere/ca.pem"}
    if url.startswith("postgresql"):
        option = {"sslmode": "verify-full", "sslrootcert": "/nowhere/ca.pem"}
    with pytest.raises(StoreUnavailableError):
        await SQLSessionStore(make_url(url).update_query_dict(option)).init()
