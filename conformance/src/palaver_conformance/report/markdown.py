"""A report as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver_conformance.report.findings import Verdict
from palaver_conformance.report.text import cause_lines, coverage_lines, failure_lines, summary_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from palaver_conformance.report.findings import Findings, Result

__all__ = ("render_markdown",)

_MARKS = {
    Verdict.PASSED: "✓",
    Verdict.BROKEN: "**✗ broken**",
    Verdict.NOT_DECLARED: "– not declared",
    Verdict.NOT_RUN: "· not run",
    Verdict.INCONCLUSIVE: "? inconclusive",
}


def render_markdown(report: Findings) -> str:
    """Render a report as Markdown: what was found first, then every law."""
    lines = [f"# {_cell(report.store)} {report.grade}", "", _cell(summary_line(report)), ""]
    lines += [*_facts(report), ""]
    for result in report.broken:
        lines += ["```text", *failure_lines(result), "```", ""]
    lines += [f"- {_cell(line)}" for line in (*cause_lines(report), *coverage_lines(report))]
    lines += ["", "| law | level | sentence | verdict | s |", "|---|---|---|---|---:|", *map(_row, report.results)]
    return "\n".join(lines) + "\n"


def _facts(report: Findings) -> list[str]:
    return [
        "| | |",
        "|---|---|",
        f"| kit | palaver-conformance {report.kit_version} |",
        f"| profile | {report.profile}, seed {report.seed} |",
        f"| run | {report.started}, Python {report.python}, {report.platform} |",
        f"| capabilities | {_listed(f'{name}={value}' for name, value in report.capabilities.items())} |",
        f"| hooks | {_listed(report.hooks)} |",
        f"| missing hooks | {_listed(report.missing_hooks)} |",
    ]


def _row(result: Result) -> str:
    law = result.law
    return f"| {law.id} | {law.level} | {_cell(law.sentence)} | {_MARKS[result.verdict]} | {result.seconds:.2f} |"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts) or "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")
