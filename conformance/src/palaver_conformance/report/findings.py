"""What a run has found: the verdict on each law, and the grade that follows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from palaver_conformance.ground.law import Law, Level

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("SCHEMA_VERSION", "Failure", "Findings", "Grade", "Result", "Verdict")

SCHEMA_VERSION: Final = 1


class Verdict(StrEnum):
    """What is known of one law."""

    PASSED = "passed"
    BROKEN = "broken"
    NOT_DECLARED = "not declared"
    """The store does not declare what the law is about; that it refuses it is a law of its own."""
    NOT_RUN = "not run"
    INCONCLUSIVE = "inconclusive"


class Grade(StrEnum):
    """What is known of the store."""

    CONFORMS = "conforms"
    PARTIAL = "partial"
    """Only some laws were chosen, and all of those that bind hold."""
    BROKEN = "does not conform"
    INCOMPLETE = "incomplete"
    """No law that binds is broken, but one of them was excluded or could not be decided."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How a law was broken."""

    expected: str
    got: str
    steps: tuple[str, ...]
    timeline: str | None = None
    picture: str | None = None
    """The timeline as HTML."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The verdict on one law."""

    law: Law
    verdict: Verdict
    seconds: float = 0.0
    reason: str | None = None
    """Why it was not run or is inconclusive."""
    failure: Failure | None = None
    events: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_lost_coverage(self) -> bool:
        """Whether it was not run because the harness lacks a hook."""
        return self.verdict is Verdict.NOT_RUN and bool(self.reason and self.reason.startswith("hook"))


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The verdicts on all laws, and under what conditions they were found."""

    store: str
    kit_version: str
    profile: str
    seed: int
    capabilities: Mapping[str, Any]
    hooks: tuple[str, ...]
    missing_hooks: tuple[str, ...]
    python: str
    platform: str
    started: str
    seconds: float
    results: tuple[Result, ...]
    exclusions: Mapping[str, str] = field(default_factory=dict)
    is_selection: bool = False
    """Whether only some of the laws were chosen."""

    @property
    def grade(self) -> Grade:
        """The verdict on the store, from the laws that ran."""
        binding = [result for result in self.results if result.law.level is Level.MUST]
        verdicts = {result.verdict for result in binding}
        if Verdict.BROKEN in verdicts:
            return Grade.BROKEN
        undecided = Verdict.INCONCLUSIVE in verdicts or any(map(_is_gap, binding))
        if undecided or Verdict.PASSED not in verdicts:
            return Grade.INCOMPLETE
        return Grade.PARTIAL if self.is_selection else Grade.CONFORMS

    @property
    def conforms(self) -> bool:
        """Whether every law that binds and could be tried holds; of a selection nobody can tell."""
        return self.grade is Grade.CONFORMS

    @property
    def holds(self) -> bool:
        """Whether every chosen law that binds and could be tried holds."""
        return self.grade in (Grade.CONFORMS, Grade.PARTIAL)

    @property
    def broken(self) -> tuple[Result, ...]:
        """The laws that are broken: first the one that names what may be the cause of all."""
        broken = [result for result in self.results if result.verdict is Verdict.BROKEN]
        return tuple(sorted(broken, key=lambda result: result is not self.cause))

    @property
    def cause(self) -> Result | None:
        """The broken law to begin with, where one of them may be why others are broken."""
        broken = [result for result in self.results if result.verdict is Verdict.BROKEN]
        return next((result for result in broken if result.law.is_cause and len(broken) > 1), None)

    @property
    def counts(self) -> Counter[Verdict]:
        """How many laws have which verdict."""
        return Counter(result.verdict for result in self.results)

    @property
    def events(self) -> Counter[str]:
        """What happened in all laws together: overwrites, expiries, conflicts and so on."""
        return sum((Counter(result.events) for result in self.results), Counter())

    def families(self) -> dict[str, list[Result]]:
        """Return the results of each family."""
        families: dict[str, list[Result]] = {}
        for result in self.results:
            families.setdefault(result.law.family, []).append(result)
        return families


def _is_gap(result: Result) -> bool:
    return result.verdict is Verdict.NOT_RUN and not result.is_lost_coverage
