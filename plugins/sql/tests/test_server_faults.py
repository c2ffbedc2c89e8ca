"""Servers that fail, or refuse: every fault is an error that says why, soon, and without the password."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from palaver.contract.record import ABSENT, Record, new_version
from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver_conformance.instruments.proxy import Proxy
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Query: TypeAlias = Callable[..., Awaitable[list[Any]]]

SECRET = "the secret of a conversation"


def make(payload: bytes = b"{}", expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


def everything(error: BaseException | None) -> str:
    """Return all that an error and its causes say."""
    said = ""
    while error is not None:
        said += f"{error} {error!r} "
        error = error.__cause__ or error.__context__
    return said


async def refusal(url: str, *, is_lasting: bool = True, **options: Any) -> str:
    """Return what the error says when a store cannot be opened, for a reason that passes by itself or does not."""
    store = SQLSessionStore(url, **options)
    with pytest.raises(StoreUnavailableError) as caught:
        await store.init()
    password = make_url(url).password
    assert password is not None
    assert str(password) not in everything(caught.value)
    assert str(make_url(url).host) in str(caught.value)
    assert caught.value.retryable is not is_lasting
    await store.close()
    return str(caught.value)


def changed(url: str, **parts: Any) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


async def test_wrong_password(url: str) -> None:
    """A wrong password is named as the reason, and not told."""
    said = await refusal(changed(url, password="wr0ng-secret"))
    # Before there is a connection, psycopg has nothing but the server's own words.
    assert "the user or the password is wrong" in said or "password authentication failed" in said


async def test_missing_database(url: str) -> None:
    """A database that is not there is named as the reason."""
    said = await refusal(changed(url, database="palaver_nowhere"))
    assert "there is no such database" in said or 'database "palaver_nowhere" does not exist' in said


async def test_nobody_listens(url: str) -> None:
    """A port where nobody listens is an error at once."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert f"127.0.0.1:{port}" in await refusal(changed(url, port=port), is_lasting=False)


async def test_server_that_does_not_answer(url: str) -> None:
    """Where a connection is taken and nothing is said, the wait ends after the connect timeout."""
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = await refusal(changed(url, port=silent.getsockname()[1]), is_lasting=False, connect_timeout=0.3)
    assert "did not answer in time" in said


@pytest.mark.parametrize("verb", ["read", "destroy"])
async def test_many_who_wait_for_no_answer(url: str, verb: str) -> None:
    """Behind a server that has fallen silent, calls do not wait one after the other: no call is made for most."""
    parsed = make_url(url)
    async with (
        Proxy(str(parsed.host), int(parsed.port or 0)) as proxy,
        SQLSessionStore(parsed.set(host=proxy.host, port=proxy.port), timeout=0.5) as store,
    ):
        await asyncio.gather(*(store.read(f"{number}") for number in range(5)))
        await proxy.black_hole()
        calls = [getattr(store, verb)(f"{number}") for number in range(40)]
        failures = await asyncio.gather(*calls, return_exceptions=True)
        await proxy.restore()
        assert [type(failure) for failure in failures] == [StoreUnavailableError] * 40
        assert sum("the call before this one failed" in str(failure) for failure in failures) >= 30
        assert await store.read("a") is None


async def test_close_waits_for_no_answer(url: str) -> None:
    """A store whose server has fallen silent can be closed, however many connections it has."""
    parsed = make_url(url)
    async with Proxy(str(parsed.host), int(parsed.port or 0)) as proxy:
        store = SQLSessionStore(parsed.set(host=proxy.host, port=proxy.port))
        await store.init()
        await asyncio.gather(*(store.read(f"{number}") for number in range(5)))
        assert proxy.connections > 1
        await proxy.black_hole()
        await asyncio.wait_for(store.close(), 30)
        await proxy.restore()
        async with store:
            assert await store.read("a") is None


async def test_server_without_tls(url: str) -> None:
    """Whoever asks for TLS does not talk without it."""
    options = {"sslmode": "require"} if url.startswith("postgresql") else {"ssl_ca": __file__}
    secure = make_url(url).update_query_dict(options).render_as_string(hide_password=False)
    assert "SSL" in await refusal(secure, is_lasting=False)


