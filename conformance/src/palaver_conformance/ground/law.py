"""What a law is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver_conformance.ground.ground import Ground

__all__ = ("Law", "Level", "law", "registered")

Trial: TypeAlias = "Callable[[Ground], Awaitable[None] | None]"


TrialT = TypeVar("TrialT", bound="Trial")


class Level(StrEnum):
    """How binding a law is."""

    MUST = "MUST"
    """A store that breaks it does not conform."""

    SHOULD = "SHOULD"
    """A store that breaks it conforms, and the report says so."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """One rule that the kit checks."""

    id: str
    sentence: str
    level: Level
    proves: tuple[str, ...]
    """The rules of the contract, as `palaver.contract.store` names them."""
    needs: tuple[str, ...]
    """The capabilities without which it has no meaning."""
    hooks: tuple[str, ...]
    """What the harness must offer for it to run."""
    catches: tuple[str, ...]
    """The saboteurs that prove that it bites."""
    weight: float
    """Its share of the time of a profile, as a multiple of an ordinary law's."""
    trial: Trial
    is_cause: bool
    """Whether many other laws break where it is broken, from the same cause."""

    @property
    def family(self) -> str:
        """The part of the id before the number."""
        return self.id.rpartition("-")[0]


_laws: Final[dict[str, Law]] = {}


def law(
    law_id: str,
    *,
    proves: tuple[str, ...],
    needs: tuple[str, ...] = (),
    hooks: tuple[str, ...] = (),
    catches: tuple[str, ...] = (),
    level: Level = Level.MUST,
    weight: float = 1.0,
    is_cause: bool = False,
) -> Callable[[TrialT], TrialT]:
    """Make a law of a function; its docstring is the law's sentence."""

    def register(trial: TrialT) -> TrialT:
        if law_id in _laws:
            raise ValueError(f"there are two laws {law_id}")
        _laws[law_id] = Law(
            id=law_id,
            sentence=_sentence(trial),
            level=level,
            proves=proves,
            needs=needs,
            hooks=hooks,
            catches=catches,
            weight=weight,
            trial=trial,
            is_cause=is_cause,
        )
        return trial

    return register


def registered() -> tuple[Law, ...]:
    """Return the laws that were made so far, in order of their making."""
    return tuple(_laws.values())


def _sentence(trial: Any) -> str:
    return " ".join((trial.__doc__ or "").split())
