"""A copy of the state that MongoDB can query, beside the payload, which is the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from palaver.codec import decode_session, decode_state
from palaver.errors import CorruptSessionError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("native_state",)

# Nobody queries what is larger, and twice its size must stay far below the largest document.
_MAX_BYTES: Final = 1024 * 1024

# MongoDB takes documents of 100 levels; the statement that carries this one needs some of them.
_MAX_DEPTH: Final = 90


def native_state(session_id: str, payload: bytes) -> RawBSONDocument | None:
    """Return the state in a payload of the default codec as BSON; None when it is none or BSON cannot express it."""
    if len(payload) > _MAX_BYTES:
        return None
    try:
        state = decode_state(decode_session(payload, session_id).state, session_id)
        # Encoded once and for all: what cannot be expressed shows here, and not in the middle of a batch.
        encoded = bson.encode(state)
    except (CorruptSessionError, BSONError, OverflowError, RecursionError, UnicodeError):
        return None
    return None if _is_too_deep(state, payload) else RawBSONDocument(encoded)


def _is_too_deep(state: dict[str, Any], payload: bytes) -> bool:
    if payload.count(b"{") + payload.count(b"[") <= _MAX_DEPTH:
        return False
    level: list[Any] = [state]
    for _ in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in _values(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _values(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container
