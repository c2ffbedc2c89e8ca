"""The one value model: which states there can be, whatever the driver.

State is JSON: null, bool, 64-bit int, finite float, str, list and dict with str keys, of exactly these types. What
passes is given back equal, type for type; anything else is refused before it is stored.

There are two walks over a state. `check_state` is the law: it knows every rule, and says what is wrong and where.
`is_plain` is for every turn, where nearly always nothing is wrong: it only says whether the law need not be asked.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final, TypeAlias

from palaver.errors import InvalidStateError

__all__ = ("MAX_DEPTH", "check_state", "is_plain", "path_step")

MAX_DEPTH: Final = 96
"""How deep a state may be nested: MongoDB takes 100 levels, and a stored session needs some of its own."""

_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**63 - 1
_INT_BITS: Final = 63

# The way to a container, innermost key last; a tuple for each container is cheaper than a string for each value.
_Trail: TypeAlias = "tuple[_Trail, str | int] | None"


def is_plain(state: dict[Any, Any]) -> bool:  # noqa: C901, PLR0912  # one loop is fast
    """Tell whether `check_state` has nothing against a state that could be encoded.

    What the encoder refuses by itself, such as lone surrogates and cycles, is not looked for: encode first.
    """
    # Level by level, without a call for each container, and types in the order of how often they are met: this is the
    # largest part of a turn's own time.
    level: list[Any] = [state]
    for _ in range(MAX_DEPTH):
        deeper = []
        for container in level:
            if type(container) is dict:
                for key in container:
                    if type(key) is not str:
                        return False
            for value in container.values() if type(container) is dict else container:
                kind = type(value)
                if kind is str:
                    continue
                if kind is int:
                    if value.bit_length() > _INT_BITS:  # one value of 64 bits has more: it passes the law
                        return False
                elif kind is dict or kind is list:
                    deeper.append(value)
                elif kind is float:
                    if not isfinite(value):
                        return False
                elif kind is not bool and value is not None:
                    return False
        if not deeper:
            return True
        level = deeper
    return False


def check_state(state: Any) -> None:
    """Refuse a state, or a part of one, that JSON cannot give back equal, type for type.

    Args:
        state: the whole state, or a patch of its top-level keys.

    Raises:
        InvalidStateError: something in it is not JSON; the error names its path, and never its value.
    """
    if type(state) is not dict:
        raise InvalidStateError(f"is of type {type(state).__name__}; a state is a dict")
    _check_container(state, None, depth=1)


def _check_container(container: dict[str, Any] | list[Any], trail: _Trail, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidStateError(f"is nested deeper than {MAX_DEPTH} levels", path=_path(trail))
    if type(container) is dict:
        _check_keys(container, trail)
    for key, value in container.items() if type(container) is dict else enumerate(container):
        kind = type(value)
        if kind is dict or kind is list:
            _check_container(value, (trail, key), depth + 1)
        else:
            _check_scalar(value, trail, key)


def _check_keys(container: dict[Any, Any], trail: _Trail) -> None:
    for key in container:
        if type(key) is not str:
            raise InvalidStateError(f"has a key of type {type(key).__name__}; keys are str", path=_path(trail))
        if _has_surrogate(key):
            raise InvalidStateError("has a key with a lone surrogate", path=_path(trail))


def _check_scalar(value: Any, trail: _Trail, key: str | int) -> None:
    fault = _scalar_fault(value)
    if fault is not None:
        raise InvalidStateError(fault, path=_path((trail, key)))


def _scalar_fault(value: Any) -> str | None:
    kind = type(value)
    if value is None or kind is bool:
        return None
    if kind is str:
        return "contains a lone surrogate" if _has_surrogate(value) else None
    if kind is int:
        return None if _MIN_INT <= value <= _MAX_INT else "is an integer of more than 64 bits"
    if kind is float:
        return None if isfinite(value) else "is not a finite number"
    return f"is of type {kind.__name__}; a state holds None, bool, int, float, str, list and dict"


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _path(trail: _Trail) -> str:
    keys: list[str | int] = []
    while trail is not None:
        trail, key = trail
        keys.append(key)
    return "state" + "".join(map(path_step, reversed(keys)))


def path_step(key: str | int) -> str:
    """Return how a path goes on to a key of a dict, or to a place in a list."""
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"
