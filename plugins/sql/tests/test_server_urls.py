"""URLs, options and engines of servers; nothing is connected, unless a test says so."""

from __future__ import annotations

import secrets
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from palaver import open_store
from palaver.contract.record import ABSENT, Record, new_version
from palaver.errors import InvalidOptionError, StoreUnavailableError
from palaver_sql import SQLSessionStore
from palaver_test_servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Query: TypeAlias = Callable[..., Awaitable[list[Any]]]


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
    store = open_store("postgresql://h/db?ttl=60&namespace=shop&table=bots&connect_timeout=1&timeout=2&ssl=require")
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
        ("postgresql://h/db?timeout=nan", "timeout"),
        ("sqlite:///bot.db?connect_timeout=1", "connect_timeout"),
        ("postgresql://h/db?port=abc", "port"),
        ("postgresql://h/db?port=5432,0", "port"),
        ("postgresql://h/db?statement_cache_size=many", "statement_cache_size"),
        ("postgresql://h/db?command_timeout=soon", "command_timeout"),
        ("postgresql://h/db?direct_tls=perhaps", "direct_tls"),
        ("postgresql://h/db?prepared_statement_cache_size=-1", "prepared_statement_cache_size"),
        ("postgresql://h/db?server_settings=x", "server_settings"),
        ("postgresql+psycopg://h/db?port=abc", "port"),
        ("postgresql+psycopg://h/db?prepare_threshold=soon", "prepare_threshold"),
        ("mysql://h/db?port=abc", "port"),
        ("mysql://h/db?port=65536", "port"),
        ("mysql://h/db?local_infile=perhaps", "local_infile"),
        ("postgresql://h:65536/db", "url"),
        ("mysql://h:0/db", "url"),
        ("postgresql://h:abc/db", "url"),
        ("postgresql://db..svc/bots", "url"),
        ("postgresql+psycopg://db..svc/bots", "url"),
        ("mysql://db..svc/bots", "url"),
        ("postgresql:///bots?host=a,db..svc", "url"),
        (f"mysql://{'x' * 64}/bots", "url"),
    ],
)
def test_unknown_options_and_values_are_named(url: str, name: str) -> None:
    """An option that nobody knows, or whose value means nothing, is refused by name before anything is opened."""
    with pytest.raises(InvalidOptionError) as caught:
        open_store(url)
    assert caught.value.option == name


@pytest.mark.parametrize("url", ["postgresql://h/db", "postgresql+psycopg://h/db", "mysql://h/db"])
def test_unknown_option_names_those_that_there_are(url: str) -> None:
    """The error names the options of the store and of the client library, and guesses which one was meant."""
    with pytest.raises(InvalidOptionError, match=r"did you mean 'ttl'\?.* namespace,.* port,.* table, .* ttl"):
        open_store(f"{url}?tlt=1")
    with pytest.raises(InvalidOptionError, match="did you mean 'timeout'"):
        open_store(url, timeot=1)


@pytest.mark.parametrize("url", ["postgresql://h/db", "postgresql+psycopg://h/db", "mysql://h/db"])
@pytest.mark.parametrize("option", ["ttl=1", "timeout=1", "connect_timeout=1"])
def test_options_of_the_store_in_the_url_of_the_class(url: str, option: str) -> None:
    """The class takes its options by keyword; in its URL they are neither ignored nor handed to the client library."""
    with pytest.raises(InvalidOptionError, match="give it by keyword"):
        SQLSessionStore(f"{url}?{option}")


@pytest.mark.parametrize("given", [None, 7, b"postgresql://h/db", object()])
def test_what_is_neither_url_nor_engine(given: Any) -> None:
    """The error says what it is, and what to give instead."""
    with pytest.raises(InvalidOptionError, match=f"of type {type(given).__name__}; give a URL, or the AsyncEngine"):
        SQLSessionStore(given)


def test_engine_that_is_not_asynchronous() -> None:
    """A synchronous engine and a sessionmaker are refused where they are given."""
    engine: Any = create_engine("postgresql+psycopg://h/db")
    sessions: Any = async_sessionmaker(create_async_engine("postgresql+psycopg://h/db"))
    with pytest.raises(InvalidOptionError, match="a synchronous engine; give a URL, or the AsyncEngine"):
        SQLSessionStore(engine)
    with pytest.raises(InvalidOptionError, match="of type async_sessionmaker; give a URL"):
        SQLSessionStore(sessions)


OPTIONS = {
    "asyncpg": "statement_cache_size=0&max_cached_statement_lifetime=0&prepared_statement_cache_size=0",
    "psycopg": "prepare_threshold=0&application_name=bot",
    "asyncmy": "charset=utf8mb4&local_infile=false&read_timeout=5",
}


async def test_options_of_the_client_library_in_the_url(url: str) -> None:
    """They reach the client library as what it wants, be it a number, beside those of the store."""
    name = "psycopg" if "psycopg" in url else "asyncmy" if url.startswith("mysql") else "asyncpg"
    parsed = make_url(url)
    for place in ("", f"&port={parsed.port}"):
        given = parsed.set(port=None) if place else parsed
        text = given.render_as_string(hide_password=False)
        options = f"{OPTIONS[name]}&timeout=10&connect_timeout=10{place}"
        async with open_store(f"{text}{'&' if '?' in text else '?'}{options}") as store:
            assert await store.swap("a", Record(b"{}", new_version(), None), ABSENT) or place


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


