"""Which session ids there can be: the engine refuses all others, so that no driver needs to."""

from __future__ import annotations

from typing import Final

from palaver.errors import InvalidSessionIdError

__all__ = ("MAX_ID_BYTES", "check_session_id", "text_fault")

MAX_ID_BYTES: Final = 512


def check_session_id(session_id: str, *, max_bytes: int = MAX_ID_BYTES) -> None:
    """Refuse what cannot be a session id.

    Args:
        session_id: any Unicode text; nothing in it has a meaning to Palaver.
        max_bytes: how many UTF-8 bytes it may take.

    Raises:
        InvalidSessionIdError: it is not text, is empty or too long, or has U+0000 or a lone surrogate.
    """
    if not isinstance(session_id, str):
        raise InvalidSessionIdError(f"it is of type {type(session_id).__name__}, not str")
    if not session_id:
        raise InvalidSessionIdError("it is empty")
    fault = text_fault(session_id, max_bytes)
    if fault is not None:
        raise InvalidSessionIdError(fault)


def text_fault(text: str, max_bytes: int) -> str | None:
    """Say what makes `text` unfit to name something in every store, or None when it is fit."""
    if "\0" in text:
        return "it contains the character U+0000"
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        return f"it contains a lone surrogate at position {error.start}"
    if size > max_bytes:
        return f"it takes {size} bytes in UTF-8, more than {max_bytes}"
    return None
