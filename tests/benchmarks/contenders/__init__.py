"""Who takes part: Palaver, the client libraries called directly, and other packages that keep state for a key.

Each contender is a function that opens it for a job and gives what does one turn. It is imported only in the worker
that measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("CONTENDERS", "DRIVERS", "Contender", "Opener", "contenders_of")

Opener: TypeAlias = "Callable[[Job], AbstractAsyncContextManager[Turn]]"

DRIVERS: Final = ("memory", "file", "sqlite", "redis", "mongo", "postgresql", "mysql")


@dataclass(frozen=True)
class Contender:
    """One way to keep sessions in one medium."""

    name: str
    driver: str
    role: Literal["palaver", "raw", "peer"]
    opener: str
    """`module:function`; empty for the one that runs on Node."""

    calls: str
    """What a turn does, for the reader of the results."""

    packages: tuple[str, ...] = ()
    """The distributions whose versions matter, and without which it cannot run."""


def _palaver(driver: str, *packages: str) -> Contender:
    opener = "tests.benchmarks.contenders.palaver_:open_palaver"
    return Contender("palaver", driver, "palaver", opener, "`async with sessions.turn(id)`", packages)


def _raw(name: str, driver: str, opener: str, calls: str, *packages: str) -> Contender:
    return Contender(name, driver, "raw", f"tests.benchmarks.contenders.{opener}", calls, (*packages, "msgspec"))


def _peer(name: str, driver: str, opener: str, calls: str, *packages: str) -> Contender:
    return Contender(name, driver, "peer", f"tests.benchmarks.contenders.{opener}", calls, packages)


def _bottender(driver: str, *, but: str = "") -> Contender:
    return Contender("bottender", driver, "peer", "", f"on Node: `read`, `write`; the last writer wins{but}")


_SQL: Final = "`SELECT`, then `INSERT` or `UPDATE … WHERE version = …`, each by itself; SQLAlchemy's default pool"

CONTENDERS: Final = (
    _palaver("memory", "palaver-memory"),
    _raw("dict", "memory", "memory:open_dict", "a dict of bytes, msgspec to decode and to encode"),
    _peer("cachetools", "memory", "memory:open_cachetools", "an `LRUCache`, `copy.deepcopy` in and out", "cachetools"),
    _peer("aiogram", "memory", "aiogram_:open_memory", "`MemoryStorage`, which copies one level only", "aiogram"),
    _peer("py-key-value", "memory", "key_value_:open_memory", "`MemoryStore`: `get`, `put`", "py-key-value-aio"),
    _peer("litestar", "memory", "litestar_:open_memory", "`MemoryStore`: `get`, `set`, with msgspec", "litestar"),
    _bottender("memory"),
    _palaver("file", "palaver-file"),
    _raw("write + fsync + rename", "file", "files:open_loop", "read; write beside it, `fsync`, rename; one by one"),
    _peer(
        "the same in threads", "file", "files:open_threads", "the plain loop's work, each step in `asyncio.to_thread`"
    ),
    _peer("diskcache", "file", "files:open_diskcache", "`get`, `set` in `to_thread`; not synced", "diskcache"),
    _peer(
        *("py-key-value", "file", "key_value_:open_disk", "`DiskStore`: `get`, `put`; not synced"),
        *("py-key-value-aio", "diskcache"),
    ),
    _peer("litestar", "file", "litestar_:open_file", "`FileStore`: `get`, `set`, with msgspec; not synced", "litestar"),
    _bottender("file", but="; what it has read or written once comes from memory; not synced"),
    _palaver("sqlite", "palaver-sql", "SQLAlchemy"),
    _raw("aiosqlite", "sqlite", "sql:open_sqlite", f"{_SQL}; WAL, `synchronous=FULL`", "SQLAlchemy", "aiosqlite"),
    _palaver("redis", "palaver-redis", "redis", "hiredis"),
    _raw("redis-py", "redis", "redis_:open_redis", "`GET`, then a script that swaps and expires", "redis", "hiredis"),
    _peer("aiogram", "redis", "aiogram_:open_redis", "`get_data`, `set_data`; the last writer wins", "aiogram"),
    _peer("py-key-value", "redis", "key_value_:open_redis", "`get`, `put`; the last writer wins", "py-key-value-aio"),
    _peer("litestar", "redis", "litestar_:open_redis", "`get`, `set`, with msgspec; the last writer wins", "litestar"),
    _bottender("redis"),
    _palaver("mongo", "palaver-mongo", "pymongo"),
    _raw(
        "pymongo", "mongo", "mongo:open_mongo", "`find_one`, `replace_one` by version; `w=majority, j=true`", "pymongo"
    ),
    _palaver("postgresql", "palaver-sql", "SQLAlchemy", "asyncpg"),
    _raw("asyncpg", "postgresql", "sql:open_server", _SQL, "SQLAlchemy", "asyncpg"),
    _palaver("mysql", "palaver-sql", "SQLAlchemy", "asyncmy"),
    _raw("asyncmy", "mysql", "sql:open_server", _SQL, "SQLAlchemy", "asyncmy"),
)


def contenders_of(driver: str) -> list[Contender]:
    """Return who takes part in one medium: Palaver first, then the client library."""
    return [contender for contender in CONTENDERS if contender.driver == driver]
