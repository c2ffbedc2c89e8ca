"""What the tests of this plugin share.

A test in `test_sqlite_*.py` runs on SQLite, one in `test_postgresql_*.py` with each client library of PostgreSQL, one
in `test_mysql_*.py` on MySQL or MariaDB, one in `test_server_*.py` on both servers, and one in `test_sql_*.py` on all.
"""

from __future__ import annotations

import asyncio
import importlib
import secrets
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from plugins.sql.tests.harness import connected

from palaver.contract.clock import ManualClock
from palaver_test_servers.fixtures import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

SERVERS = {"asyncpg": "postgresql_database", "psycopg": "postgresql_database", "mysql": "mysql_database"}
KINDS = {
    "sqlite": ["sqlite"],
    "postgresql": ["asyncpg", "psycopg"],
    "mysql": ["mysql"],
    "server": list(SERVERS),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each database that its module speaks of."""
    is_given = any("url" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "url" in metafunc.fixturenames and not is_given:
        kind = metafunc.module.__name__.rpartition(".")[2].split("_")[1]
        names = KINDS.get(kind, ["sqlite", *KINDS["server"]])
        on = [pytest.param(name, marks=[pytest.mark.server] if name in SERVERS else []) for name in names]
        metafunc.parametrize("url", on, indirect=True)


async def ask(url: str, *statements: str) -> list[Any]:
    """Return the rows of the last of some statements, told to a server with nothing of Palaver in between."""
    rows: list[Any] = []
    async with connected(url) as connection:
        for statement in statements:
            result = await connection.exec_driver_sql(statement)
            rows = [tuple(row) for row in result] if result.returns_rows else []
    return rows


@pytest.fixture
def clock() -> ManualClock:
    """A clock that only the test moves."""
    return ManualClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the database of SQLite is."""
    return tmp_path / "bot.db"


@pytest.fixture(scope="session")
def postgresql_database(postgresql_url: str) -> Iterator[str]:
    """The URL of an empty database on the PostgreSQL server."""
    yield from own_database(postgresql_url, "WITH (FORCE)")


@pytest.fixture(scope="session")
def mysql_database(mysql_url: str) -> Iterator[str]:
    """The URL of an empty database on the MySQL or MariaDB server."""
    yield from own_database(mysql_url, "")


def own_database(url: str, drop_options: str) -> Iterator[str]:
    """Make a database for the tests alone: the server may be somebody's."""
    from sqlalchemy import make_url

    for client in ("asyncpg", "psycopg", "asyncmy"):
        importlib.import_module(client)  # not in the event loop
    name = f"palaver_test_{secrets.token_hex(4)}"
    asyncio.run(ask(url, f"CREATE DATABASE {name}"))
    yield make_url(url).set(database=name).render_as_string(hide_password=False)
    asyncio.run(ask(url, f"DROP DATABASE {name} {drop_options}"))


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a database in which there is nothing yet."""
    name = getattr(request, "param", "sqlite")
    if name == "sqlite":
        return f"sqlite:///{request.getfixturevalue('file')}"
    url: str = request.getfixturevalue(SERVERS[name])
    asyncio.run(drop_all_tables(url))
    return url.replace("postgresql:", "postgresql+psycopg:") if name == "psycopg" else url


async def drop_all_tables(url: str) -> None:
    """Remove what the test before has left."""
    place = "current_schema()" if url.startswith("postgresql") else "database()"
    tables = await ask(url, f"SELECT table_name FROM information_schema.tables WHERE table_schema = {place}")
    quote = '"' if url.startswith("postgresql") else "`"
    await ask(url, *(f"DROP TABLE {quote}{name}{quote}" for (name,) in tables))


@pytest.fixture
def query(url: str, request: pytest.FixtureRequest) -> Callable[..., Awaitable[list[Any]]]:
    """Look into the database, or change it, with nothing of Palaver in between."""
    if not url.startswith("sqlite"):
        return lambda *statements: ask(url, *statements)
    file = request.getfixturevalue("file")

    def run(statement: str) -> list[Any]:
        with closing(sqlite3.connect(file)) as connection, connection:
            return connection.execute(statement).fetchall()

    return lambda statement: asyncio.to_thread(run, statement)


@pytest.fixture
def own_server(url: str, tmp_path: Path) -> Iterator[Any]:
    """A server for this test alone."""
    from palaver_test_servers.mariadb import MariaDBServer
    from palaver_test_servers.postgres import PostgresServer

    yield from running((MariaDBServer if url.startswith("mysql") else PostgresServer)(tmp_path).start)
