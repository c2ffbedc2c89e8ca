"""The options of a store, by keyword and in a URL: checked where they are given, in the same words on every driver."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any, Final

from palaver.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ("STORE_OPTIONS", "check_seconds", "guess", "merge_options", "unknown_option")

STORE_OPTIONS: Final = ("namespace", "ttl")
"""The options that the URL of every store can have."""


def check_seconds(seconds: float, option: str, *, most: float = math.inf) -> float:
    """Return a time, unless it is none.

    Args:
        seconds: the time.
        option: what it was given as.
        most: the longest that there can be.

    Raises:
        InvalidOptionError: it is not a positive number of seconds, or too long.
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds < math.inf:
        raise InvalidOptionError(f"{seconds!r} is not a positive number of seconds", option=option)
    if seconds > most:
        raise InvalidOptionError(f"it is {seconds:g} seconds, but at most {most:g} can be kept", option=option)
    return float(seconds)


def merge_options(
    query: Mapping[str, str], options: Mapping[str, Any], own: Mapping[str, Callable[[str], Any]] | None = None
) -> dict[str, Any]:
    """Merge the options of a URL's query with those given by keyword, which win.

    Args:
        query: the options in the URL, as text.
        options: the options given by keyword; besides those that a URL can have, `clock`.
        own: the options of this store besides `ttl` and `namespace`, each with what makes its value from text.

    Returns:
        Keyword arguments for the store.

    Raises:
        InvalidOptionError: an option is unknown, or its text has no meaning.
    """
    converters: dict[str, Callable[[str], Any]] = {"ttl": _ttl_from_text, "namespace": str, **(own or {})}
    for name in query:
        if name not in converters:
            raise unknown_option(name, converters)
    for name in options:
        if name not in converters and name != "clock":
            raise unknown_option(name, (*converters, "clock"))
    return {name: _convert(name, text, converters[name]) for name, text in query.items()} | dict(options)


def unknown_option(name: str, known: Iterable[str]) -> InvalidOptionError:
    """Return the error for an option that there is not; it names all that there are, and guesses which was meant.

    Args:
        name: the option.
        known: the driver's own options; those of every store are added.
    """
    names = sorted({*STORE_OPTIONS, *known})
    return InvalidOptionError(f"unknown; {guess(name, names)}there are {', '.join(names)}", option=name)


def guess(name: str, known: Iterable[str]) -> str:
    """Return a question about what was meant, or nothing if no known name is similar."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def _convert(name: str, text: str, converter: Callable[[str], Any]) -> Any:
    try:
        return converter(text)
    except Exception as error:  # whatever the driver's converter does to a text that it was not made for
        meaning = _MEANINGS.get(converter)
        fault = "in the URL has no meaning" if meaning is None else f"in the URL is not {meaning}"
        raise InvalidOptionError(f"{text!r} {fault}", option=name) from error


def _ttl_from_text(text: str) -> float | None:
    return None if text.lower() == "none" else float(text)


_MEANINGS: Final[Mapping[Callable[[str], Any], str]] = {
    int: "a whole number",
    float: "a number",
    _ttl_from_text: "a number of seconds, or none",
}
