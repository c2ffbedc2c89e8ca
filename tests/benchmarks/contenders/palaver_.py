"""Palaver, as its page tells bot authors to use it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.states import COUNTER

from palaver import Sessions, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_palaver",)


@asynccontextmanager
async def open_palaver(job: Job) -> AsyncIterator[Turn]:
    """Open the engine on the store of a driver."""
    async with Sessions(open_store(_url(job)), initial_state=job.state) as sessions:

        async def turn(session_id: str) -> int:
            async with sessions.turn(session_id) as session:
                session.state[COUNTER] += 1
                counted: int = session.state[COUNTER]
            return counted

        yield turn


def _url(job: Job) -> str:
    if job.driver == "memory":
        return "memory://"
    if job.driver == "file":
        return Path(job.place, "sessions").as_uri()
    if job.driver == "sqlite":
        return f"sqlite:///{Path(job.place, 'bot.db').as_posix()}"
    return job.place
