"""A copy of the state that MongoDB can query, beside the payload, which is the truth."""

from __future__ import annotations

from typing import Any, Final

import bson
import msgspec
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

__all__ = ("native_state",)

# The copy of a larger state takes half of the time of a turn, in the client and in the server; few would query it.
_MAX_BYTES: Final = 64 * 1024

# MongoDB takes documents of 100 levels; the statement that carries this one needs some of them.
_MAX_DEPTH: Final = 90

_AS_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_NO_MARKS: Final = bytes(set(range(256)) - set(b'[]{}"'))


class _Payload(msgspec.Struct, gc=False):
    """What this store knows of a payload: that of the default codec says whose it is, and has the state."""

    id: str
    state: msgspec.Raw


_decode_payload: Final = msgspec.json.Decoder(_Payload).decode
_decode_state: Final = msgspec.json.Decoder(dict[str, Any]).decode


def native_state(session_id: str, payload: bytes) -> RawBSONDocument | None:
    """Return the state in a payload of the default codec as BSON; None when it is none or BSON cannot express it."""
    if len(payload) > _MAX_BYTES:
        return None
    try:
        found = _decode_payload(payload)
        if found.id != session_id:
            return None
        # Encoded once and for all: what cannot be expressed shows here, and not in the middle of a batch.
        encoded = bson.encode(_decode_state(found.state))
    except (msgspec.DecodeError, BSONError, OverflowError, RecursionError, UnicodeError):
        return None
    text = found.state
    return None if _is_too_deep(bytes(text)) else RawBSONDocument(encoded)


def _is_too_deep(encoded: bytes) -> bool:
    """Tell whether JSON text that was decoded once has more levels than MongoDB takes."""
    if encoded.count(b"{") + encoded.count(b"[") <= _MAX_DEPTH:
        return False
    if b"\\" in encoded:
        encoded = encoded.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = encoded.translate(_AS_BRACES, _NO_MARKS)
    # From every other quote on there is text; of nearly all texts nothing is left but their two quotes.
    brackets = b"".join(marks.replace(b'""', b"").split(b'"')[::2])
    for _ in range(_MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"")  # the innermost level
    return bool(brackets)
