"""Connections of an event loop that is closed: nobody can close them properly any more."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ("drop_transport",)


def drop_transport(transport: asyncio.BaseTransport | None) -> None:
    """Give back the descriptor of a transport without its event loop, which is closed: nothing is sent or awaited.

    asyncio has no such operation: each of its own asks the loop to finish the work, and a transport that is collected
    warns that it was not closed. So this does what `_call_connection_lost` in asyncio/selector_events.py and `close` in
    asyncio/sslproto.py end with, where they are as they are up to Python 3.14; elsewhere the collector closes the
    descriptor, and warns.

    Args:
        transport: of TCP, TLS or a Unix socket; None is none.
    """
    if transport is None:
        return
    wrapped: Any = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    if wrapped is not None:
        transport._closed = True  # type: ignore[attr-defined]  # noqa: SLF001  # see above
        drop_transport(wrapped)
    socket: Any = getattr(transport, "_sock", None)
    if socket is not None:
        transport._closing = True  # type: ignore[attr-defined]  # noqa: SLF001  # see above
        with suppress(OSError):
            socket.close()
        transport._sock = None  # type: ignore[attr-defined]  # noqa: SLF001  # see above
