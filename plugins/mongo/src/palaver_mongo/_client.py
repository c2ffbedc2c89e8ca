"""The client of an open store: made from a URL or given, and everything that is done with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference

from palaver.toolkit.cancellation import run_to_end
from palaver_mongo._errors import mapped_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pymongo.asynchronous.collection import AsyncCollection

    from palaver_mongo._source import Source

__all__ = ("Client", "Document")

T = TypeVar("T")
Document = dict[str, Any]

DEFAULT_DATABASE: Final = "palaver"

# How many seconds to take leave of a server, which may be gone.
_LEAVE_TIMEOUT: Final = 0.5

# Exact, whatever the client that was given is set to: other types would come out of the database than went in.
_CODEC: Final[CodecOptions[Document]] = CodecOptions(document_class=dict, unicode_decode_error_handler="replace")


class Client:
    """A client in use, in one event loop.

    Args:
        client: the client.
        source: where it comes from.
    """

    def __init__(self, client: AsyncMongoClient[Any], source: Source) -> None:
        self._client = client
        self._source = source
        self._running: set[asyncio.Future[Any]] = set()

    @classmethod
    async def of(cls, source: Source) -> Self:
        """Use the client that was given, or make one."""
        if isinstance(source.given, AsyncMongoClient):
            return cls(source.given, source)
        # In a thread, because it looks at files: those of TLS, and one that tells whether it runs in a container.
        making = asyncio.to_thread(AsyncMongoClient, source.given, **source.defaults)
        return cls(await mapped_errors(making, source.location), source)

    def collection(self, name: str) -> AsyncCollection[Document]:
        """Return a collection of the database that the URL names."""
        database = self._client.get_default_database(
            DEFAULT_DATABASE,
            codec_options=_CODEC,
            # A secondary may not have yet what was written already.
            read_preference=ReadPreference.PRIMARY,
            write_concern=self._source.write_concern,
        )
        return database.get_collection(name)

    @property
    def timeout(self) -> float:
        """For how many seconds a server that was found may work on one call."""
        return self._client.options.timeout or self._source.timeout

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]], session_id: str | None = None) -> T:
        """Do `work` to its end, even when the caller is cancelled: the server would do it anyway, only later.

        Args:
            work: what to do.
            session_id: the session that it is about, if it is one.
        """
        running = asyncio.ensure_future(mapped_errors(self._bounded(work), self._source.location, session_id))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await run_to_end(running)

    async def close(self) -> None:
        """Wait for what is running, and close the client unless it was given."""
        while self._running:
            await asyncio.wait(self._running)
        if not isinstance(self._source.given, AsyncMongoClient):
            with pymongo.timeout(_LEAVE_TIMEOUT):
                await mapped_errors(self._client.close(), self._source.location)

    async def _bounded(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # The limit goes to the server as well: what is not done in time is not done later.
        with pymongo.timeout(self._timeout()):
            return await work()

    def _timeout(self) -> float:
        """Return how many seconds the next call may take: fewer as long as no server is known that can be used."""
        is_known = self._client.topology_description.has_writable_server()
        return self._client.options.timeout or (self._source.timeout if is_known else self._source.connect_timeout)
