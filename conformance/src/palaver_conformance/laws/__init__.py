"""The laws, one module for each family; a law reads as one short test, and its docstring is its sentence.

Imports the contract of the core, and of the kit what laws are tried with: ground, histories, instruments, model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from palaver_conformance.ground.law import registered

if TYPE_CHECKING:
    from palaver_conformance.ground.law import Law

__all__ = ("all_laws",)

_FAMILIES: Final = (
    "capabilities",
    "lifecycle",
    "place",
    "verbs",
    "values",
    "ids",
    "isolation",
    "expiry",
    "swap",
    "remove",
    "batch",
    "touch",
    "scan",
    "purge",
    "clear",
    "errors",
    "concurrency",
    "cancellation",
    "resources",
    "durability",
    "faults",
    "model",
)


def all_laws() -> tuple[Law, ...]:
    """Return all laws, family by family."""
    for family in _FAMILIES:
        import_module(f"palaver_conformance.laws.{family}")
    families = list(dict.fromkeys(law.family for law in registered()))
    return tuple(sorted(registered(), key=lambda law: families.index(law.family)))
