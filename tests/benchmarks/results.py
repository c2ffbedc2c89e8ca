"""What a run has measured, and what follows from it. No figure comes from anywhere else."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Literal

import msgspec
from tests.benchmarks.measure import Round  # noqa: TC002  # msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.plan import Goal

__all__ = ("CellResult", "Judgement", "Machine", "Missing", "Results", "count_words", "judge")

GOAL_SIZE = 1_000


class CellResult(msgspec.Struct):
    """One contender in one cell."""

    driver: str
    size: int
    conversations: int
    contender: str
    role: Literal["palaver", "raw", "peer"]
    rounds: list[Round]
    counted: int
    """How many turns the sessions had counted at the end, warm-up included: all that were done."""

    peak_bytes: int | None

    def median(self, figure: str) -> float:
        """Return the median of a figure over the rounds."""
        middle: float = median(getattr(each, figure) for each in self.rounds)
        return middle

    @property
    def failures(self) -> int:
        """How many turns failed."""
        return sum(sum(each.failures.values()) for each in self.rounds)


class Missing(msgspec.Struct):
    """A contender that could not be measured in a cell."""

    driver: str
    contender: str
    size: int
    conversations: int
    reason: str


class Machine(msgspec.Struct):
    """What the run ran on."""

    cpus: int = 0
    system: str = ""
    python: str = ""
    versions: dict[str, str] = {}
    """Of servers and libraries."""


class Results(msgspec.Struct):
    """A whole run."""

    machine: Machine = msgspec.field(default_factory=Machine)
    cells: list[CellResult] = []
    missing: list[Missing] = []

    def find(self, driver: str, contender: str, size: int, conversations: int) -> CellResult | None:
        """Return a result."""
        here = (each for each in self.cells if _cell(each) == (driver, size, conversations))
        return next((each for each in here if each.contender == contender), None)

    def rivals(self, palaver: CellResult) -> Iterable[CellResult]:
        """Return all others in the cell of a result."""
        return (each for each in self.cells if each is not palaver and _cell(each) == _cell(palaver))

    def ratio(self, driver: str, than: str, size: int, conversations: int) -> float | None:
        """Return how many times as many turns Palaver does: the median of the ratios of each round."""
        palaver = self.find(driver, "palaver", size, conversations)
        rival = self.find(driver, than, size, conversations)
        if palaver is None or rival is None:
            return None
        pairs = zip(palaver.rounds, rival.rounds, strict=False)
        # Where a rival gets no turn done, there is no ratio.
        ratios = [ours.turns_per_second / theirs.turns_per_second for ours, theirs in pairs if theirs.turns]
        return median(ratios) if ratios else None


class Judgement(msgspec.Struct):
    """A goal, and whether it was met."""

    sentence: str
    wanted: float
    measured: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether it was; None when it was not measured."""
        return None if self.measured is None else self.measured >= self.wanted


def judge(results: Results, goals: Iterable[Goal]) -> list[Judgement]:
    """Compare what was measured with what was meant."""
    drivers = list(dict.fromkeys(each.driver for each in results.cells))
    wanted = [
        Judgement(
            f"{goal.driver}, {count_words(goal.conversations)}: times as many turns as {goal.than}",
            goal.factor,
            results.ratio(goal.driver, goal.than, GOAL_SIZE, goal.conversations),
        )
        for goal in goals
        if goal.driver in drivers
    ]
    more = [judgement for driver in drivers for judgement in (_many(results, driver), _slowest(results, driver))]
    return wanted + [each for each in more if each is not None]


def _many(results: Results, driver: str) -> Judgement | None:
    few, many = (results.find(driver, "palaver", GOAL_SIZE, conversations) for conversations in (100, 1_000))
    if few is None or many is None:
        return None
    measured = many.median("turns_per_second") / few.median("turns_per_second")
    return Judgement(f"{driver}: turns with 1,000 conversations, as a part of those with 100", 1.0, measured)


def _slowest(results: Results, driver: str) -> Judgement | None:
    palaver = results.find(driver, "palaver", GOAL_SIZE, 100)
    raw = next((each for each in results.rivals(palaver) if each.role == "raw"), None) if palaver else None
    if palaver is None or raw is None or not palaver.median("p99"):
        return None
    measured = raw.median("p99") / palaver.median("p99")
    return Judgement(f"{driver}, 100 conversations: p99 of {raw.contender}, as a multiple of Palaver's", 1.0, measured)


def count_words(conversations: int) -> str:
    """Return so many conversations in words."""
    return "1 conversation" if conversations == 1 else f"{conversations:,} conversations"


def _cell(result: CellResult) -> tuple[str, int, int]:
    return result.driver, result.size, result.conversations
