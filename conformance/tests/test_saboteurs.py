"""Each law bites: a store that is wrong in one way is caught by the law that is about it, in words that help."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from palaver_conformance import NotConformingError, check_store
from palaver_conformance.laws import all_laws
from palaver_conformance.profiles import PROFILES
from palaver_conformance.report.findings import Verdict
from palaver_conformance.report.text import failure_lines
from palaver_conformance.saboteurs import Saboteur, all_saboteurs

if TYPE_CHECKING:
    from palaver_conformance.report.findings import Result

SABOTEURS = {saboteur.name: saboteur for saboteur in all_saboteurs()}
LAWS = {law.id: law for law in all_laws()}
ELSEWHERE = [(name, law.id) for law in LAWS.values() for name in law.catches if SABOTEURS[name].law != law.id]


@pytest.fixture(autouse=True)
def _blocking_calls_fail() -> None:
    """Here they do not: to find those that block the loop is a law's work."""


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some saboteurs hang, and nobody needs the shortest sequence of steps here."""
    for name in ("smoke", "ci"):
        monkeypatch.setitem(PROFILES, name, replace(PROFILES[name], call_seconds=2.0, minimise_seconds=0.2))


def result_of(saboteur: Saboteur, law: str) -> Result:
    """Try one law on a saboteur, in short, and where chance has found nothing as the default profile tries it."""
    for profile in ("smoke", "ci"):
        try:
            check_store(saboteur.harness(), profile=profile, laws=[law])
        except NotConformingError as caught:
            [result] = caught.report.results
            if result.verdict is Verdict.BROKEN:
                return result
    pytest.fail(f"{law} does not catch {saboteur.name}")


@pytest.mark.parametrize("name", SABOTEURS)
def test_a_saboteur_is_caught_by_its_law(name: str) -> None:
    """What was done, expected and seen tells what is wrong."""
    result = result_of(SABOTEURS[name], SABOTEURS[name].law)

    assert SABOTEURS[name].words in "\n".join(failure_lines(result)[1:])


@pytest.mark.parametrize(("name", "law"), ELSEWHERE)
def test_a_saboteur_is_caught_by_every_law_that_names_it(name: str, law: str) -> None:
    """What is wrong in one way may break several laws."""
    assert result_of(SABOTEURS[name], law).failure is not None


@pytest.mark.parametrize("law", LAWS)
def test_each_law_names_the_saboteurs_that_it_catches(law: str) -> None:
    """Every name is that of a saboteur, and every saboteur of the law is named."""
    own = {name for name, saboteur in SABOTEURS.items() if saboteur.law == law}

    assert LAWS[law].catches
    assert set(LAWS[law].catches) <= set(SABOTEURS)
    assert own <= set(LAWS[law].catches)


@pytest.mark.parametrize("name", SABOTEURS)
def test_a_saboteur_says_what_is_wrong(name: str) -> None:
    """It has a law that exists, one sentence, and words that are more than the form of the message."""
    saboteur = SABOTEURS[name]

    assert saboteur.law in LAWS
    assert saboteur.sentence.endswith(".")
    assert saboteur.words.strip() not in ("", "expected:", "got:", "expected", "got")
