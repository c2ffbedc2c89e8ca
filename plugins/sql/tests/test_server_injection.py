"""Ids that look like SQL: in every mode of a server, each verb means the one session and spares all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from palaver.contract.clock import ManualClock
from palaver.contract.record import ABSENT, Record, new_version
from palaver.errors import InvalidOptionError, StoreUnavailableError
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Query: TypeAlias = Callable[..., Awaitable[list[Any]]]

CORPUS = [
    "nobody' OR 1=1 -- ",
    "nobody\\' OR 1=1 -- ",
    "\\",
    "\\\\",
    "back\\slash",
    "'",
    "''",
    "\\'",
    "'; DELETE FROM palaver_sessions; -- ",
    '" OR ""="',
    "` OR 1=1 #",
    "%",
    "_",
    "%s %(key)s :key $1 ?",
    "/*! OR 1=1 */",
    "佛' OR 1=1 -- ",
    "\u00bf\\' OR 1=1 -- ",
    " trailing ",
]
BYSTANDERS = ["bystander", "nobody", "a"]

# Payloads that escapes could change.
PAYLOAD = bytes(range(256)) + b"\\'\\\\''\"\\0\\Z"

MYSQL_MODES = [
    "",
    "NO_BACKSLASH_ESCAPES",
    "ANSI_QUOTES",
    "ANSI",
    "PAD_CHAR_TO_FULL_LENGTH",
    "PIPES_AS_CONCAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION",
    "ORACLE,EMPTY_STRING_IS_NULL,SIMULTANEOUS_ASSIGNMENT,NO_BACKSLASH_ESCAPES",
]


def make(expires_at: int | None = None) -> Record:
    return Record(PAYLOAD, new_version(), expires_at)


async def use_every_verb(store: SQLSessionStore) -> None:
    """Do with each id of the corpus all that can be done, and see that the others stay."""
    bystanders = [make() for _ in BYSTANDERS]
    await store.write_many(list(zip(BYSTANDERS, bystanders, strict=True)))

    async def check() -> None:
        assert await store.read_many(BYSTANDERS) == bystanders

    for session_id in CORPUS:
        await store.destroy(session_id)
        assert await store.remove(session_id, session_id) is False
        assert await store.touch(session_id, None) is False
        assert await store.swap(session_id, make(), session_id) is False
        assert await store.read(session_id) is None
        old, new = make(), make()
        await store.write(session_id, old)
        assert await store.read(session_id) == old
        assert await store.swap(session_id, new, old.version)
        assert await store.touch(session_id, None)
        assert await store.read(session_id) == new
        assert await store.remove(session_id, "' OR 1=1 -- ") is False
        assert await store.remove(session_id, "\\' OR 1=1 -- ") is False
        assert await store.remove(session_id, new.version)
        assert [found async for found in store.scan(session_id)] == []
        await check()
    old, new = make(), make()
    assert await store.swap_many([(session_id, old, ABSENT) for session_id in CORPUS]) == [True] * len(CORPUS)
    assert await store.read_many(CORPUS) == [old] * len(CORPUS)
    swaps = [(session_id, new, old.version) for session_id in CORPUS]
    assert await store.swap_many(swaps) == [True] * len(CORPUS)
    await store.write_many([(session_id, old) for session_id in CORPUS])
    assert await store.read_many(CORPUS) == [old] * len(CORPUS)
    for prefix in CORPUS:
        expected = sorted(session_id for session_id in CORPUS if session_id.startswith(prefix))
        assert sorted([found async for found in store.scan(prefix)]) == expected
    assert sorted([found async for found in store.scan()]) == sorted(CORPUS + BYSTANDERS)
    await check()
    for session_id in CORPUS:
        await store.destroy(session_id)
    assert sorted([found async for found in store.scan()]) == sorted(BYSTANDERS)
    await check()


async def use_in_namespaces(url: str) -> None:
    clock = ManualClock()
    async with SQLSessionStore(url, clock=clock, namespace="it\\'s' OR 1=1 -- ") as other:
        kept = make()
        await other.write("kept", kept)
        async with SQLSessionStore(url, clock=clock) as store:
            await use_every_verb(store)
            await store.write("old", make(clock.now()))
            assert await store.purge() == 1
            assert await store.clear() == len(BYSTANDERS)
        assert await other.read("kept") == kept
        await other.destroy("kept")
        await use_every_verb(other)


async def test_every_mode_of_the_server(url: str, own_server: Any) -> None:
    """Own connections work the same whatever the administrator sets for all connections."""
    statements: list[tuple[str, ...]]
    if url.startswith("mysql"):
        statements = [(f"SET GLOBAL sql_mode = '{mode}'",) for mode in MYSQL_MODES]
    else:
        name = make_url(own_server.url).database
        alter = f"ALTER DATABASE {name} SET "
        statements = [
            (f"{alter}standard_conforming_strings = {value}", f"{alter}backslash_quote = on") for value in ("on", "off")
        ]
    driver = make_url(url).drivername
    for setting in statements:
        await tell(own_server.url, *setting)
        await use_in_namespaces(make_url(own_server.url).set(drivername=driver).render_as_string(False))
        await tell(own_server.url, "DELETE FROM palaver_sessions")


async def tell(url: str, *statements: str) -> None:
    from plugins.sql.tests.conftest import ask

    await ask(url, *statements)


def engine_with(url: str, *statements: str) -> AsyncEngine:
    """Return an engine of somebody else's, whose connections begin with those statements."""
    parsed = make_url(url)
    names = {"mysql": "mysql+asyncmy", "postgresql": "postgresql+asyncpg"}
    engine = create_async_engine(parsed.set(drivername=names.get(parsed.drivername, parsed.drivername)), pool_size=1)

    @event.listens_for(engine.sync_engine, "connect")
    def begin(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    return engine


@pytest.mark.parametrize("mode", MYSQL_MODES)
async def test_given_engine_in_every_mode(url: str, mode: str) -> None:
    """A given engine works in a mode, or is refused with what to set."""
    if not url.startswith("mysql"):
        pytest.skip("PostgreSQL has no sql_mode")
    engine = engine_with(url, f"SET SESSION sql_mode = '{mode}'")
    store = SQLSessionStore(engine)
    try:
        if "NO_BACKSLASH" in mode or "IS_NULL" in mode:
            with pytest.raises(StoreUnavailableError, match=r"sql_mode has \w+, .*init_command"):
                await store.init()
            return
        async with store:
            await use_every_verb(store)
    finally:
        await store.close()
        await engine.dispose()


async def test_given_engine_without_backslashes_in_strings(url: str) -> None:
    """A given engine on PostgreSQL works with strings that have escapes, or is refused with what to set."""
    if url.startswith("mysql"):
        pytest.skip("a setting of PostgreSQL")
    engine = engine_with(url, "SET standard_conforming_strings = off")
    try:
        if "psycopg" in url:
            with pytest.raises(StoreUnavailableError, match=r"standard_conforming_strings is off.* set it to on"):
                await SQLSessionStore(engine).init()
            return
        async with SQLSessionStore(engine) as store:
            await use_every_verb(store)
    finally:
        await engine.dispose()


async def test_mode_changed_on_a_connection_in_use(url: str) -> None:
    """A connection of a given engine whose mode somebody changes later is refused, and nothing is lost."""
    if not url.startswith("mysql"):
        pytest.skip("PostgreSQL has no sql_mode")
    engine = engine_with(url)
    try:
        async with SQLSessionStore(engine) as store:
            await store.write("a", make())
            async with engine.connect() as connection:
                await connection.exec_driver_sql("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'")
            with pytest.raises(StoreUnavailableError, match="NO_BACKSLASH_ESCAPES"):
                await store.destroy("nobody' OR 1=1 -- ")
            async with engine.connect() as connection:
                await connection.exec_driver_sql("SET SESSION sql_mode = DEFAULT")
            assert await store.read("a") is not None
    finally:
        await engine.dispose()


async def test_given_engine_with_a_charset_of_two_bytes(url: str) -> None:
    """A given engine is refused where a backslash may be part of a character."""
    if not url.startswith("mysql"):
        pytest.skip("PostgreSQL takes values beside the statements")
    engine = engine_with(url, "SET NAMES gbk")
    try:
        with pytest.raises(StoreUnavailableError, match="character set gbk; create the engine with charset=utf8mb4"):
            await SQLSessionStore(engine).init()
    finally:
        await engine.dispose()


@pytest.mark.parametrize("option", ["charset=gbk", "sql_mode=ANSI"])
def test_options_that_would_change_values(option: str) -> None:
    """A URL cannot ask for what makes values unsafe."""
    with pytest.raises(InvalidOptionError):
        SQLSessionStore(f"mysql://h/db?{option}")


SETTINGS = {
    "mysql": (
        "SELECT @@sql_mode, @@autocommit, @@transaction_isolation, @@innodb_lock_wait_timeout, @@character_set_client"
    ),
    "postgresql": (
        "SELECT array(SELECT name || '=' || setting FROM pg_settings WHERE source = 'session'"
        " AND name NOT IN ('jit', 'transaction_isolation') ORDER BY 1)::text,"
        " current_setting('statement_timeout'), current_setting('enable_seqscan'),"
        " current_setting('transaction_isolation'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    ),
}


async def test_nothing_outlives_a_verb_on_a_given_engine(url: str) -> None:
    """The one connection of a given engine has the same settings afterwards, whoever uses it next."""
    engine = engine_with(url)
    question = SETTINGS[url.partition(":")[0].partition("+")[0]]
    if await is_mariadb_before_11(engine):
        question = question.replace("@@transaction_isolation", "@@tx_isolation")
    try:
        async with engine.connect() as connection:
            before = (await connection.exec_driver_sql(question)).all()
        async with SQLSessionStore(engine) as store:
            await use_every_verb(store)
            await store.clear()
        async with engine.connect() as connection:
            assert (await connection.exec_driver_sql(question)).all() == before
    finally:
        await engine.dispose()


async def is_mariadb_before_11(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        version = (await connection.exec_driver_sql("SELECT version()")).scalar_one()
    return "MariaDB" in version and int(version.partition(".")[0]) < 11
