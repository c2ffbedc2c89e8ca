"""Proof that a session store keeps the contract of Palaver."""

from palaver_conformance._check import NotConformingError, check_store
from palaver_conformance._report import Grade, Report, Result, Verdict
from palaver_conformance._runner import CannotRun

__all__ = ("CannotRun", "Grade", "NotConformingError", "Report", "Result", "Verdict", "check_store")
