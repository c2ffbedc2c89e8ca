"""How surely each saboteur is caught: a table for the documentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from palaver_conformance.laws import all_laws
from palaver_conformance.report.findings import Verdict
from palaver_conformance.runner import Run
from palaver_conformance.saboteurs import all_saboteurs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from palaver_conformance.saboteurs import Saboteur

__all__ = ("Kills", "kill_table", "kills", "render_kills")

_PATIENCE: Final = 2.0
"""How many seconds a call may take here: no saboteur is slow, and those that hang need not hang for long."""


@dataclass(frozen=True, kw_only=True)
class Kills:
    """How often a saboteur was caught by its law."""

    saboteur: Saboteur
    tried: int
    caught: int

    @property
    def share(self) -> float:
        """The share of the seeds at which it was caught."""
        return self.caught / self.tried


def kill_table(seeds: range, profile: str) -> str:
    """Try each saboteur's law on it at each seed, and render how often it was caught as a Markdown table.

    A law gets the share of the time that it has in a run of all laws, so that the numbers are those of such runs.

    Args:
        seeds: where chance begins, each time.
        profile: how much to try: `smoke`, `ci` or `full`.
    """
    return render_kills([kills(saboteur, seeds, profile) for saboteur in all_saboteurs()])


def kills(saboteur: Saboteur, seeds: Sequence[int], profile: str) -> Kills:
    """Try the law of a saboteur on it at each seed."""
    caught = sum(_is_caught(saboteur, profile, seed) for seed in seeds)
    return Kills(saboteur=saboteur, tried=len(seeds), caught=caught)


def render_kills(rows: Iterable[Kills]) -> str:
    """Render as a Markdown table, law by law."""
    lines = ["| law | saboteur | what is wrong | caught |", "|---|---|---|---|"]
    lines += [_line(row) for row in sorted(rows, key=lambda row: row.saboteur.law)]
    return "\n".join(lines) + "\n"


def _is_caught(saboteur: Saboteur, profile: str, seed: int) -> bool:
    laws = {law.id: law for law in all_laws()}
    share = laws[saboteur.law].weight / sum(law.weight for law in laws.values())
    run = Run(saboteur.harness(), profile=profile, seed=seed)
    run.profile = replace(run.profile, call_seconds=_PATIENCE, minimise_seconds=0.0)
    return run.try_law(laws[saboteur.law], run.profile.seconds * share).verdict is Verdict.BROKEN


def _line(row: Kills) -> str:
    sentence = row.saboteur.sentence.replace("|", "\\|")
    return f"| {row.saboteur.law} | `{row.saboteur.name}` | {sentence} | {row.caught} of {row.tried} |"
