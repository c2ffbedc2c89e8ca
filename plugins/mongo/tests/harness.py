"""What the conformance kit needs to know of the MongoDB store."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

import bson
from pymongo import MongoClient

from palaver import open_store

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from palaver import Clock, SessionStore
    from palaver_test_servers.mongo import MongoReplicaSet, MongoServer

__all__ = ("MongoHarness", "OwnMongoHarness", "OwnServerHarness", "ServerHarness", "harness_of")

USER: Final = "conformance"
PASSWORD: Final = "hu:sh/h@sh"
_CREDENTIALS: Final = f"{USER}:{quote(PASSWORD, safe='')}@"
_NOBODY: Final = "127.0.0.1:1"

# What a law waits for again and again: where there is no server, and where a proxy swallows what it says.
_NO_SERVER: Final = {"connect_timeout": 0.2}
_BEHIND_A_PROXY: Final = {"connect_timeout": 0.6, "timeout": 1.0}


def harness_of(url: str) -> MongoHarness:
    """Make the harness of somebody's server: it neither fails on command nor is it restarted."""
    has_address = urlsplit(url).scheme == "mongodb" and "," not in url and "replicaset=" not in url.lower()
    return ServerHarness(url) if has_address else MongoHarness(url)


class MongoHarness:
    """A location is a collection."""

    def __init__(self, url: str) -> None:
        self.url = url
        password = urlsplit(url).password
        self.secrets = () if not password else tuple({password, unquote(password)})

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        return open_store(self.url, clock=clock, collection_name=location, namespace=namespace)

    def make_unusable(self, *, clock: Clock) -> SessionStore:
        return open_store(self.at(_NOBODY), clock=clock, **_NO_SERVER)

    async def remove(self, location: str) -> None:
        await asyncio.to_thread(self._with, location, lambda collection: collection.drop())

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        key, change = _key(namespace, session_id), {"$set": {"payload": "torn"}}
        await asyncio.to_thread(self._with, location, lambda collection: collection.update_one(key, change))

    async def read_raw(self, location: str, namespace: str, session_id: str) -> bytes:
        key = _key(namespace, session_id)
        document = await asyncio.to_thread(self._with, location, lambda collection: collection.find_one(key))
        return bson.encode(document)

    def at(self, address: str) -> str:
        """Return the URL with another address and the same credentials."""
        parts = urlsplit(self.url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{address}").geturl()

    def _with(self, location: str, work: Any) -> Any:
        with closing(MongoClient[dict[str, Any]](self.url)) as client:
            collection: Collection[dict[str, Any]] = client.get_default_database("palaver")[location]
            return work(collection)


class ServerHarness(MongoHarness):
    """One server, in front of which there can be a proxy."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        parts = urlsplit(url)
        self.address = (parts.hostname or "localhost", parts.port or 27017)

    def make_at(self, address: tuple[str, int], location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        url = self.at(f"{address[0]}:{address[1]}")
        return open_store(url, clock=clock, collection_name=location, namespace=namespace, **_BEHIND_A_PROXY)


class OwnMongoHarness(MongoHarness):
    """Servers that the tests have started, and may therefore disturb; the store comes with a password."""

    def __init__(self, server: MongoServer | MongoReplicaSet) -> None:
        self._server = server
        server.add_user(USER, PASSWORD)
        mark = "&" if "?" in server.url else "?"
        super().__init__(f"{server.url.replace('://', f'://{_CREDENTIALS}')}{mark}authSource=admin")

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process makes stores only.
        return MongoHarness, (self.url,)

    async def fail(self, location: str) -> None:
        """Let the servers refuse everything, as with a full disk; that they are gone is what `cut` and a proxy do."""
        await asyncio.to_thread(self._server.refuse_all)

    async def mend(self, location: str) -> None:
        await asyncio.to_thread(self._server.refuse_nothing)

    async def cut(self, location: str) -> None:
        await asyncio.to_thread(self._server.hang_up)


class OwnServerHarness(OwnMongoHarness, ServerHarness):
    """The same with one server."""


def _key(namespace: str, session_id: str) -> dict[str, Any]:
    return {"_id": {"namespace": namespace, "id": session_id}}
