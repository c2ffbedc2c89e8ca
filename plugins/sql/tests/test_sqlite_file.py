"""What a database in a file promises, and how it is opened and closed."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import threading
import weakref
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from sqlalchemy import URL, event
from sqlalchemy.pool import Pool

from palaver.contract.record import ABSENT, Record, new_version
from palaver.engine.sessions import Sessions
from palaver.errors import InvalidStateError, StoreUnavailableError
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    Query: TypeAlias = Callable[[str], Awaitable[list[Any]]]


def make(payload: bytes = b"{}", expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


@contextmanager
def traced() -> Iterator[list[str]]:
    """Collect every statement that SQLite runs on the connections that are opened inside."""
    statements: list[str] = []

    def trace(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(statements.append)

    event.listen(Pool, "connect", trace)
    try:
        yield statements
    finally:
        event.remove(Pool, "connect", trace)


@asynccontextmanager
async def locked(file: Path) -> AsyncIterator[None]:
    """Somebody else holds the write lock inside."""
    other = await asyncio.to_thread(sqlite3.connect, file, isolation_level=None, check_same_thread=False)
    await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
    yield
    await asyncio.to_thread(other.close)


# What the file promises.


async def test_connections_are_durable_and_readers_do_not_wait(url: str) -> None:
    """Every connection has the write-ahead log, and brings each save to the disk."""
    async with SQLSessionStore(url) as store:
        database = await store._lifecycle.enter()

        def pragmas(connection: Any) -> list[Any]:
            names = ("journal_mode", "synchronous", "fullfsync", "busy_timeout")
            return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

        assert await database.read(pragmas) == ["wal", 2, 1, 20_000]
        assert await database.write(pragmas) == ["wal", 2, 1, 20_000]


async def test_timeout_of_the_url_is_the_patience_with_others(url: str) -> None:
    """The option `timeout` is how many seconds a store waits for a locked database."""
    for store in (SQLSessionStore(f"{url}?timeout=1.5"), SQLSessionStore(url, timeout=1.5)):
        async with store:
            database = await store._lifecycle.enter()
            patience = database.read(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout").scalar())
            assert await patience == 1500


async def test_writes_begin_with_the_lock_in_hand(url: str) -> None:
    """A transaction that reads and then writes is IMMEDIATE; SQLite itself says so."""
    async with SQLSessionStore(url):
        pass
    with traced() as statements:
        async with SQLSessionStore(url) as store:
            statements.clear()
            await store.swap("a", make(), ABSENT)
            await store.read("a")
    assert [statement.split()[0] for statement in statements] == ["BEGIN", "SELECT", "INSERT", "COMMIT", "SELECT"]
    assert statements[0].strip() == "BEGIN IMMEDIATE"


async def test_readers_do_not_wait_for_a_writer(file: Path, url: str) -> None:
    """While somebody else holds the write lock, reading goes on."""
    record = make()
    async with SQLSessionStore(url) as store:
        await store.write("a", record)
        async with locked(file):
            assert await store.read("a") == record
            assert [session_id async for session_id in store.scan()] == ["a"]


async def test_people_can_read_sessions_in_the_table(query: Query, url: str) -> None:
    """Ids, states and expiries can be read with plain SQL."""
    async with (
        Sessions(SQLSessionStore(url, namespace="shop", ttl=None)) as sessions,
        sessions.turn("telegram:42") as it,
    ):
        it.state["nickname"] = "Tim"
    rows = await query(
        "SELECT namespace, session_id, json_extract(CAST(payload AS TEXT), '$.state.nickname'), expires_at"
        " FROM palaver_sessions",
    )
    assert rows == [("shop", "telegram:42", "Tim", None)]


# Opening and closing.


async def test_init_is_idempotent_and_keeps_what_is_there(url: str) -> None:
    """Opening again and again, from several stores, removes nothing."""
    record = make()
    async with SQLSessionStore(url) as store, SQLSessionStore(url) as other:
        await store.init()
        await store.write("a", record)
        await other.init()
        async with SQLSessionStore(url) as third:
            assert await third.read("a") == record


async def test_init_waits_for_somebody_who_is_writing(file: Path, query: Query, url: str) -> None:
    """A database that is not in WAL mode yet is switched once the one who is writing has finished."""
    await query("CREATE TABLE users (name TEXT)")
    store = SQLSessionStore(url)
    async with locked(file):
        opening = asyncio.ensure_future(store.init())
        await asyncio.wait([opening], timeout=0.1)
        assert not opening.done()
    async with await opening:
        assert await query("PRAGMA journal_mode") == [("wal",)]


async def test_close_leaves_no_thread_behind(url: str) -> None:
    """After close, none of the store's threads is running, and no file is open."""
    before = set(threading.enumerate())
    async with SQLSessionStore(url) as store:
        await store.write("a", make())
        await store.read("a")
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not [name for name in left if name.startswith("palaver")]


