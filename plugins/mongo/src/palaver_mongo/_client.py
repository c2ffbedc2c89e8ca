"""The client of an open store: made from a URL or given, and everything that is done with it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options

from palaver.cancellation import run_to_end
from palaver.errors import InvalidOptionError
from palaver.urls import redact_url, url_scheme
from palaver_mongo._errors import mapped_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.database import AsyncDatabase

__all__ = ("Client", "Document", "Source")

T = TypeVar("T")
Document = dict[str, Any]

DEFAULT_DATABASE: Final = "palaver"
SCHEMES: Final = frozenset({"mongodb", "mongodb+srv"})

# How many seconds a server that was found may take for what one call asks of it.
_ANSWER_TIMEOUT: Final = 10.0

# How many seconds to take leave of a server, which may be gone.
_LEAVE_TIMEOUT: Final = 0.5

# Exact, whatever the client that was given is set to: other types would come out of the database than went in.
_CODEC: Final[CodecOptions[Document]] = CodecOptions(document_class=dict, unicode_decode_error_handler="replace")


class Source:
    """Where clients come from, checked without connecting.

    Args:
        url_or_client: a MongoDB URL, or a client that somebody else closes.
        connect_timeout: how many seconds to look for a server that can be used.

    Raises:
        InvalidOptionError: the URL, one of its options or the time cannot be used.
    """

    def __init__(self, url_or_client: str | AsyncMongoClient[Any], connect_timeout: float) -> None:
        self._given = url_or_client
        self._connect_timeout = _check_timeout(connect_timeout)
        client = self.client()
        self.write_concern = _write_concern(client)
        self.is_durable = self.write_concern.document["w"] == "majority" and self.write_concern.document["j"] is True
        """Whether what was acknowledged survives a loss of power, and the loss of a primary."""
        self.is_given = not isinstance(url_or_client, str)
        self.location = redact_url(url_or_client) if isinstance(url_or_client, str) else "an AsyncMongoClient"

    def timeout(self, client: AsyncMongoClient[Any]) -> float:
        """Return how many seconds the next call may take: fewer as long as no server is known that can be used."""
        is_known = client.topology_description.has_writable_server()
        return client.options.timeout or (_ANSWER_TIMEOUT if is_known else self._connect_timeout)

    def client(self) -> AsyncMongoClient[Any]:
        """Return the client that was given, or a new one."""
        if isinstance(self._given, str):
            return _client_of_url(self._given, self._connect_timeout)
        if isinstance(self._given, AsyncMongoClient):
            return self._given
        raise InvalidOptionError(f"it is of type {type(self._given).__name__}, not str or AsyncMongoClient")


class Client:
    """A client in use, in one event loop.

    Args:
        source: where it comes from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._client = source.client()
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def database(self) -> AsyncDatabase[Document]:
        """The database that the URL names."""
        return self._client.get_default_database(
            DEFAULT_DATABASE,
            codec_options=_CODEC,
            # A secondary may not have yet what was written already.
            read_preference=ReadPreference.PRIMARY,
            write_concern=self._source.write_concern,
        )

    def collection(self, name: str) -> AsyncCollection[Document]:
        """Return a collection of the database."""
        return self.database.get_collection(name)

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do `work` to its end, even when the caller is cancelled: the server would do it anyway, only later."""
        running = asyncio.ensure_future(self._bounded(work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await run_to_end(running)

    async def close(self) -> None:
        """Wait for what is running, and close the client unless it was given."""
        while self._running:
            await asyncio.wait(self._running)
        if not self._source.is_given:
            with mapped_errors(self._source.location), pymongo.timeout(_LEAVE_TIMEOUT):
                await self._client.close()

    async def _bounded(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # The limit goes to the server as well: what is not done in time is not done later.
        with mapped_errors(self._source.location), pymongo.timeout(self._source.timeout(self._client)):
            return await work()


def _client_of_url(url: str, connect_timeout: float) -> AsyncMongoClient[Any]:
    _check_url(url)
    defaults = {} if "connecttimeoutms" in _options(url) else {"connectTimeoutMS": round(connect_timeout * 1000)}
    with suppress(PyMongoError, ValueError, OSError):
        return AsyncMongoClient(url, **defaults)  # type: ignore[arg-type]
    # Not the words of the client: it may quote a part of a password that is not percent-encoded.
    raise InvalidOptionError(
        "it is no MongoDB URL as in mongodb://user:password@host:27017/database; "
        "user, password and database have to be percent-encoded",
        option="url",
    )


def _check_url(url: str) -> None:
    if url_scheme(url) not in SCHEMES:
        raise InvalidOptionError("a MongoDB URL begins with mongodb:// or mongodb+srv://", option="url")


def _options(url: str) -> frozenset[str]:
    query = url.partition("?")[2]
    if not query:
        return frozenset()
    try:
        return frozenset(name.lower() for name in split_options(query, normalize=False))
    except (PyMongoError, ValueError, TypeError) as error:
        raise InvalidOptionError(f"{error}", option="url") from error


def _write_concern(client: AsyncMongoClient[Any]) -> WriteConcern:
    asked = client.write_concern
    if not asked.acknowledged:
        raise InvalidOptionError("with w=0 nobody knows what was stored; leave it out, or use w=1", option="url")
    document: dict[str, Any] = {"w": "majority", "j": True, **asked.document}
    return WriteConcern(**document)


def _check_timeout(seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise InvalidOptionError(f"{seconds!r} is not a positive number of seconds", option="connect_timeout")
    return float(seconds)