async def test_read_only(url: str, query: Query) -> None:
    """A server that does not write says so; reading goes on."""
    if url.startswith("mysql"):
        pytest.skip("MySQL and MariaDB are read-only for those users alone who may not do everything")
    record = make()
    name = make_url(url).database
    async with SQLSessionStore(url) as store:
        await store.write("a", record)
    await query(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    writable = "SET default_transaction_read_only = off", f"ALTER DATABASE {name} RESET default_transaction_read_only"
    try:
        async with SQLSessionStore(url) as store:
            assert await store.read("a") == record
            for call in (store.write("a", make()), store.swap("a", make(), record.version), store.destroy("a")):
                with pytest.raises(StoreUnavailableError, match="it is read-only"):
                    await call
            assert await store.read("a") == record
            # A replica becomes the primary: the connections from before still do not write, and are replaced.
            await asyncio.gather(*(store.read(f"{number}") for number in range(20)))
            await query(*writable)
            with pytest.raises(StoreUnavailableError, match="it is read-only"):
                await store.write("a", make())
            await asyncio.gather(*(store.write(f"{number}", make()) for number in range(20)))
    finally:
        await query(*writable)


async def test_missing_privilege(url: str, query: Query) -> None:
    """A user who may not do something is told what is needed."""
    async with SQLSessionStore(url) as store:
        await store.write("a", make())
    for statement in _guest(url):
        await query(statement)
    guest = changed(url, username="palaver_guest", password="gu3st-secret")
    try:
        async with SQLSessionStore(guest) as store:
            assert await store.read("a") is not None
            with pytest.raises(StoreUnavailableError, match="it needs SELECT, INSERT, UPDATE and DELETE"):
                await store.write("a", make())
        assert "CREATE for the first time" in await refusal(guest, table="other")
    finally:
        if url.startswith("postgresql"):
            await query("DROP OWNED BY palaver_guest")
        await query("DROP USER palaver_guest")


def _guest(url: str) -> list[str]:
    if url.startswith("postgresql"):
        return [
            "CREATE USER palaver_guest PASSWORD 'gu3st-secret'",
            "GRANT SELECT ON palaver_sessions, palaver_schema TO palaver_guest",
        ]
    name = make_url(url).database
    return [
        "CREATE USER palaver_guest IDENTIFIED BY 'gu3st-secret'",
        f"GRANT SELECT ON {name}.palaver_sessions TO palaver_guest",
        f"GRANT SELECT ON {name}.palaver_schema TO palaver_guest",
    ]


async def test_statement_that_takes_too_long(url: str) -> None:
    """Who waits for a row that somebody keeps locked gives up after the timeout, and the store works on."""
    old, new = make(b"old"), make(b"new")
    async with SQLSessionStore(url, timeout=1) as store:
        await store.write("a", old)
        driver = make_url(url).set(drivername={"mysql": "mysql+asyncmy"}.get(url[:5], "postgresql+asyncpg"))
        engine = create_async_engine(driver)
        async with engine.begin() as other:
            await other.exec_driver_sql("SELECT * FROM palaver_sessions FOR UPDATE")
            with pytest.raises(StoreUnavailableError, match=r"longer than the timeout|locked for too long"):
                await store.swap("a", new, old.version)
            assert await store.read("a") == old
        await engine.dispose()
        assert await store.swap("a", new, old.version)


@pytest.mark.parametrize("is_given", [False, True], ids=["own", "given"])
async def test_connections_that_the_server_has_ended(url: str, query: Query, is_given: bool) -> None:
    """Connections that were ended while nobody used them are not used: no call fails, and none is repeated."""
    engine = _engine(url)
    async with SQLSessionStore(engine if is_given else url) as store:
        await asyncio.gather(*(store.write(f"{number}", make()) for number in range(20)))
        await _end_all_others(url, query)
        record = make()
        assert await store.swap("1", record, "something else") is False
        await store.write("1", record)
        await _end_all_others(url, query)
        assert await store.read("1") == record
        outcomes = await asyncio.gather(*(store.read(f"{number}") for number in range(20)))
        assert None not in outcomes
    await engine.dispose()


def _engine(url: str) -> AsyncEngine:
    """Return an engine as an application has it."""
    drivers = {"mysql": "mysql+asyncmy", "postgresql": "postgresql+asyncpg"}
    parsed = make_url(url)
    return create_async_engine(parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername)))