async def test_failed_init_leaves_no_thread_behind(file: Path, url: str) -> None:
    """A store that could not be opened holds nothing, and may be opened later."""
    await asyncio.to_thread(file.write_bytes, b"this is no database, and long enough to be looked at" * 100)
    store = SQLSessionStore(url)
    with pytest.raises(StoreUnavailableError):
        await store.init()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("palaver")]
    await asyncio.to_thread(file.unlink)
    async with store:
        await store.write("a", make())


async def test_store_that_is_never_closed_warns(url: str) -> None:
    """Forgetting to close is a ResourceWarning."""
    store = SQLSessionStore(url)
    await store.init()
    database = await store._lifecycle.enter()
    forgotten = [store]
    del store
    with pytest.warns(ResourceWarning, match="was never closed"):
        await _collect(forgotten)
    await database.close()


async def _collect(forgotten: list[SQLSessionStore]) -> None:
    reference = weakref.ref(forgotten.pop())
    # A thread that has just done its work lets go of it a moment later.
    while reference() is not None:
        gc.collect()
        await asyncio.sleep(0)


def test_program_that_never_closes_its_store_ends(url: str) -> None:
    """The threads of an open store do not keep a program alive."""
    script = (
        "import asyncio, sys\nfrom palaver_sql import SQLSessionStore\n"
        "store = SQLSessionStore(sys.argv[1])\nasyncio.run(store.init())"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, url], check=True, timeout=30)


async def test_relative_file_stays_where_it_is(tmp_path: Path, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the folder in which the store was first opened, also when the program moves on."""
    await asyncio.to_thread(monkeypatch.chdir, tmp_path)
    async with SQLSessionStore("sqlite:///bot.db") as store:
        await asyncio.to_thread(monkeypatch.chdir, tmp_path.parent)
        await asyncio.gather(*(store.write(f"{number}", make()) for number in range(20)))
        assert await asyncio.gather(*(store.read(f"{number}") for number in range(20))) != [None] * 20
        await store.close()
        await store.init()
    assert await query("SELECT count(*) FROM palaver_sessions") == [(20,)]


@pytest.mark.parametrize("name", ["with space.db", "100%25.db", "a#b?c.db", "bücher🎈.db", "file:odd.db", "memory"])
async def test_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    """The name of a file is taken character by character."""
    if os.name == "nt" and set(name) & set(":?"):
        pytest.skip("Windows has no such file names")
    async with SQLSessionStore(URL.create("sqlite", database=f"{tmp_path}/{name}")) as store:
        await store.write("a", make())
    assert name in await asyncio.to_thread(os.listdir, tmp_path)


async def test_engine_runs_on_it(url: str) -> None:
    """Turns of one session add up, and a state that is no JSON is refused before it gets here."""
    async with Sessions(SQLSessionStore(url), initial_state={"n": 0}) as sessions:
        for _ in range(5):
            async with sessions.turn("a") as session:
                session.state["n"] += 1
        with pytest.raises(InvalidStateError):
            async with sessions.turn("a") as session:
                session.state["n"] = object()
        async with sessions.turn("a") as session:
            assert session.state["n"] == 5
