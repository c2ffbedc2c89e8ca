"""Where the client of a store comes from: a URL, checked without connecting, or somebody else's client."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.uri_parser import parse_uri, split_options

from palaver.errors import InvalidOptionError
from palaver.toolkit.options import STORE_OPTIONS, check_seconds, guess
from palaver.toolkit.urls import check_host, redact_url, url_scheme

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("OWN_OPTIONS", "Source")

OWN_OPTIONS: Final = ("collection_name", "connect_timeout", "timeout")
"""What a URL can have besides the options of every store and those of pymongo."""

# The options of pymongo that people write most often, to guess which one was meant.
_WELL_KNOWN: Final = (
    "appName",
    "authMechanism",
    "authSource",
    "connectTimeoutMS",
    "directConnection",
    "maxPoolSize",
    "readPreference",
    "replicaSet",
    "retryWrites",
    "serverSelectionTimeoutMS",
    "socketTimeoutMS",
    "timeoutMS",
    "tls",
    "tlsCAFile",
)

_SCHEMES: Final = frozenset({"mongodb", "mongodb+srv"})

# The options of a URL that make its write concern, by their names in `WriteConcern`.
_WRITE_CONCERN: Final = {"w": "w", "j": "journal", "wtimeout": "wtimeoutms", "fsync": "fsync"}


class Source:
    """Where a client comes from.

    Args:
        url_or_client: a MongoDB URL, or a client that somebody else closes.
        connect_timeout: how many seconds to look for a server that can be used.
        timeout: how many seconds a server that was found may take for what one call asks of it.

    Raises:
        InvalidOptionError: the URL, one of its options or a time cannot be used.
    """

    def __init__(self, url_or_client: str | AsyncMongoClient[Any], connect_timeout: float, timeout: float) -> None:
        self.given = url_or_client
        self.connect_timeout = check_seconds(connect_timeout, "connect_timeout")
        self.timeout = check_seconds(timeout, "timeout")
        self.defaults: dict[str, Any] = {}
        """What a client is made with besides the URL."""
        if isinstance(url_or_client, str):
            self.location = redact_url(url_or_client)
            asked = self._of_url(url_or_client)
        elif isinstance(url_or_client, AsyncMongoClient):
            self.location = "an AsyncMongoClient"
            asked = url_or_client.write_concern.document
        else:
            raise InvalidOptionError(f"it is of type {type(url_or_client).__name__}, not str or AsyncMongoClient")
        self.write_concern = _write_concern(asked)

    @property
    def is_durable(self) -> bool:
        """Whether what was acknowledged survives a loss of power, and the loss of a primary."""
        return {"w": "majority", "j": True}.items() <= self.write_concern.document.items()

    def _of_url(self, url: str) -> dict[str, Any]:
        """Check a URL; return the write concern that it asks for."""
        if url_scheme(url) not in _SCHEMES:
            raise InvalidOptionError("a MongoDB URL begins with mongodb:// or mongodb+srv://", option="url")
        address, _, query = url.partition("?")
        _check_address(address)
        options = _options(query)
        if "connecttimeoutms" not in options:
            self.defaults["connectTimeoutMS"] = round(self.connect_timeout * 1000)
        return {name: options[option] for name, option in _WRITE_CONCERN.items() if option in options}


def _check_address(address: str) -> None:
    parsed: Mapping[str, Any] = {}
    with suppress(PyMongoError, ValueError):
        # The hosts of mongodb+srv:// are looked up later.
        parsed = parse_uri("mongodb://" + address.partition("://")[2])
    if not parsed:
        # Not in the words of pymongo: they may quote a part of a password that is not percent-encoded.
        raise InvalidOptionError(
            "it is no MongoDB URL as in mongodb://user:password@host:27017/database; "
            "user, password and database have to be percent-encoded",
            option="url",
        )
    for host, _ in parsed["nodelist"]:
        check_host(host)
    if parsed["collection"] is not None:
        raise InvalidOptionError("no database has a dot in its name; the collection is collection_name", option="url")


def _options(query: str) -> Mapping[str, Any]:
    for pair in filter(None, re.split("[&;]", query)):
        _check_option(pair)
    try:
        return split_options(query) if query else {}
    except (PyMongoError, ValueError, TypeError, OSError) as error:
        raise InvalidOptionError(f"{error}", option="url") from error


def _check_option(pair: str) -> None:
    """Refuse one option by its name; pymongo would name none, or those of its own only."""
    name = pair.partition("=")[0]
    try:
        split_options(pair)
    except ConfigurationError as error:
        if "Unknown option" not in str(error):
            raise InvalidOptionError(f"{error}", option=name) from error
        names = sorted({*STORE_OPTIONS, *OWN_OPTIONS})
        raise InvalidOptionError(
            f"unknown; {guess(name, (*names, *_WELL_KNOWN))}there are {', '.join(names)}, and the options of every "
            "MongoDB URL, as in maxPoolSize",
            option=name,
        ) from None
    except (PyMongoError, ValueError, TypeError, OSError) as error:
        raise InvalidOptionError(f"{error}", option=name) from error


def _write_concern(asked: Mapping[str, Any]) -> WriteConcern:
    if asked.get("w") == 0:
        raise InvalidOptionError("with w=0 nobody knows what was stored; leave it out, or use w=1", option="url")
    try:
        return WriteConcern(**{"w": "majority", "j": True, **asked})
    except (PyMongoError, ValueError, TypeError) as error:
        raise InvalidOptionError(f"this write concern cannot be: {error}", option="url") from error
