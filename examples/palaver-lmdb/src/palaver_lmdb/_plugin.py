"""The driver for `lmdb:FOLDER`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from palaver import hookimpl
from palaver.toolkit.options import merge_options
from palaver.toolkit.urls import split_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palaver.contract.store import SessionStore


@hookimpl
def palaver_open_store(url: str, options: Mapping[str, Any]) -> SessionStore:
    """Make the LMDB store of a URL."""
    from palaver_lmdb._store import LMDBSessionStore

    address, query = split_query(url)
    path = address.partition(":")[2].removeprefix("//")
    return LMDBSessionStore(path, **merge_options(query, options, {"map_size": int}))
