"""Options in the URL of a database: those of the store, and those of the client library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from palaver.errors import InvalidOptionError
from palaver.toolkit.options import unknown_option
from palaver.toolkit.urls import check_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import URL

__all__ = ("check_address", "count", "flag", "flag_as_text", "port", "ports", "take_options")

STORE_OPTIONS: Final = ("ttl", "namespace", "table", "schema", "connect_timeout", "timeout")
"""What is the store's in a URL, and not the client library's."""

_LAST_PORT: Final = 65_535


def take_options(url: URL, kinds: Mapping[str, Callable[[str], Any]]) -> tuple[URL, dict[str, Any]]:
    """Check the options in a URL, and split off those that the client library wants as something else than text.

    Args:
        url: the URL.
        kinds: what the client library knows, each with what makes its value from text.

    Returns:
        The URL with the others, and the arguments for the client library.

    Raises:
        InvalidOptionError: an option is unknown, or its text has no meaning.
    """
    arguments = {}
    for name, text in url.query.items():
        value = _convert(name, text, _kind(kinds, name))
        if not isinstance(value, str | tuple):
            arguments[name] = value
    return url.difference_update_query(arguments), arguments


def _kind(kinds: Mapping[str, Callable[[str], Any]], name: str) -> Callable[[str], Any]:
    if name in kinds:
        return kinds[name]
    if name in STORE_OPTIONS:
        raise InvalidOptionError("it is the store's: give it by keyword, or open the URL by open_store()", option=name)
    raise unknown_option(name, [*STORE_OPTIONS, *kinds])


def _convert(name: str, text: str | tuple[str, ...], kind: Callable[[str], Any]) -> Any:
    if kind is str:
        return text
    if not isinstance(text, str):
        raise InvalidOptionError("it stands in the URL twice", option=name)
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidOptionError(f"{text!r} in the URL has no meaning", option=name) from error


def flag(text: str) -> bool:
    """Return whether a word means yes.

    Raises:
        ValueError: it means neither yes nor no.
    """
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError(text)


def flag_as_text(text: str) -> str:
    """Return a word that means yes or no as it is, for SQLAlchemy to read.

    Raises:
        ValueError: it means neither.
    """
    flag(text)
    return text


def count(text: str) -> int:
    """Return a number that is not negative.

    Raises:
        ValueError: it is none.
    """
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def port(text: str) -> int:
    """Return a port.

    Raises:
        ValueError: it is no number from 1 to 65535.
    """
    return int(ports(text))


def ports(text: str) -> str:
    """Return a port, or several with commas in between, as they are.

    Raises:
        ValueError: a port is no number from 1 to 65535.
    """
    for number in text.split(","):
        if not 1 <= int(number) <= _LAST_PORT:
            raise ValueError(number)
    return text


def check_address(url: URL) -> None:
    """Refuse a host that no name server could know, and a port that there is not.

    Raises:
        InvalidOptionError: there is one.
    """
    if url.port is not None and not 1 <= url.port <= _LAST_PORT:
        raise InvalidOptionError(f"its port is {url.port}, but a port is 1 to {_LAST_PORT}", option="url")
    more = url.query.get("host", ())
    for host in (url.host or "", *([more] if isinstance(more, str) else more)):
        for name in host.split(","):
            check_host(name)
