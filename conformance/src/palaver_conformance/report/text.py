"""A report in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver_conformance.report.findings import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from palaver_conformance.report.findings import Findings, Result

__all__ = ("cause_lines", "coverage_lines", "failure_lines", "family_line", "render_text", "summary_line")


def render_text(report: Findings) -> str:
    """Render a report: one line for each family, then what is broken, then what was not tried."""
    lines = [f"{report.store}: {report.profile}, seed {report.seed}"]
    lines += [family_line(results) for results in report.families().values()]
    for result in report.broken:
        lines += ["", *failure_lines(result)]
    lines += ["", *cause_lines(report), *coverage_lines(report), summary_line(report)]
    return "\n".join(lines)


def family_line(results: list[Result]) -> str:
    """Render the verdicts on one family."""
    passed = sum(result.verdict is Verdict.PASSED for result in results)
    tried = sum(result.verdict in (Verdict.PASSED, Verdict.BROKEN, Verdict.INCONCLUSIVE) for result in results)
    seconds = sum(result.seconds for result in results)
    return f"  {results[0].law.family:<14}{passed:>3} of {tried:<3} passed {seconds:7.2f} s{_rest(results)}"


def _rest(results: list[Result]) -> str:
    parts = [
        f"{count} {verdict.value}"
        for verdict in (Verdict.BROKEN, Verdict.INCONCLUSIVE, Verdict.NOT_DECLARED, Verdict.NOT_RUN)
        if (count := sum(result.verdict is verdict for result in results))
    ]
    return f"   {', '.join(parts)}" if parts else ""


def failure_lines(result: Result) -> list[str]:
    """Render how a law was broken."""
    failure = result.failure
    if failure is None:
        return []
    lines = [f"{result.law.id} ({result.law.level}) is broken: {result.law.sentence}"]
    lines += ["  done:", *(f"    {step}" for step in failure.steps)] if failure.steps else []
    lines += [f"  expected: {failure.expected}", f"  got:      {failure.got}"]
    if failure.timeline:
        lines += [f"  {line}" for line in failure.timeline.splitlines()]
    return lines


def cause_lines(report: Findings) -> list[str]:
    """Render which broken law to begin with, where one of them may be why others are broken."""
    if report.cause is None:
        return []
    others = len(report.broken) - 1
    also = "1 other law is" if others == 1 else f"{others} other laws are"
    return [f"begin with {report.cause.law.id}: {also} broken as well, and it may be why"]


def coverage_lines(report: Findings) -> list[str]:
    """Render what was not tried, and why."""
    lines = []
    for verdict, title in (
        (Verdict.NOT_DECLARED, "not declared"),
        (Verdict.NOT_RUN, "not run"),
        (Verdict.INCONCLUSIVE, "inconclusive"),
    ):
        for reason, ids in _by_reason(result for result in report.results if result.verdict is verdict):
            lines.append(f"{title}: {', '.join(ids)} ({reason})")
    return lines


def _by_reason(results: Iterable[Result]) -> list[tuple[str, list[str]]]:
    reasons: dict[str, list[str]] = {}
    for result in results:
        reasons.setdefault(result.reason or "?", []).append(result.law.id)
    return list(reasons.items())


def summary_line(report: Findings) -> str:
    """Render the grade in one line."""
    counts = report.counts
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    return f"{report.store} {report.grade}: {', '.join(parts)} in {report.seconds:.1f} s"