async def _end_all_others(url: str, query: Query) -> None:
    if url.startswith("postgresql"):
        await query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    else:
        rows = await query(
            "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        )
        for (number,) in rows:
            await query(f"KILL {number}")
    await asyncio.sleep(0.05)  # until what the server said last is there


async def test_errors_do_not_quote_what_is_stored(url: str, query: Query, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever fails, no payload and no id of others is in the error, its causes or the log."""
    caplog.set_level("DEBUG", "palaver")
    async with SQLSessionStore(url) as store:
        await store.write("a", make(SECRET.encode()))
        await query("ALTER TABLE palaver_sessions ADD CHECK (version <> 'forbidden')")
        with pytest.raises(StoreUnavailableError) as caught:
            await store.write("a", Record(SECRET.encode(), "forbidden", None))
        assert SECRET not in everything(caught.value)
        assert SECRET.encode().hex() not in everything(caught.value)
        await query("DROP TABLE palaver_sessions")
        for call in (store.read("a"), store.write("a", make(SECRET.encode())), store.swap("a", make(), ABSENT)):
            with pytest.raises(StoreUnavailableError, match="table is missing") as caught:
                await call
            assert SECRET not in everything(caught.value)
    assert SECRET not in caplog.text


async def test_version_that_cannot_be_understood(url: str, query: Query) -> None:
    """A damaged row is an error for reading and swapping, never "no session", and can be overwritten and destroyed."""
    async with SQLSessionStore(url) as store:
        await store.write_many([("a", make()), ("b", make())])
        damage = "repeat('x', 600)" if url.startswith("postgresql") else "x'ff'"
        await query(f"UPDATE palaver_sessions SET version = {damage}")
        for call in (store.read("a"), store.read_many(["b", "a"]), store.swap("a", make(), ABSENT)):
            with pytest.raises(CorruptSessionError, match="version is not text"):
                await call
        with pytest.raises(CorruptSessionError, match="version is not text"):
            await store.swap_many([("0", make(), ABSENT), ("a", make(), "x"), ("c", make(), ABSENT)])
        assert await store.read_many(["0", "c"]) == [None, None]
        await store.destroy("a")
        assert await store.read("a") is None
        await store.write("b", make(b"new"))
        assert await store.read("b") is not None


async def test_server_that_is_killed_and_started_again(url: str, own_server: Any) -> None:
    """While the server is away every call is an error; afterwards the same store works, and nothing is lost."""
    scheme = url.partition(":")[0]
    record, later = make(b"before"), make(b"after")
    async with SQLSessionStore(own_server.url.replace("postgresql", scheme)) as store:
        await asyncio.gather(*(store.write(f"{number}", record) for number in range(10)))
        await asyncio.to_thread(own_server.kill)
        for call in (store.read("1"), store.write("1", later), store.swap("1", later, record.version)):
            with pytest.raises(StoreUnavailableError):
                await call
        await asyncio.to_thread(own_server.start)
        assert await store.swap("1", later, record.version)
        assert await store.read_many(["0", "1"]) == [record, later]


async def test_dropped_table_is_made_again(url: str, query: Query) -> None:
    """Verbs say that the table is missing and what to do; to open the store again makes it."""
    async with SQLSessionStore(url) as store:
        await query("DROP TABLE palaver_sessions")
        with pytest.raises(StoreUnavailableError, match="table is missing; close the store and open it again"):
            await store.read("a")
    async with store:
        record = make()
        await store.write("a", record)
        assert await store.read("a") == record


async def test_error_that_is_on_no_list(url: str) -> None:
    """Whatever a client library raises is an unavailable store, without the text of the error."""
    engine = _engine(url)

    @event.listens_for(engine.sync_engine, "do_connect")
    def fail(*_: object) -> None:
        raise LookupError(SECRET)

    with pytest.raises(StoreUnavailableError, match="its client library failed with LookupError") as caught:
        await SQLSessionStore(engine).init()
    assert SECRET not in everything(caught.value)
