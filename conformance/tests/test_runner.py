"""Runs of laws: grades, exclusions, hangs and what is told of a failure."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import threading
from typing import TYPE_CHECKING, Any, Unpack

import pytest

from palaver_conformance import CannotRun, Grade, NotConformingError, Verdict, check_store
from palaver_conformance.profiles import PROFILES
from palaver_conformance.runner import run_laws
from palaver_conformance.saboteurs import all_saboteurs
from palaver_memory import MemorySessionStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from palaver.contract.clock import Clock
    from palaver.contract.record import Record
    from palaver.contract.store import SessionStore, StoreOptions


class Forgetful(MemorySessionStore):
    """Destroys nothing."""

    async def destroy(self, session_id: str) -> None:
        await super().read(session_id)


class Hanging(MemorySessionStore):
    """Never answers a read of a session that is not there."""

    async def read(self, session_id: str) -> Record | None:
        if (record := await super().read(session_id)) is None:
            await asyncio.Event().wait()
        return record


class Busy(MemorySessionStore):
    """Blocks the event loop until it is told to stop."""

    stop = threading.Event()

    async def write(self, session_id: str, record: Record) -> None:
        while not self.stop.is_set():
            await super().write(session_id, record)


class Modest(MemorySessionStore):
    """Declares nothing of what it can do, and can do it all the same."""

    def __init__(self, name: str = "", **options: Unpack[StoreOptions]) -> None:
        super().__init__(name, **options)
        self.capabilities = dataclasses.replace(self.capabilities, touch=False)


def test_a_right_store_conforms() -> None:
    """A store that keeps all laws gets a report that says so."""
    report = check_store(MemorySessionStore, profile="smoke")

    assert report.grade is Grade.CONFORMS
    assert report.counts[Verdict.BROKEN] == 0
    assert report.counts[Verdict.PASSED] > 130
    assert report.events["overwrites"] > 0


def test_a_wrong_store_is_told_what_was_done_expected_and_seen() -> None:
    """The error of a store that does not conform reads as an explanation."""
    with pytest.raises(NotConformingError) as caught:
        check_store(Forgetful, profile="smoke", laws=["DESTROY-01"])

    text = str(caught.value)
    assert "DESTROY-01 (MUST) is broken" in text
    assert "a.destroy('a')" in text
    assert "expected: None (no live record)" in text
    assert "which was written to 'a'" in text


def test_the_same_seed_finds_the_same() -> None:
    """A run can be repeated."""
    first, second = (run_laws(Forgetful, profile="smoke", seed=7, laws=["DESTROY-01"]) for _ in range(2))

    assert first.results[0].failure == second.results[0].failure


class Tidy:
    """Notes where stores are made and what is removed."""

    def __init__(self) -> None:
        self.made: set[str] = set()
        self.removed: list[str] = []

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        self.made.add(location)
        return MemorySessionStore(location, clock=clock, namespace=namespace)

    async def remove(self, location: str) -> None:
        self.removed.append(location)


def test_every_location_is_removed_once() -> None:
    """A law that goes to many locations leaves none behind, and removes none again and again."""
    harness = Tidy()
    run_laws(harness, profile="smoke", laws=["MODEL-01"])

    assert len(harness.made) > 8
    assert len(harness.removed) == len(set(harness.removed))
    assert set(harness.removed) == harness.made


def test_an_excluded_law_is_reported_and_keeps_a_store_from_conforming() -> None:
    """What is left out has its reason in the report, and the grade is not better for it."""
    report = run_laws(Forgetful, profile="smoke", laws=["DESTROY-01", "READ-01"], exclude={"DESTROY-01": "known"})

    assert report.grade is Grade.INCOMPLETE
    assert report.results[1].reason == "excluded: known" or report.results[0].reason == "excluded: known"
    assert "excluded: known" in report.text()


@pytest.mark.parametrize("exclude", [{"DESTROY-01": " "}, {"DESTROY-99": "why not"}])
def test_an_exclusion_needs_a_reason_and_a_law(exclude: dict[str, str]) -> None:
    """Neither an empty reason nor an unknown law is accepted."""
    with pytest.raises(CannotRun):
        run_laws(MemorySessionStore, profile="smoke", exclude=exclude)


def test_a_selection_of_laws_is_partial() -> None:
    """Whoever has tried one law has not shown that a store conforms; that law's verdict still counts."""
    report = check_store(MemorySessionStore, profile="smoke", laws=["READ-01"])

    assert report.grade is Grade.PARTIAL
    assert not report.conforms
    assert run_laws(Forgetful, profile="smoke", laws=["DESTROY-01"]).grade is Grade.BROKEN


