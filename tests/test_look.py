"""The page about looking at sessions with other tools: every question on it is asked, and answered right."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from pymongo import MongoClient
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from palaver import ManualClock, Sessions, SystemClock, open_store
from palaver_test_servers.fixtures import running
from palaver_test_servers.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = (Path(__file__).parent.parent / "docs/look.md").read_text(encoding="utf-8")
YEAR: Final = 365 * 86400

CLIENTS: Final = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}


def blocks(info: str) -> tuple[str, str, str]:
    """The three questions of a tool: about one session, about the checkout, about expiry."""
    one, checkout, expiry = re.findall(rf"^```{info}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return one, checkout, expiry


async def fill(url: str) -> None:
    """Keep three sessions: one at the checkout for a year, one that expires in an hour, one for ever."""
    for session_id, step, ttl in (("console:1", "checkout", YEAR), ("b", "cart", 3600), ("c", "cart", None)):
        async with (
            Sessions(open_store(url, ttl=ttl, clock=ManualClock(SystemClock().now()))) as sessions,
            sessions.turn(session_id) as session,
        ):
            session.set_state(step=step)


def require(*programs: str) -> None:
    """Skip where a tool is missing; in CI, fail."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"install {', '.join(missing)}")


def check(answers: list[list[str]]) -> None:
    """The answers to the three questions are right."""
    [[one], checkout, expiring] = answers

    assert json.loads(one)["state"] == {"step": "checkout"}
    assert checkout == ["console:1"]
    assert expiring == ["b"]


@pytest.fixture(params=["postgresql", "mysql"])
def database(request: pytest.FixtureRequest) -> Iterator[tuple[str, URL]]:
    """A kind of database, and the URL of an empty one."""
    kind: str = request.param
    server = make_url(request.getfixturevalue(f"{kind}_url"))
    import_module(CLIENTS[kind].partition("+")[2])  # not in the event loop
    name = f"palaver_look_{time.time_ns()}"
    asyncio.run(ask(kind, server, f"CREATE DATABASE {name}"))
    yield kind, server.set(database=name)
    asyncio.run(ask(kind, server, f"DROP DATABASE {name}"))


async def ask(kind: str, url: URL, statement: str) -> list[str]:
    """Return the first column of the answer to a statement."""
    engine = create_async_engine(url.set(drivername=CLIENTS[kind]), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        result = await connection.execute(text(statement.replace(":1", r"\:1").replace("::", r"\:\:")))
        rows = [row[0] for row in result] if result.returns_rows else []
    await engine.dispose()
    return rows


@pytest.mark.server
def test_databases_with_a_server(database: tuple[str, URL]) -> None:
    """`psql` and `mysql` say what the page says."""
    kind, url = database
    asyncio.run(fill(url.render_as_string(hide_password=False)))

    check([asyncio.run(ask(kind, url, question)) for question in blocks(f"sql {kind}")])


def test_sqlite(tmp_path: Path) -> None:
    """`sqlite3` says what the page says."""
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    asyncio.run(fill(url))
    engine = create_engine(url)

    with engine.connect() as connection:
        check([[row[0] for row in connection.exec_driver_sql(question)] for question in blocks("sql sqlite")])
    engine.dispose()


def test_mongodb(mongodb_url: str) -> None:
    """`mongosh` says what the page says."""
    name = f"palaver_look_{time.time_ns()}"
    base, question_mark, query = mongodb_url.partition("?")
    asyncio.run(fill(f"{base.rstrip('/')}/{name}{question_mark}{query}"))

    with MongoClient[dict[str, Any]](mongodb_url) as client:
        found = [list(client[name]["sessions"].find(_filter(question))) for question in blocks("javascript")]
        client.drop_database(name)

    assert found[0][0]["state"] == {"step": "checkout"}
    check([[found[0][0]["payload"].decode()], *([each["_id"]["id"] for each in some] for some in found[1:])])


def _filter(question: str) -> Any:
    """Return what a `find` in JavaScript asks for."""
    now = str(time.time_ns() // 1_000_000)
    [wanted] = re.findall(r"^db\.sessions\.find(?:One)?\((.*?)(?:, { \"_id\": 1 })?\)$", question.strip())
    return json.loads(re.sub(r"Date\.now\(\) \+ (\d+)", lambda sum_: str(int(now) + int(sum_[1])), wanted))


@pytest.mark.server
def test_redis(tmp_path: Path) -> None:
    """`redis-cli` says what the page says."""
    require("bash", "jq", "redis-cli")
    (tmp_path / "redis").mkdir()
    for server in running(RedisServer(tmp_path / "redis").start):
        asyncio.run(fill(server.url))
        questions = [question.replace("redis-cli", f"redis-cli -p {server.port}") for question in blocks("sh redis")]
        check([shell(question, tmp_path) for question in questions])


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cat` and `jq` say what the page says."""
    require("bash", "jq", "awk")
    monkeypatch.chdir(tmp_path)
    asyncio.run(fill("file:.sessions"))

    check([shell(question, tmp_path) for question in blocks("sh file")])


def shell(command: str, folder: Path) -> list[str]:
    """Return the lines that a command prints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()