@pytest.fixture
async def schema(url: str, query: Query) -> AsyncIterator[str]:
    """A schema with nothing in it, whose name has to be quoted."""
    name = f"Tenant-{secrets.token_hex(4)}"
    quoted = f"`{name}`" if url.startswith("mysql") else f'"{name}"'
    await query(f"CREATE SCHEMA {quoted}")
    yield name
    await query(f"DROP SCHEMA {quoted}{'' if url.startswith('mysql') else ' CASCADE'}")


async def use_every_verb(store: SQLSessionStore) -> None:
    """Leave the session "kept" behind."""
    old, new = Record(b"{}", new_version(), None), Record(b"{}", new_version(), 1)
    await store.write_many([("a", old), ("kept", old), ("gone", new)])
    assert await store.read_many(["a", "gone"]) == [old, None]
    assert await store.swap_many([("a", new, old.version), ("b", old, ABSENT)]) == [True, True]
    assert await store.swap("b", new, old.version)
    assert await store.touch("kept", None)
    assert await store.remove("kept", "x") is False
    assert [session_id async for session_id in store.scan()] == ["kept"]
    assert await store.purge() == 3
    await store.destroy("a")


async def test_tables_in_a_schema(url: str, schema: str, query: Query) -> None:
    """The option `schema` puts both tables there, and nothing anywhere else; every verb works there."""
    separator = "&" if "?" in url else "?"
    for _ in range(2):
        async with open_store(f"{url}{separator}schema={schema}") as store:
            assert isinstance(store, SQLSessionStore)
            assert repr(store).endswith(f" table '{schema}.palaver_sessions'>")
            await use_every_verb(store)
    assert await tables(url, query, schema) == [(schema, "palaver_schema"), (schema, "palaver_sessions")]
    async with SQLSessionStore(url) as store:
        assert await store.read("kept") is None


async def test_schema_translate_map_of_an_engine(url: str, schema: str, query: Query) -> None:
    """An engine that translates schemas has the tables where it says, be the schema named or not, and only once."""
    parsed = make_url(url)
    engine = create_async_engine(parsed.set(drivername={"mysql": "mysql+asyncmy"}.get(url[:5], "postgresql+asyncpg")))
    try:
        unnamed = engine.execution_options(schema_translate_map={None: schema, schema: "nowhere"})
        async with SQLSessionStore(unnamed) as store:
            await use_every_verb(store)
        named = engine.execution_options(schema_translate_map={"per_tenant": schema})
        async with SQLSessionStore(named, schema="per_tenant") as store:
            assert await store.read("kept") is not None
            await use_every_verb(store)
    finally:
        await engine.dispose()
    assert await tables(url, query, schema) == [(schema, "palaver_schema"), (schema, "palaver_sessions")]


async def tables(url: str, query: Query, schema: str) -> list[Any]:
    """Return where Palaver's tables are, of that schema and of the one that the connection has."""
    current = "database()" if url.startswith("mysql") else "current_schema()"
    return await query(
        "SELECT table_schema, table_name FROM information_schema.tables"
        f" WHERE table_schema IN ('{schema}', {current}) AND table_name IN ('palaver_schema', 'palaver_sessions')"
        " ORDER BY 2"
    )


async def test_schema_that_is_not_there(url: str) -> None:
    """The error says so when the store is opened, and nothing is made."""
    with pytest.raises(StoreUnavailableError, match=r"no such (database \(or schema\)|schema)"):
        await SQLSessionStore(url, schema="palaver_nowhere").init()


@pytest.mark.parametrize(
    ("url", "schema"),
    [
        ("sqlite:///bot.db", "main"),
        ("postgresql://h/db", ""),
        ("postgresql://h/db", 'a"b'),
        ("mysql://h/db", "a`b"),
        ("mysql://h/db", "x" * 64),
        ("mysql://h/db", 7),
    ],
)
def test_schema_that_cannot_be(url: str, schema: Any) -> None:
    """SQLite has no schemas, and a name that would need more than quotes is refused."""
    with pytest.raises(InvalidOptionError) as caught:
        SQLSessionStore(url, schema=schema)
    assert caught.value.option == "schema"


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


@pytest.fixture
def hosted(url: str) -> str:
    """The URL of PostgreSQL, as hosting pages give it."""
    if not url.startswith("postgresql"):
        pytest.skip("a URL of PostgreSQL")
    return url.replace("postgresql", "postgres", 1) + ("&" if "?" in url else "?")


async def test_a_url_from_a_hosting_page(hosted: str, query: Query) -> None:
    """`postgres://` is `postgresql://`, and what libpq calls `application_name` and `options` means the same."""
    await query("CREATE SCHEMA other")
    options = "application_name=my%20bot&options=-csearch_path%3Dother&table=hosted"
    try:
        async with open_store(f"{hosted}{options}") as store:
            await store.write("a", Record(b"{}", new_version(), None))
            names = await query("SELECT application_name FROM pg_stat_activity WHERE application_name <> ''")
            places = await query("SELECT schemaname FROM pg_tables WHERE tablename = 'hosted'")
    finally:
        await query("DROP SCHEMA other CASCADE")

    assert "my bot" in [name for (name,) in names]
    assert [place for (place,) in places] == ["other"]


def test_several_hosts_in_the_place_of_one() -> None:
    """The error says how they are written."""
    with pytest.raises(InvalidOptionError, match=r"several hosts are written .*host=one,two&port=5432,5432"):
        open_store("postgresql://bot:secret@one:5432,two:5432/bots")


async def test_several_hosts(hosted: str) -> None:
    """The first that answers is used."""
    url = make_url(hosted.rstrip("?&"))
    one, two = f"{url.host}:{url.port}", f"host={url.host},{url.host}&port={free_port()},{url.port}"
    async with open_store(f"{hosted.replace(one, '')}{two}") as store:
        assert await store.read("a") is None
