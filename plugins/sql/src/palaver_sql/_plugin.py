"""The driver for `sqlite:///bot.db` and every other SQLAlchemy URL of a database that the store can use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from palaver import hookimpl
from palaver.toolkit.options import merge_options
from palaver.toolkit.urls import split_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palaver.contract.store import SessionStore

# All other options in a URL are those of the database's own driver, and the store hands them on.
_TEXT: Final = {"table": str, "schema": str, "connect_timeout": float, "timeout": float}
_OWN: Final = frozenset({"ttl", "namespace", *_TEXT})


@hookimpl
def palaver_open_store(url: str, options: Mapping[str, Any]) -> SessionStore:
    """Make the SQL store of a URL."""
    from palaver_sql._store import SQLSessionStore

    address, query = split_query(url)
    own = {name: text for name, text in query.items() if name in _OWN}
    drivers = {name: text for name, text in query.items() if name not in _OWN}
    database = f"{address}?{urlencode(drivers)}" if drivers else address
    return SQLSessionStore(database, **merge_options(own, options, _TEXT))
