"""The value model: what a state may hold."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver import InvalidStateError
from palaver.state.codec import decode_state, encode_state
from palaver.state.json_state import MAX_DEPTH, check_state

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20)
states = st.dictionaries(keys, values)


def same(left: Any, right: Any) -> bool:
    """Equal, type for type, key for key in order, sign of zero included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return repr(left) == repr(right)


@given(states)
def test_what_passes_comes_back_equal_type_for_type(state: dict[str, Any]) -> None:
    """Every state that is accepted is given back as it was, to the type, the order of keys and the sign of zero."""
    assert same(decode_state(encode_state(state), "any"), state)


class Colour(str, Enum):  # noqa: UP042  # such enums exist
    RED = "red"


class Number(IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        (float("nan"), "state.x", "finite"),
        (float("-inf"), "state.x", "finite"),
        (2**63, "state.x", "64 bits"),
        (-(2**63) - 1, "state.x", "64 bits"),
        (datetime(2026, 1, 1), "state.x", "datetime"),  # noqa: DTZ001
        ({1, 2}, "state.x", "set"),
        ((1, 2), "state.x", "tuple"),
        (b"bytes", "state.x", "bytes"),
        (Decimal(1), "state.x", "Decimal"),
        (Colour.RED, "state.x", "Colour"),
        (Number.ONE, "state.x", "Number"),
        (Text("x"), "state.x", "Text"),
        (OrderedDict(a=1), "state.x", "OrderedDict"),
        ({Colour.RED: 1}, "state.x", "key of type Colour"),
        ({1: "a"}, "state.x", "key of type int"),
        ({None: "a"}, "state.x", "key of type NoneType"),
        ("\ud800", "state.x", "surrogate"),
        ({"\ud800": 1}, "state.x", "surrogate"),
        ({"cart": [1, 2, {"when": {3}}]}, "state.x.cart[2].when", "set"),
        ({"odd key": [object()]}, "state.x['odd key'][0]", "object"),
    ],
)
def test_anything_else_is_refused_with_its_path(value: Any, path: str, words: str) -> None:
    """What JSON cannot give back is refused, by type and path, and never by its value."""
    for refuse in (check_state, encode_state):
        with pytest.raises(InvalidStateError) as caught:
            refuse({"ok": 1, "x": value})

    assert caught.value.path == path
    assert words in str(caught.value)
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize("state", [None, [], "text", 1])
def test_a_state_is_a_dict(state: Any) -> None:
    """Nothing but a dict is a state."""
    with pytest.raises(InvalidStateError, match="a state is a dict"):
        check_state(state)


def nested(depth: int) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for _ in range(depth - 1):
        state = {"d": state}
    return state


def test_the_depth_is_limited() -> None:
    """A state may be as deep as every store takes it, and no deeper."""
    for check in (check_state, encode_state):
        check(nested(MAX_DEPTH))

        with pytest.raises(InvalidStateError, match=f"deeper than {MAX_DEPTH}"):
            check(nested(MAX_DEPTH + 1))


def test_a_state_that_contains_itself_is_refused() -> None:
    """A cycle is found, not followed for ever."""
    state: dict[str, Any] = {}
    state["self"] = state

    for check in (check_state, encode_state):
        with pytest.raises(InvalidStateError, match="deeper"):
            check(state)


odd_texts = st.text("a\u00e9\ud800", max_size=2)
odd_keys = odd_texts | st.sampled_from([1, None, Colour.RED])
odd_values = st.recursive(
    st.floats() | st.integers() | odd_texts | st.sampled_from([None, True, b"", Colour.RED, Number.ONE, Text("x")]),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(odd_keys, inner),
    max_leaves=5,
)


@given(st.dictionaries(odd_keys, odd_values, max_size=3))
def test_the_quick_walk_never_lets_through_what_the_law_refuses(state: dict[str, Any]) -> None:
    """A state can be encoded if and only if the law has nothing against it."""
    outcomes: list[str | None] = []
    for check in (check_state, encode_state):
        try:
            check(state)
            outcomes.append(None)
        except InvalidStateError as error:
            outcomes.append(str(error))

    assert outcomes[0] == outcomes[1]
    if outcomes == [None, None]:
        assert same(decode_state(encode_state(state), "any"), state)


def test_64_bit_integers_are_exact() -> None:
    """The largest and the smallest 64-bit integers come back as they are."""
    state = {"most": 2**63 - 1, "least": -(2**63), "beyond a double": 2**53 + 1}

    assert decode_state(encode_state(state), "any") == state
