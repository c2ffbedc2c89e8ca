"""The driver for `memory://` and `memory://name`."""

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
    """Make the memory store of a URL; with a name it shares its sessions within the process."""
    from palaver_memory._store import MemorySessionStore

    address, query = split_query(url)
    name = address.partition(":")[2].removeprefix("//")
    return MemorySessionStore(name, **merge_options(query, options, {"max_sessions": int}))
