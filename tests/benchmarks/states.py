"""States that look like those of real bots: a dialogue, a basket and what was said, nested and of mixed types."""

from __future__ import annotations

from itertools import count, cycle
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("COUNTER", "make_state")

COUNTER: Final = "turns"
"""The key of the number that each turn adds one to."""

_SENTENCES: Final = (
    "Hi, I would like to order two large pizzas for tonight.",
    "Sure! Where should we bring them?",
    "Rosenstraße 12, third floor; please ring twice 🔔",
    "Anything to drink with that?",
    "No, thank you. Can I pay by card?",
)


def make_state(size: int) -> dict[str, Any]:
    """Return a state of about `size` bytes as JSON; always the same for the same size."""
    state: dict[str, Any] = {COUNTER: 0, "asking": True, "user": {"nickname": "Tim", "language": "en"}}
    parts = _parts()
    while len(msgspec.json.encode(state)) < size:
        key, part = next(parts)
        state.setdefault(key, []).append(part)
    return state


def _parts() -> Iterator[tuple[str, dict[str, Any]]]:
    for number, sentence in zip(count(1), cycle(_SENTENCES), strict=False):
        yield "history", {"from": "bot" if number % 2 else "user", "text": sentence}
        yield "cart", {"sku": f"A-{number:05}", "price": 4.5 + number, "count": number % 4, "gift": None}
