"""What the tests of this plugin share."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from palaver.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


@pytest.fixture
def clock() -> ManualClock:
    """A clock that only the test moves."""
    return ManualClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "bot.db"


@pytest.fixture
def url(file: Path) -> str:
    """The URL of the database."""
    return f"sqlite:///{file}"


@pytest.fixture
def query(file: Path) -> Callable[[str], Awaitable[list[Any]]]:
    """Look into the file, or change it, with nothing of Palaver in between."""

    def run(statement: str) -> list[Any]:
        with closing(sqlite3.connect(file)) as connection, connection:
            return connection.execute(statement).fetchall()

    async def run_in_thread(statement: str) -> list[Any]:
        return await asyncio.to_thread(run, statement)

    return run_in_thread
