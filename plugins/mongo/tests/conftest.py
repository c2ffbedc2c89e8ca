"""What the tests of the MongoDB store share."""

from __future__ import annotations

import asyncio
import gc
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

from palaver import ManualClock
from palaver_mongo import MongoSessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pymongo.asynchronous.collection import AsyncCollection


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until it is moved."""
    return ManualClock()


@pytest.fixture
def name(mongodb_url: str) -> Iterator[str]:
    """The name of a collection that is not there yet; it is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    yield name
    with closing(MongoClient[dict[str, Any]](mongodb_url)) as client:
        client.get_default_database("palaver").drop_collection(name)


@pytest.fixture
def make(mongodb_url: str, name: str, clock: ManualClock) -> Callable[..., MongoSessionStore]:
    """Makes stores on one collection."""

    def make(**options: Any) -> MongoSessionStore:
        return MongoSessionStore(mongodb_url, collection_name=name, **{"clock": clock, **options})

    return make


@pytest.fixture
async def raw(mongodb_url: str, name: str) -> AsyncIterator[AsyncCollection[dict[str, Any]]]:
    """The collection itself, past the store."""
    client: AsyncMongoClient[dict[str, Any]] = await asyncio.to_thread(AsyncMongoClient, mongodb_url)
    try:
        yield client.get_default_database("palaver")[name]
    finally:
        await client.close()


# When a client of pymongo (4.20) is closed, it cancels its monitors. One that is just connecting to a server does not
# close its new socket then (`_async_create_connection` in pymongo/pool_shared.py does so after an OSError only), and
# leaves it to the garbage collector, which warns. Nobody but pymongo has that socket, so a store cannot close it.
_SOCKETS_OF_MONITORS = "ignore:unclosed <socket:ResourceWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let monitors leave sockets behind in the tests of this folder."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings(_SOCKETS_OF_MONITORS))


@pytest.fixture(autouse=True, scope="module")
def _garbage() -> Iterator[None]:
    """Have what is left collected here, and not in a test of another folder."""
    yield
    gc.collect()
