"""Three-way merge: what only one side changed is kept, and what both changed is never lost in silence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver.state.merge import MISSING, merge

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0]) | st.text("ab", max_size=2)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
STATES = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def merged(base: Any, theirs: Any, mine: Any) -> tuple[Any, list[str]]:
    conflicts: list[str] = []
    return merge((base, theirs, mine), "state", conflicts), conflicts


@pytest.mark.parametrize(
    ("base", "theirs", "mine", "expected"),
    [
        ({"n": 1}, {"n": 2}, {"n": 1}, {"n": 2}),
        ({"n": 1}, {"n": 1}, {"n": 2}, {"n": 2}),
        ({"n": 1, "m": 1}, {"m": 1}, {"n": 1, "m": 2}, {"m": 2}),
        ({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({}, {"user": {"a": 1}}, {"user": {"b": 2}}, {"user": {"a": 1, "b": 2}}),
        ({"l": [1]}, {"l": [1, 2]}, {"l": [1, 3]}, {"l": [1, 2, 3]}),
        ({"l": []}, {"l": ["x"]}, {"l": ["x"]}, {"l": ["x", "x"]}),
        ({}, {"l": [1]}, {"l": [2]}, {"l": [1, 2]}),
    ],
)
def test_what_does_not_clash_is_put_together(base: Any, theirs: Any, mine: Any, expected: Any) -> None:
    """Keys, nested keys and appended items of both sides are there; theirs come first."""
    assert merged(base, theirs, mine) == (expected, [])


@pytest.mark.parametrize(
    ("base", "theirs", "mine", "paths"),
    [
        ({"n": 5}, {"n": 6}, {"n": 6}, ["state.n"]),
        ({"n": 1}, {"n": 1.0}, {"n": True}, ["state.n"]),
        ({"token": "x"}, {}, {}, ["state.token"]),
        ({"n": 5}, {}, {"n": 6}, ["state.n"]),
        ({"n": 5}, {"n": 6}, {}, ["state.n"]),
        ({"l": [1, 2]}, {"l": [1]}, {"l": [1, 2, 3]}, ["state.l"]),
        ({"l": [1]}, {"l": [1, 2]}, {"l": {}}, ["state.l"]),
        ({"u": {"a b": 1, "c": 1}}, {"u": {"a b": 2, "c": 1}}, {"u": {"a b": 3, "c": 2}}, ["state.u['a b']"]),
    ],
)
def test_what_both_changed_is_named(base: Any, theirs: Any, mine: Any, paths: list[str]) -> None:
    """Even when both wrote the same: two increments of 5 are not 6."""
    assert merged(base, theirs, mine)[1] == paths


@given(base=STATES, changed=STATES)
def test_a_side_that_changed_nothing_leaves_the_other_as_it_is(base: Any, changed: Any) -> None:
    """Whichever side that is."""
    assert merged(base, changed, base) == (changed, [])
    assert merged(base, base, changed) == (changed, [])


@given(base=STATES, theirs=STATES, mine=STATES)
def test_both_sides_find_the_same_conflicts(base: Any, theirs: Any, mine: Any) -> None:
    """Who saved first decides the order of what was appended, and nothing else."""
    assert sorted(merged(base, theirs, mine)[1]) == sorted(merged(base, mine, theirs)[1])


@given(base=STATES, theirs=STATES, mine=STATES)
def test_without_a_conflict_every_change_of_a_key_is_there(base: Any, theirs: Any, mine: Any) -> None:
    """A key that one side set to a scalar has that value; one that a side removed is gone."""
    outcome, conflicts = merged(base, theirs, mine)
    if conflicts:
        return

    for side in (theirs, mine):
        for key in {**base, **side}:
            before, after = base.get(key, MISSING), side.get(key, MISSING)
            if before != after and not isinstance(after, list | dict):
                assert outcome.get(key, MISSING) == after
