"""JSON as those write it who call a client library directly."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec

__all__ = ("ABSENT", "TTL_MS", "LostUpdateError", "count", "decode", "encode", "new_version")

TTL_MS: Final = 365 * 24 * 3600 * 1000
"""A year, as for Palaver's stores."""

ABSENT: Final = ""
"""The version of what is not there."""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(dict[str, Any]).decode


class LostUpdateError(Exception):
    """Raised when a session was saved by somebody else meanwhile, which nobody here does."""


def new_version() -> str:
    """Return a token that was never used before."""
    return uuid.uuid4().hex


def count(state: dict[str, Any]) -> int:
    """Change a state as the handler of a turn does."""
    state["turns"] += 1
    counted: int = state["turns"]
    return counted
