"""Examples from Hypothesis, drawn before they are used: a law is asynchronous, Hypothesis is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ("draw",)

T = TypeVar("T")


def draw(strategy: SearchStrategy[T], count: int, begin: str) -> list[T]:
    """Draw up to `count` examples; the same ones for the same beginning."""
    examples: list[T] = []

    @seed(begin)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: T) -> None:
        examples.append(example)

    collect()
    return examples
