"""What the contract says and no law proves: published, so that nobody takes silence for proof."""

from __future__ import annotations

import inspect
import re
from typing import Final

from palaver.contract import store as contract

_RULE: Final = r"\[([A-Z]+-\d\d)\]\s+(.+?)(?=\n\s*\n|\n\s*- \[|\"\"\")"

__all__ = ("UNTESTABLE", "UNTESTABLE_IN_PART", "contract_rules")

UNTESTABLE: Final = {
    "CLOSE-03": "only stores that take a client object can break it, and the kit does not know how they are made; "
    "such a store tests it itself",
}
"""Rules of the contract that no law proves, each with the reason."""

UNTESTABLE_IN_PART: Final = {
    "DURABLE-01": "a process is killed, power is not cut: that what is written reaches the disk is a matter of the "
    "medium's own settings, which a store's author reviews",
    "ERROR-01": "that a failing medium is told apart from an empty one is proven where the harness can make it fail "
    "(hooks `fail`, `address`, `cut`) or damage a record (`corrupt`)",
    "ERROR-02": "logs of a client library below INFO are not looked at, only those of the store's own package",
    "EXPIRY-01": "a server's own collection of garbage runs by its own clock and may take minutes; the kit does not "
    "wait for it",
    "INIT-03": "it needs a medium that cannot be used (hook `make_unusable` or `address`)",
    "LOOP-01": "a call that blocks for less than a fiftieth of a second, and is none of those that Python reports, is "
    "not noticed",
    "SWAP-02": "that processes on several computers swap atomically is proven with processes on one",
}
"""Rules of which a part cannot be tested, or not with every harness."""


def contract_rules() -> dict[str, str]:
    """Return the rules of the contract by their ids, as `palaver.contract.store` words them."""
    # From the source: what stands below an attribute is no `__doc__`.
    found = re.finditer(
        r"\[([A-Z]+-\d\d)\]\s+(.+?)(?=\n\s*\n|\n\s*- \[|\"\"\")", inspect.getsource(contract), re.DOTALL
    )
    return {match[1]: " ".join(match[2].split()) for match in found}
