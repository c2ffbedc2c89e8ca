"""What a saboteur is: a store that is wrong in exactly one way, and the law that must catch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from palaver_conformance.harness import Harness

__all__ = ("Saboteur", "all_saboteurs", "saboteur")

HarnessT = TypeVar("HarnessT", bound="type[Harness]")


@dataclass(frozen=True, kw_only=True)
class Saboteur:
    """A wrong store, and how it is found out."""

    name: str
    law: str
    """The id of the law that must catch it."""
    words: str
    """Words that the message must contain."""
    sentence: str
    """What is wrong with it."""
    harness: Callable[[], Harness]


_saboteurs: Final[dict[str, Saboteur]] = {}


def saboteur(name: str, *, law: str, words: str) -> Callable[[HarnessT], HarnessT]:
    """Make a saboteur of a harness; its docstring says what is wrong."""

    def register(harness: HarnessT) -> HarnessT:
        if name in _saboteurs:
            raise ValueError(f"there are two saboteurs {name}")
        sentence = " ".join((harness.__doc__ or "").split())
        _saboteurs[name] = Saboteur(name=name, law=law, words=words, sentence=sentence, harness=harness)
        return harness

    return register


def all_saboteurs() -> tuple[Saboteur, ...]:
    """Return all saboteurs, in order of their making."""
    return tuple(_saboteurs.values())
