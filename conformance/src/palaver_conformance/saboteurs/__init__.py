"""Stores that are wrong in exactly one way: the proof that the laws bite, one module a family.

Imports the contract of the core, and no law; only the table of kills runs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from palaver_conformance.saboteurs._registry import Saboteur, registered

__all__ = ("Saboteur", "all_saboteurs")

_FAMILIES: Final = (
    "capabilities",
    "lifecycle",
    "place",
    "opening",
    "errors",
    "failures",
    "durable",
    "faults",
    "resources",
    "cancellation",
    "concurrency",
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
)


def all_saboteurs() -> tuple[Saboteur, ...]:
    """Return all saboteurs, family by family."""
    for family in _FAMILIES:
        import_module(f"palaver_conformance.saboteurs.{family}")
    return registered()
