"""The laws as a whole: what they prove, and how they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from palaver.contract.store import Capabilities
from palaver_conformance.harness import HOOKS
from palaver_conformance.laws import all_laws
from palaver_conformance.laws.untestable import UNTESTABLE, UNTESTABLE_IN_PART, contract_rules

if TYPE_CHECKING:
    from palaver_conformance.ground.law import Law

LAWS = all_laws()


def test_every_rule_of_the_contract_is_proven_or_published_as_untestable() -> None:
    """No rule of the contract is without a law, unless it says why."""
    proven = {rule for law in LAWS for rule in law.proves}

    assert set(contract_rules()) - proven == set(UNTESTABLE)


def test_laws_prove_rules_that_exist() -> None:
    """What a law says that it proves is a rule of the contract."""
    assert {rule for law in LAWS for rule in law.proves} <= set(contract_rules())
    assert {*UNTESTABLE, *UNTESTABLE_IN_PART} <= set(contract_rules())


@pytest.mark.parametrize("law", LAWS, ids=[law.id for law in LAWS])
def test_a_law_is_complete(law: Law) -> None:
    """A law has a sentence, a rule that it proves and a saboteur that it catches, and needs only what there is."""
    assert law.sentence.endswith(".")
    assert law.proves
    assert law.catches
    assert set(law.needs) <= set(Capabilities.__dataclass_fields__)
    assert set(law.hooks) <= {*HOOKS, "spawn"}


def test_a_law_with_the_id_of_a_rule_proves_that_rule_or_its_family() -> None:
    """Nobody who knows the contract is misled by the id of a law."""
    rules = contract_rules()
    families = {rule.rpartition("-")[0] for rule in rules}

    for law in LAWS:
        if law.id in rules and law.family in families:
            assert any(rule.startswith(f"{law.family}-") for rule in law.proves) or law.family in ("ERROR", "SCAN")
