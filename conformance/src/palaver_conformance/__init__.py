"""Proof that a session store keeps the contract of Palaver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from palaver_conformance.check import NotConformingError, check_store
from palaver_conformance.harness import Harness
from palaver_conformance.report.findings import Grade, Result, Verdict
from palaver_conformance.report.report import Report
from palaver_conformance.runner import CannotRun

if TYPE_CHECKING:
    from palaver_conformance.suite import SessionStoreSuite

__all__ = (
    "CannotRun",
    "Grade",
    "Harness",
    "NotConformingError",
    "Report",
    "Result",
    "SessionStoreSuite",
    "Verdict",
    "check_store",
)


def __getattr__(name: str) -> Any:
    # It needs pytest, which the other doors do not.
    if name == "SessionStoreSuite":
        from palaver_conformance.suite import SessionStoreSuite

        return SessionStoreSuite
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
