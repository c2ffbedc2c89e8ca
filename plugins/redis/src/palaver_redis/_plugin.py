"""The driver for `redis://localhost`, `rediss://`, `unix://`, `redis+cluster://` and `redis+sentinel://`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from palaver import hookimpl
from palaver.toolkit.options import merge_options
from palaver.toolkit.urls import split_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palaver.contract.store import SessionStore

# All other options in a URL are those of the connection, and the store hands them on.
_OWN: Final = frozenset({"ttl", "namespace", "connect_timeout", "timeout"})


@hookimpl
def palaver_open_store(url: str, options: Mapping[str, Any]) -> SessionStore:
    """Make the Redis store of a URL."""
    from palaver_redis._store import RedisSessionStore

    address, query = split_query(url)
    own = {name: text for name, text in query.items() if name in _OWN}
    connection = {name: text for name, text in query.items() if name not in _OWN}
    place = f"{address}?{urlencode(connection)}" if connection else address
    return RedisSessionStore(place, **merge_options(own, options, {"connect_timeout": float, "timeout": float}))
