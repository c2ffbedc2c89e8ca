"""What a saboteur is: a store that is wrong in exactly one way, and the law that must catch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from palaver_conformance.saboteurs._honest import HonestHarness, HonestStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from palaver_conformance.harness import Harness

__all__ = ("Saboteur", "all_saboteurs", "saboteur")

WrongT = TypeVar("WrongT", bound="type[Any]")


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


def saboteur(name: str, *, law: str, words: str) -> Callable[[WrongT], WrongT]:
    """Make a saboteur of a kind of `HonestStore`, or of a harness; the docstring says what is wrong."""

    def register(wrong: WrongT) -> WrongT:
        if name in _saboteurs:
            raise ValueError(f"there are two saboteurs {name}")
        sentence = " ".join((wrong.__dict__.get("__doc__") or "").split())
        _saboteurs[name] = Saboteur(name=name, law=law, words=words, sentence=sentence, harness=_harness_of(wrong))
        return wrong

    return register


def _harness_of(wrong: type[Any]) -> Callable[[], Harness]:
    if not issubclass(wrong, HonestStore):
        return wrong
    return type(f"{wrong.__name__}Harness", (HonestHarness,), {"store": wrong})


def all_saboteurs() -> tuple[Saboteur, ...]:
    """Return all saboteurs, in order of their making."""
    return tuple(_saboteurs.values())
