"""States in files: the plain loop, the same in threads, and diskcache."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders._codec import count, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_diskcache", "open_loop", "open_threads")


@asynccontextmanager
async def open_loop(job: Job) -> AsyncIterator[Turn]:
    """Read, write, sync and rename, one session after another."""
    folder, initial = Path(job.place), encode(job.state)

    async def turn(session_id: str) -> int:
        path = _path(folder, session_id)
        state = decode(_read(path) or initial)
        counted = count(state)
        _write(path, encode(state))
        return counted

    yield turn


@asynccontextmanager
async def open_threads(job: Job) -> AsyncIterator[Turn]:
    """Do the same in threads, so that the event loop goes on and several files are synced at a time."""
    folder, initial = Path(job.place), encode(job.state)

    async def turn(session_id: str) -> int:
        path = _path(folder, session_id)
        found = await asyncio.to_thread(_read, path)
        state = decode(found or initial)
        counted = count(state)
        await asyncio.to_thread(_write, path, encode(state))
        return counted

    yield turn


@asynccontextmanager
async def open_diskcache(job: Job) -> AsyncIterator[Turn]:
    """Use diskcache in threads, as its page tells users of asyncio to."""
    cache: Any = import_module("diskcache").Cache(job.place)
    initial = encode(job.state)

    async def turn(session_id: str) -> int:
        state = decode(await asyncio.to_thread(cache.get, session_id, initial))
        counted = count(state)
        await asyncio.to_thread(cache.set, session_id, encode(state))
        return counted

    try:
        yield turn
    finally:
        await asyncio.to_thread(cache.close)


def _path(folder: Path, session_id: str) -> Path:
    return folder / f"{session_id.replace(':', '-')}.json"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
