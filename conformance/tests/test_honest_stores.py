"""The stores that saboteurs are made of keep every law: what a saboteur breaks, it breaks by itself."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from palaver_conformance import check_store
from palaver_conformance.report.findings import Verdict
from palaver_conformance.saboteurs._honest import HonestHarness
from palaver_conformance.saboteurs._honest_files import FileHarness
from palaver_conformance.saboteurs._honest_server import ServerHarness
from palaver_conformance.saboteurs.failures import LimitedStore

if TYPE_CHECKING:
    from palaver_conformance.report.report import Report


class LimitedHarness(HonestHarness):
    """Makes honest stores that take payloads up to a limit."""

    store = LimitedStore


HARNESSES = [HonestHarness, LimitedHarness, FileHarness, ServerHarness]

NOT_TRIED = {"VALUE-07", "RESOURCE-03"}
"""The first needs a look at the medium past the store, the second more time."""


@cache
def report_of(harness: type) -> Report:
    """Return what the kit finds of an honest store; it is tried once."""
    return check_store(harness, profile="smoke")


@pytest.mark.parametrize("harness", HARNESSES)
def test_honest_store_conforms(harness: type) -> None:
    """An honest store breaks no law."""
    assert report_of(harness).broken == ()


def test_every_law_is_tried_on_an_honest_store() -> None:
    """Between them the honest stores have what the laws need."""
    results = [result for harness in HARNESSES for result in report_of(harness).results]
    tried = {result.law.id for result in results if result.verdict is Verdict.PASSED}
    assert {result.law.id for result in results} - tried == NOT_TRIED
