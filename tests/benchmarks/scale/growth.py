"""Fill a store with more and more sessions, and measure the same work at each size."""

from __future__ import annotations

import asyncio
import random
import time
import tracemalloc
from statistics import median
from typing import TYPE_CHECKING, Final, Self

import msgspec
from tests.benchmarks.states import COUNTER, make_state

from palaver import ManualClock, Record, Sessions, SystemClock, new_version
from palaver.state.codec import StoredSession, encode_session, encode_state

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver import SessionStore

__all__ = ("EXPIRED", "Growth", "Measured")

STATE_BYTES: Final = 1000
CONVERSATIONS: Final = 100
TURNS: Final = 2000
ROUNDS: Final = 5
EXPIRED: Final = 1000

_PAGE: Final = 1000
_YEAR: Final = 365 * 86_400_000
_SECOND: Final = 1000


class Measured(msgspec.Struct, frozen=True):
    """What one size costs."""

    driver: str
    sessions: int
    turn_us: float
    """Microseconds of one turn, with 100 conversations at a time on sessions drawn at random; median of five rounds."""
    purge_ms: float
    """Milliseconds in which `purge` removes 1,000 expired sessions from among all others."""
    idle_purge_ms: float
    """Milliseconds of a `purge` when nothing has expired."""
    scan_s: float
    """Seconds in which `scan` names all."""
    scan_peak_bytes: int
    """By how much the memory of the process grew meanwhile, at the most."""
    bytes_each: float
    """What a session of 1,000 bytes of state takes on the medium, indexes included."""


class Growth:
    """A store that grows.

    Args:
        driver: what it is called.
        open_at: makes the store, with a clock.
        footprint: tells how many bytes its medium takes.
    """

    def __init__(
        self, driver: str, open_at: Callable[[ManualClock], SessionStore], footprint: Callable[[], Awaitable[int]]
    ):
        self._driver = driver
        self._clock = ManualClock(SystemClock().now())
        self._store = open_at(self._clock)
        self._footprint = footprint
        self._count = 0
        self._empty = 0
        self._state = make_state(STATE_BYTES // 2)
        self._chance = random.Random(0)  # no secret

    async def __aenter__(self) -> Self:
        await self._store.init()
        self._empty = await self._footprint()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._store.close()

    async def measure(self, sessions: int) -> Measured:
        """Fill the store up to that many sessions, and measure."""
        await self._fill(sessions)
        taken = await self._footprint() - self._empty
        turn = await self._turns()
        purge, idle = await self._purge()
        scan, peak = await self._scan()
        return Measured(self._driver, sessions, turn * 1e6, purge * 1e3, idle * 1e3, scan, peak, taken / sessions)

    async def _fill(self, sessions: int) -> None:
        for first in range(self._count, sessions, _PAGE):
            ids = [_session_id(number) for number in range(first, min(first + _PAGE, sessions))]
            await self._write(ids, self._clock.now() + _YEAR)
        self._count = sessions

    async def _write(self, ids: list[str], expires_at: int) -> None:
        await self._store.write_many([(session_id, self._record(session_id, expires_at)) for session_id in ids])

    def _record(self, session_id: str, expires_at: int) -> Record:
        now = self._clock.now()
        # Half of it is different each time: what is all alike would be compressed to nothing.
        state = encode_state({**self._state, "notes": self._chance.randbytes(STATE_BYTES // 4).hex()})
        session = StoredSession(id=session_id, created=now, last_activity=now, state=msgspec.Raw(state))
        return Record(encode_session(session), new_version(), expires_at)

    async def _turns(self) -> float:
        """Return the seconds of a turn."""
        sessions = Sessions(self._store)
        await self._round(sessions)  # warm up
        return median([await self._round(sessions) for _ in range(ROUNDS)])

    async def _round(self, sessions: Sessions) -> float:
        begun = time.perf_counter()
        await asyncio.gather(*(self._conversation(sessions) for _ in range(CONVERSATIONS)))
        return (time.perf_counter() - begun) / TURNS

    async def _conversation(self, sessions: Sessions) -> None:
        for _ in range(TURNS // CONVERSATIONS):
            async with sessions.turn(_session_id(self._chance.randrange(self._count))) as session:
                session.state[COUNTER] += 1

    async def _purge(self) -> tuple[float, float]:
        """Return the seconds of a purge of what has expired, and of one that finds nothing."""
        # Spread over the whole store, as sessions that expire are.
        ids = [f"{_session_id(self._chance.randrange(self._count))}/expired/{number}" for number in range(EXPIRED)]
        await self._write(ids, self._clock.now() + _SECOND)
        self._clock.advance(2)
        purge = await _timed(self._store.purge(), EXPIRED)
        return purge, await _timed(self._store.purge(), 0)

    async def _scan(self) -> tuple[float, int]:
        """Return the seconds of a scan, and by how much memory grew at the most."""
        found = 0
        begun = time.perf_counter()
        async for _ in self._store.scan():
            found += 1
        taken = time.perf_counter() - begun
        _require(found, self._count)
        # Once more, since to follow each piece of memory takes time.
        tracemalloc.start()
        async for _ in self._store.scan():
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken, peak


def _session_id(number: int) -> str:
    return f"bench:{number:08}"


async def _timed(purge: Awaitable[int], wanted: int) -> float:
    begun = time.perf_counter()
    removed = await purge
    taken = time.perf_counter() - begun
    _require(removed, wanted)
    return taken


def _require(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{found:,} sessions, where {wanted:,} are expected: what is measured is not right")
