"""From a concurrent history to a verdict that a person can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.histories.linearizability import Judgement, check_all
from palaver_conformance.histories.timeline import explanation_html, explanation_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.histories.history import History
    from palaver_conformance.histories.linearizability import HistoryVerdict

__all__ = ("judge",)


def judge(ground: Ground, history: History, *, initial: Mapping[str, Record] | None = None) -> None:
    """Find an order of all operations that explains every answer, session by session.

    Raises:
        LawBroken: there is none.
    """
    ground.events["operations in histories"] += len(history.operations)
    for session_id, verdict in check_all(history, initial=initial).items():
        ground.beat()
        ground.events[f"histories {verdict.judgement}"] += 1
        if verdict.judgement is Judgement.VIOLATION:
            raise _violation(session_id, verdict)


def _violation(session_id: str, verdict: HistoryVerdict) -> LawBroken:
    explanation = verdict.explanation
    broken = LawBroken(
        expected=f"one order of all calls on {session_id!a}, true to time, that explains every answer",
        got="none, see the calls" if explanation is None else explanation.reason,
        timeline=None if explanation is None else explanation_text(explanation),
        picture=None if explanation is None else explanation_html(explanation),
    )
    broken.steps = ()
    return broken
