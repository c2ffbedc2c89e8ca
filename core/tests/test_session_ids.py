"""Which session ids there can be."""

from __future__ import annotations

from typing import Any

import pytest

from palaver import InvalidSessionIdError
from palaver.contract.session_ids import check_session_id


@pytest.mark.parametrize(
    "session_id", ["a", " ", "../x", "telegram:42", "é" * 256, "x" * 512, "\U0001f600" * 128, "\n"]
)
def test_any_text_of_1_to_512_bytes_is_an_id(session_id: str) -> None:
    """Nothing in an id has a meaning, up to the limit."""
    check_session_id(session_id)


@pytest.mark.parametrize(
    ("session_id", "words"),
    [
        ("", "empty"),
        ("x" * 513, "513 bytes"),
        ("é" * 257, "514 bytes"),
        ("a\0b", "U+0000"),
        ("a\ud800", "surrogate at position 1"),
        (42, "type int"),
        (None, "NoneType"),
        (b"bytes", "bytes"),
    ],
)
def test_anything_else_is_refused(session_id: Any, words: str) -> None:
    """What some store could not tell apart is refused for all, and the error says why."""
    with pytest.raises(InvalidSessionIdError, match=words.replace("+", r"\+")):
        check_session_id(session_id)
