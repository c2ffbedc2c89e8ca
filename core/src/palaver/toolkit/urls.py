"""Store URLs: their scheme, their host, the text of their query, and what of them may be shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

from palaver.errors import InvalidOptionError

__all__ = (
    "check_host",
    "redact_url",
    "split_query",
    "url_scheme",
)

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
