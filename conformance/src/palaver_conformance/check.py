"""The door for programs: one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver_conformance.runner import run_laws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from palaver_conformance.harness import HarnessLike
    from palaver_conformance.report.findings import Result
    from palaver_conformance.report.report import Report

__all__ = ("NotConformingError", "check_store")


class NotConformingError(AssertionError):
    """Raised when a store does not conform; its text tells what was done, expected and seen."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return self.report.text()


def check_store(
    make: HarnessLike,
    *,
    profile: str = "ci",
    seed: int | None = None,
    laws: Sequence[str] | None = None,
    exclude: Mapping[str, str] | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Report:
    """Try all laws on a store.

    Args:
        make: `make(location, *, clock, namespace="")` returns a store that is not yet initialised: same location, same
            data; another location or namespace, none of it. A harness with such a method may have hooks besides.
        profile: how much to try: `smoke` (10 seconds), `ci` (90) or `full` (10 minutes).
        seed: where chance begins: 0, unless it is given or the profile is `full`, which takes another one each time.
        laws: the ids of the laws to try, or None for all.
        exclude: laws not to try, each with the reason, which is reported.
        on_result: called after each law.

    Returns:
        The report of a store that conforms, or of which the chosen laws hold.

    Raises:
        NotConformingError: a law that binds is broken, or could not be decided.
        CannotRun: no store can be made.
    """
    report = run_laws(make, profile=profile, seed=seed, laws=laws, exclude=exclude, on_result=on_result)
    if not report.holds:
        raise NotConformingError(report)
    return report
