"""The door for pytest: a class to inherit from, with one test for each law."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from palaver_conformance.harness import as_harness
from palaver_conformance.laws import all_laws
from palaver_conformance.profiles import PROFILES
from palaver_conformance.report.findings import Verdict
from palaver_conformance.report.text import failure_lines
from palaver_conformance.runner import CannotRun, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palaver.contract.clock import Clock
    from palaver.contract.store import SessionStore
    from palaver_conformance.ground.law import Law
    from palaver_conformance.harness import Harness

__all__ = ("SessionStoreSuite",)

_LAWS = all_laws()
_WEIGHT = sum(law.weight for law in _LAWS)


class SessionStoreSuite:
    """Every law as a test of its own, for a class that says how a store is made.

    Override `make`, or the fixture `harness` when there are hooks or something to set up:

        class TestMyStore(SessionStoreSuite):
            def make(self, location, *, clock, namespace=""):
                return MyStore(location, clock=clock, namespace=namespace)
    """

    profile = os.environ.get("PALAVER_CONFORMANCE_PROFILE", "ci")
    """How much to try: `smoke`, `ci` or `full`."""

    seed = 0
    """Where chance begins."""

    exclude: dict[str, str] = {}  # noqa: RUF012  # a subclass replaces it
    """Laws not to try, each with the reason."""

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        """Make a store that is not yet initialised: same location, same data; otherwise none of it."""
        raise NotImplementedError("say how a store is made: override make(), or the fixture harness")

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls) -> Harness:
        """Return the harness; override it for one with hooks."""
        return as_harness(cls().make)

    @pytest.fixture(scope="class")
    @classmethod
    def conformance_run(cls, harness: Harness) -> Iterator[Run]:
        """Find out once what the store declares."""
        try:
            yield Run(harness, profile=cls.profile, seed=cls.seed)
        except CannotRun as error:
            pytest.fail(str(error), pytrace=False)

    @pytest.mark.parametrize("law", _LAWS, ids=[law.id for law in _LAWS])
    def test_law(self, law: Law, conformance_run: Run) -> None:
        """The store keeps the law."""
        if law.id in self.exclude:
            pytest.skip(f"excluded: {self.exclude[law.id]}")
        result = conformance_run.try_law(law, PROFILES[self.profile].seconds * law.weight / _WEIGHT)
        if result.verdict is Verdict.BROKEN and law.level == "SHOULD":
            pytest.skip("\n".join(failure_lines(result)))
        if result.verdict is Verdict.BROKEN:
            pytest.fail("\n".join(failure_lines(result)), pytrace=False)
        if result.verdict is Verdict.INCONCLUSIVE:
            pytest.fail(f"{law.id} is inconclusive: {result.reason}", pytrace=False)
        if result.verdict is not Verdict.PASSED:
            pytest.skip(f"{result.verdict}: {result.reason}")

    def test_exclusions_are_known_and_explained(self) -> None:
        """Every law that is excluded exists, and there is a reason for it."""
        known: dict[str, Any] = {law.id: law for law in _LAWS}
        assert [law_id for law_id in self.exclude if law_id not in known] == []  # noqa: S101  # it is a test
        assert [law_id for law_id, reason in self.exclude.items() if not reason.strip()] == []  # noqa: S101
