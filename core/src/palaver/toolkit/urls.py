"""Store URLs: their scheme, the options in their query, and what of them may be shown."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from palaver.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = (
    "STORE_OPTIONS",
    "check_host",
    "guess",
    "merge_options",
    "redact_url",
    "split_query",
    "unknown_option",
    "url_scheme",
)

STORE_OPTIONS: Final = ("namespace", "ttl")
"""The options that the URL of every store can have."""

# RFC 3986, section 3.1; "redis+cluster" is one scheme.
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")


def url_scheme(url: str) -> str:
    """Return the scheme of a store URL in lower case.

    Raises:
        InvalidOptionError: the text is no URL.
    """
    match = _SCHEME.match(url) if isinstance(url, str) else None
    if match is None:
        raise InvalidOptionError("a store URL begins with a scheme, as in memory:// or file:.sessions", option="url")
    return match[1].lower()


def check_host(host: str) -> None:
    """Refuse a host that no name server could know; addresses and the paths of sockets pass.

    Raises:
        InvalidOptionError: a part of its name is empty or too long.
    """
    if host.startswith(("/", "@")) or host.count(":") > 1:
        return  # a socket, or an address of IPv6
    try:
        host.partition(":")[0].encode("idna")
    except UnicodeError:
        # Neither the name nor the cause, which quotes it: it may be a part of a password that is not percent-encoded.
        raise InvalidOptionError(
            "the host is no host name: between its dots are 1 to 63 characters", option="url"
        ) from None


def split_query(url: str) -> tuple[str, dict[str, str]]:
    """Split a URL into what stands before the `?` and the options after it.

    Raises:
        InvalidOptionError: the query is not a list of `name=value`, or a name stands in it twice.
    """
    address, _, query = url.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        # What the error would quote may be a password with a ? in it.
        raise InvalidOptionError("what follows the ? must be options, as in ?ttl=60", option="url") from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InvalidOptionError("an option stands in the URL twice", option="url")
    return address, options


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


def redact_url(url: str) -> str:
    """Return a URL that may be shown: without its user, its password and its query.

    A password with an unescaped `/` or `@` in it is removed as well.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.partition("?")[0]
    # A path after an empty host may have an @ of its own; everything else before the last @ may be a secret.
    if not rest.startswith("/") and "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    return scheme + separator + rest.partition("?")[0]
