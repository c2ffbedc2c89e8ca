"""How a session becomes the payload of a record: JSON text that people can read in any medium."""

from __future__ import annotations

from typing import Any

import msgspec

from palaver.errors import CorruptSessionError, InvalidStateError
from palaver.state.json_state import check_state, is_plain

__all__ = ("StoredSession", "check_stored", "decode_session", "decode_state", "encode_session", "encode_state")


class StoredSession(msgspec.Struct, frozen=True, gc=False):
    """A session as its payload has it."""

    id: str
    created: int
    """When the session began, in Unix milliseconds."""

    last_activity: int
    """When a turn last changed it, in Unix milliseconds."""

    state: msgspec.Raw
    """The encoded state, decoded only when somebody looks at it."""


_encode = msgspec.json.Encoder().encode
_decode_session = msgspec.json.Decoder(StoredSession).decode
_decode_state = msgspec.json.Decoder(dict[str, Any]).decode


def encode_state(state: Any) -> bytes:
    """Encode a state as JSON text; equal bytes mean an equal state.

    Raises:
        InvalidStateError: it holds something that is not JSON.
    """
    try:
        encoded = _encode(state)
    except (TypeError, ValueError, OverflowError, RecursionError):
        check_state(state)
        raise
    if type(state) is not dict or not is_plain(state):
        check_state(state)
    return encoded


def decode_state(encoded: bytes | msgspec.Raw, session_id: str) -> dict[str, Any]:
    """Decode what `encode_state` made: a new object each time.

    Raises:
        CorruptSessionError: it is not a JSON object.
    """
    try:
        return _decode_state(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptSessionError(f"its state is not a JSON object ({error})", session_id=session_id) from error


def check_stored(encoded: bytes, session_id: str) -> None:
    """Refuse a stored state that no turn could have saved, such as one with an integer of more than 64 bits.

    Raises:
        CorruptSessionError: it is not within the value model.
    """
    try:
        check_state(decode_state(encoded, session_id))
    except InvalidStateError as fault:
        raise CorruptSessionError(f"its {fault}", session_id=session_id) from fault


def encode_session(session: StoredSession) -> bytes:
    """Encode a session as the payload of a record."""
    return _encode(session)


def decode_session(payload: bytes, session_id: str) -> StoredSession:
    """Decode the payload of the record that a store has for `session_id`.

    Raises:
        CorruptSessionError: it is not a session, or it is the session of another id.
    """
    try:
        session = _decode_session(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptSessionError(f"its payload is not a session ({error})", session_id=session_id) from error
    if session.id != session_id:
        raise CorruptSessionError(f"its payload is that of session {session.id!r}", session_id=session_id)
    return session
