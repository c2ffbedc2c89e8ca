"""Conversations that go on at the same time, and what is measured of them."""

from __future__ import annotations

import asyncio
import sys
from array import array
from collections import Counter
from math import ceil
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    Turn: TypeAlias = Callable[[str], Awaitable[int]]
    """Reads a session, adds one to its counter, saves it, and returns the counter."""

__all__ = ("Conversations", "Round", "WrongCountError", "peak_memory")


class Round(msgspec.Struct):
    """What one contender did in one round."""

    turns: int
    seconds: float
    p50: float
    """The median time from a message to the end of its turn, in seconds."""

    p99: float
    cpu: float
    """How many seconds of a processor the contender's own process took."""

    failures: dict[str, int]
    """How many turns failed, by the name of the error."""

    @property
    def turns_per_second(self) -> float:
        """The throughput."""
        return self.turns / self.seconds

    @property
    def cpu_per_turn(self) -> float:
        """The seconds of a processor for each turn."""
        return self.cpu / max(self.turns, 1)


class WrongCountError(Exception):
    """Raised when a session has not counted the turns that it had: something was lost, or never done."""


class Conversations:
    """So many conversations, each in its own session, each doing its turns one after another.

    Args:
        turn: what does one turn.
        session_ids: the sessions; all of them new.
    """

    def __init__(self, turn: Turn, session_ids: Sequence[str]) -> None:
        self._turn = turn
        self._saved = dict.fromkeys(session_ids, 0)
        self._failed: Counter[str] = Counter()

    async def run(self, seconds: float) -> Round:
        """Let all go on for some seconds; a turn that has begun is finished, and counts."""
        latencies, failures = array("d"), Counter[str]()
        begin, cpu_begin = perf_counter(), process_time()
        talks = [self._talk(session_id, begin + seconds, latencies, failures) for session_id in self._saved]
        await asyncio.gather(*talks)
        elapsed, cpu = perf_counter() - begin, process_time() - cpu_begin
        ordered = sorted(latencies)
        return Round(
            turns=len(ordered),
            seconds=elapsed,
            p50=_percentile(ordered, 50),
            p99=_percentile(ordered, 99),
            cpu=cpu,
            failures=dict(failures),
        )

    async def check(self) -> int:
        """Do one more turn of each session, and return how many turns all have counted.

        Raises:
            WrongCountError: a session has lost a turn.
        """
        for session_id, saved in self._saved.items():
            counted = await self._turn(session_id) - 1
            # A turn that failed may have been saved all the same.
            if not saved <= counted <= saved + self._failed[session_id]:
                raise WrongCountError(f"{saved} turns were done, and {counted} were counted")
        return sum(self._saved.values())

    async def _talk(self, session_id: str, end: float, latencies: array[float], failures: Counter[str]) -> None:
        while (begin := perf_counter()) < end:
            # A message comes in through the event loop, and waits for it when somebody else blocks it.
            await asyncio.sleep(0)
            try:
                await self._turn(session_id)
            except Exception as error:  # noqa: BLE001  # whatever a client library raises is a turn that failed
                failures[type(error).__name__] += 1
                self._failed[session_id] += 1
            else:
                latencies.append(perf_counter() - begin)
                self._saved[session_id] += 1


def peak_memory() -> int | None:
    """Return how many bytes this process has had in memory at most; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: there, Linux counts what the parent had before it started this program.
        words = status.read_text(encoding="ascii", errors="replace").split()
        return int(words[words.index("VmHWM:") + 1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the nearest rank; zero when there is nothing."""
    return ordered[ceil(len(ordered) * percent / 100) - 1] if ordered else 0.0
