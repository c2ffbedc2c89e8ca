"""What is measured, and what for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.benchmarks.contenders import Contender

__all__ = ("FULL", "GOALS", "QUICK", "SIZES", "Cell", "Goal", "Plan", "takes_part")

SIZES: Final = {100: "100 B", 1_000: "1 KB", 100_000: "100 KB"}

_LARGE: Final = 100_000


@dataclass(frozen=True)
class Cell:
    """So many conversations at once, with a state of so many bytes."""

    size: int
    conversations: int


@dataclass(frozen=True)
class Plan:
    """Which cells, and how long."""

    cells: tuple[Cell, ...]
    rounds: int
    seconds: float
    """How long each contender goes on in each round."""

    warm_up: float
    """How long each goes on before the first round."""


PEER_CELLS: Final = (Cell(1_000, 1), Cell(1_000, 100))
_SMALL_CELLS: Final = tuple(Cell(size, many) for size in (1_000, 100) for many in (1, 10, 100, 1_000))

FULL: Final = Plan((*_SMALL_CELLS, Cell(_LARGE, 10), Cell(_LARGE, 100)), rounds=3, seconds=1.0, warm_up=0.5)
QUICK: Final = Plan(PEER_CELLS, rounds=3, seconds=1.0, warm_up=0.5)


def takes_part(contender: Contender, cell: Cell) -> bool:
    """Tell whether a contender is measured in a cell."""
    return contender.role != "peer" or cell in PEER_CELLS


@dataclass(frozen=True)
class Goal:
    """How many times as fast as somebody else Palaver is meant to be, at least."""

    driver: str
    than: str
    conversations: int
    factor: float


_ALONE: Final = {
    "memory": "dict",
    "file": "write + fsync + rename",
    "sqlite": "aiosqlite",
    "redis": "redis-py",
    "mongo": "pymongo",
    "postgresql": "asyncpg",
    "mysql": "asyncmy",
}

GOALS: Final = (
    Goal("memory", "dict", 100, 0.4),
    Goal("file", "write + fsync + rename", 100, 1.5),
    Goal("sqlite", "aiosqlite", 100, 20),
    Goal("redis", "redis-py", 100, 3),
    Goal("redis", "bottender", 100, 1.5),
    Goal("mongo", "pymongo", 100, 2),
    Goal("postgresql", "asyncpg", 100, 8),
    *(Goal(driver, than, 1, 0.85) for driver, than in _ALONE.items() if driver != "memory"),
)
"""With a state of 1 KB. A dict in one's own process has no round trip to share, so that it has one goal only."""
