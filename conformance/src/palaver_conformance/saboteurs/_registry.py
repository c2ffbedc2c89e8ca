"""What a saboteur is: a store that is wrong in exactly one way, and the law that must catch it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from palaver_conformance.saboteurs._honest import HonestHarness, HonestStore
from palaver_conformance.saboteurs._honest_files import FileHarness, FileStore
from palaver_conformance.saboteurs._honest_server import ServerHarness, ServerStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from palaver_conformance.harness import Harness

__all__ = ("Saboteur", "registered", "saboteur")

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
    profile: str
    """The shortest profile in which the law has time enough."""


_saboteurs: Final[dict[str, Saboteur]] = {}


def saboteur(name: str, *, law: str, words: str, profile: str = "smoke") -> Callable[[WrongT], WrongT]:
    """Make a saboteur of a kind of honest store, or of a harness; the docstring says what is wrong."""

    def register(wrong: WrongT) -> WrongT:
        if name in _saboteurs:
            raise ValueError(f"there are two saboteurs {name}")
        sentence = " ".join((wrong.__dict__.get("__doc__") or "").split())
        _saboteurs[name] = Saboteur(
            name=name, law=law, words=words, sentence=sentence, harness=_harness_of(wrong), profile=profile
        )
        return wrong

    return register


_HARNESSES: Final = ((FileStore, FileHarness), (ServerStore, ServerHarness), (HonestStore, HonestHarness))


def _harness_of(wrong: type[Any]) -> Callable[[], Harness]:
    for store, harness in _HARNESSES:
        if issubclass(wrong, store):
            return partial(_with_store, harness, wrong)
    return wrong


def _with_store(harness: type[Any], store: type[HonestStore]) -> Harness:
    # On the object, not on a class of its own: so another process can make the same.
    made: Any = harness()
    made.store = store
    return made  # type: ignore[no-any-return]


def registered() -> tuple[Saboteur, ...]:
    """Return the saboteurs that were made so far, in order of their making."""
    return tuple(_saboteurs.values())