def test_no_law_that_ran_is_no_conformance() -> None:
    """A run of nothing proves nothing."""
    assert run_laws(MemorySessionStore, profile="smoke", laws=["INIT-03"]).grade is Grade.INCOMPLETE


def test_what_is_not_declared_must_be_refused() -> None:
    """A verb that works although it is not declared breaks a law."""
    report = run_laws(Modest, profile="smoke", laws=["UNSUPPORTED-01", "TOUCH-01"])

    assert [result.verdict for result in report.results] == [Verdict.BROKEN, Verdict.NOT_DECLARED]


def test_a_call_that_never_ends_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that hangs breaks the law, and after a few of those the run ends."""
    _be_impatient(monkeypatch)

    report = run_laws(Hanging, profile="smoke")

    assert report.grade is Grade.BROKEN
    assert len(report.broken) <= 4
    assert "hangs" in report.text()


def test_a_loop_that_never_goes_on_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that blocks for ever is told where it stands, and the run ends."""
    _be_impatient(monkeypatch)

    try:
        report = run_laws(Busy, profile="smoke", laws=["WRITE-04", "READ-01"])
    finally:
        Busy.stop.set()

    assert report.broken
    assert "it stands at" in report.text()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda location, **_: {}, "returned"),
        (lambda location, **_: 1 / 0, "ZeroDivisionError"),
        (lambda location, **_: sys.exit(3), "SystemExit"),
    ],
)
def test_a_make_that_makes_no_store_is_told_so(make: Callable[..., SessionStore], reason: str) -> None:
    """Without a store no law is tried, and the reason is clear."""
    with pytest.raises(CannotRun, match=reason):
        run_laws(make, profile="smoke")


async def _make(location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
    return MemorySessionStore(location)


def test_a_make_that_is_a_coroutine_function_is_told_so() -> None:
    """A frequent mistake has words of its own."""
    wrong: Any = _make

    with pytest.raises(CannotRun, match="coroutine function"):
        run_laws(wrong, profile="smoke")


def test_reports_are_rendered() -> None:
    """JSON, Markdown and HTML carry the verdicts."""
    report = run_laws(Forgetful, profile="smoke", laws=["DESTROY-01", "READ-01", "INIT-03"])
    data = json.loads(report.to_json())

    assert data["schema"] == 1
    assert {law["id"]: law["verdict"] for law in data["laws"]} == {
        "INIT-03": "not run",
        "READ-01": "passed",
        "DESTROY-01": "broken",
    }
    assert "| DESTROY-01 | MUST |" in report.to_markdown()
    page = report.to_html()
    assert "DESTROY-01" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def _be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    from palaver_conformance import runner

    impatient = dataclasses.replace(PROFILES["smoke"], call_seconds=0.5)
    monkeypatch.setattr(runner, "PROFILES", {"smoke": impatient})


def test_a_report_begins_with_the_law_that_names_the_cause() -> None:
    """Where a store reads the computer's clock dozens of laws break, and the one that says so comes first."""
    [reads_the_wall_clock] = [each for each in all_saboteurs() if each.name == "wall-clock"]
    with pytest.raises(NotConformingError) as caught:
        check_store(reads_the_wall_clock.harness(), profile="smoke")

    report = caught.value.report
    others = len(report.broken) - 1
    assert others > 20
    assert report.broken[0].law.id == "EXPIRY-06"
    assert f"begin with EXPIRY-06: {others} other laws are broken as well, and it may be why" in report.text()
    assert json.loads(report.to_json())["cause"] == "EXPIRY-06"
    assert "Begin with EXPIRY-06" in report.to_html()
