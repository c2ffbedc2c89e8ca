"""The driver for `mongodb://` and `mongodb+srv://`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from palaver import hookimpl
from palaver.toolkit.options import merge_options
from palaver.toolkit.urls import split_query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from palaver.contract.store import SessionStore

_OWN: Final[dict[str, Callable[[str], Any]]] = {"collection_name": str, "connect_timeout": float, "timeout": float}
_PALAVERS: Final = frozenset({"ttl", "namespace", *_OWN})


@hookimpl
def palaver_open_store(url: str, options: Mapping[str, Any]) -> SessionStore:
    """Make the MongoDB store of a URL; the options in it that are not Palaver's are those of pymongo."""
    from palaver_mongo._store import MongoSessionStore

    address, own = _take_out(url)
    return MongoSessionStore(address, **merge_options(own, options, _OWN))


def _take_out(url: str) -> tuple[str, dict[str, str]]:
    """Take Palaver's options out of a URL, and leave the rest as it is written."""
    address, _, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair]
    own = [pair for pair in pairs if pair.partition("=")[0] in _PALAVERS]
    rest = "&".join(pair for pair in pairs if pair not in own)
    return f"{address}?{rest}" if rest else address, split_query("?" + "&".join(own))[1]
