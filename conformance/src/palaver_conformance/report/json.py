"""A report as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from palaver_conformance.report.findings import SCHEMA_VERSION, Findings, Result

if TYPE_CHECKING:
    from palaver_conformance.report.findings import Failure

__all__ = ("render_json", "report_to_dict")


def render_json(report: Findings) -> str:
    """Render a report as JSON."""
    return json.dumps(report_to_dict(report), indent=2, ensure_ascii=True) + "\n"


def report_to_dict(report: Findings) -> dict[str, Any]:
    """Return a report as plain values."""
    return {
        "schema": SCHEMA_VERSION,
        "store": report.store,
        "grade": report.grade.value,
        "kit_version": report.kit_version,
        "profile": report.profile,
        "seed": report.seed,
        "started": report.started,
        "seconds": round(report.seconds, 3),
        "python": report.python,
        "platform": report.platform,
        "capabilities": dict(report.capabilities),
        "hooks": list(report.hooks),
        "missing_hooks": list(report.missing_hooks),
        "exclusions": dict(report.exclusions),
        "counts": {verdict.value: count for verdict, count in report.counts.items()},
        "events": dict(sorted(report.events.items())),
        "cause": None if report.cause is None else report.cause.law.id,
        "laws": [_law(result) for result in report.results],
    }


def _law(result: Result) -> dict[str, Any]:
    law = result.law
    return {
        "id": law.id,
        "family": law.family,
        "level": law.level.value,
        "sentence": law.sentence,
        "proves": list(law.proves),
        "needs": list(law.needs),
        "hooks": list(law.hooks),
        "verdict": result.verdict.value,
        "reason": result.reason,
        "seconds": round(result.seconds, 4),
        "events": dict(result.events),
        "failure": None if result.failure is None else _failure(result.failure),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "expected": failure.expected,
        "got": failure.got,
        "steps": list(failure.steps),
        "timeline": failure.timeline,
        "picture": failure.picture,
    }
