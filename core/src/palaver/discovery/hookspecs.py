"""The hook that a driver implements: one function, found through an entry point of the group `palaver.drivers`.

The entry point's name is the URL scheme, and its value the module with the hook:

    [project.entry-points."palaver.drivers"]
    redis = "palaver_redis._plugin"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palaver.contract.store import SessionStore

__all__ = ("hookimpl", "hookspec")

hookspec = pluggy.HookspecMarker("palaver")
hookimpl = pluggy.HookimplMarker("palaver")


@hookspec(firstresult=True)
def palaver_open_store(url: str, options: Mapping[str, Any]) -> SessionStore:  # type: ignore[empty-body]
    """Make the store of a URL, not yet initialised.

    The module of the hook imports neither the store nor its client library: it does so inside this function, so that
    listing drivers costs nothing.

    Args:
        url: a store URL with the driver's scheme.
        options: `ttl`, `namespace` and whatever else the driver knows, by keyword; they win over the URL's query.

    Raises:
        InvalidOptionError: the URL or an option cannot be used.
    """
