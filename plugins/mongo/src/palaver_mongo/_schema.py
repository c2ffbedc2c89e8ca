"""Making a collection ready: its indexes, and what it must not be."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import OperationFailure, WriteError

from palaver.errors import StoreUnavailableError
from palaver_mongo._documents import DUE_AT, EXPIRE_DATE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pymongo.asynchronous.collection import AsyncCollection

    from palaver_mongo._client import Document

__all__ = ("check_server", "prepare")

# MongoDB 5.0: the first one that takes every key of a state.
_MIN_WIRE_VERSION: Final = 13

# The server removes by its own clock what the bots judge by theirs: a margin for clocks that do not agree.
_MARGIN_SECONDS: Final = 3600

# By namespace, because purge is about one; those that never expire need no place in it.
_PURGE_KEYS: Final = ("_id.namespace", DUE_AT)
_CAN_EXPIRE: Final = {DUE_AT: {"$type": ["int", "long"]}}

# A turn reads and writes one document. Where not all fit into the cache, that costs a whole page, of 32 KB by default.
_SMALL_PAGES: Final = {"wiredTiger": {"configString": "leaf_page_max=8KB"}}

# IndexOptionsConflict and IndexKeySpecsConflict.
_INDEX_CONFLICTS: Final = frozenset({85, 86})

_UNAUTHORIZED: Final = 13

# No session has it: the ids of theirs are texts.
_NOBODY: Final = {"_id": {"namespace": None, "id": None}}
# It fails for every document, so that nothing is stored.
_REFUSED: Final = [{"$set": {"expires_at": {"$toInt": "none"}}}]


async def check_server(collection: AsyncCollection[Document], location: str) -> None:
    """Find a server, and see whether it is new enough.

    Raises:
        StoreUnavailableError: it is not.
    """
    hello = await collection.database.command("hello")
    if hello["maxWireVersion"] < _MIN_WIRE_VERSION:
        raise StoreUnavailableError("the server is older than MongoDB 5.0", store=location, retryable=False)


async def prepare(collection: AsyncCollection[Document], location: str) -> None:
    """Create the collection and its indexes unless they are there.

    Raises:
        StoreUnavailableError: no sessions can be kept in that collection.
    """
    await _create(collection)
    await _check_options(collection, location)
    await _create_expiry_index(collection)
    await _create_purge_index(collection)
    await _check_rights(collection, location)


async def _check_rights(collection: AsyncCollection[Document], location: str) -> None:
    """Find out now, and not at the first save, that the user may not save; changes nothing.

    Raises:
        StoreUnavailableError: a right is missing.
    """
    attempts: Mapping[str, Callable[[], Awaitable[object]]] = {
        "insert and update": lambda: collection.update_one(_NOBODY, _REFUSED, upsert=True),
        "remove": lambda: collection.delete_one(_NOBODY),
    }
    for rights, attempt in attempts.items():
        try:
            await attempt()
        except WriteError:
            continue  # the server refused the value, as it should, and not the user
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            reason = f"the user may not {rights} in {collection.name!r}; the role readWrite on the database allows it"
            # Not from the error: it quotes the command.
            raise StoreUnavailableError(reason, store=location, retryable=False) from None


async def _create(collection: AsyncCollection[Document]) -> None:
    """Create the collection with small pages, where it is not there and the server has such an option."""
    with suppress(OperationFailure):
        # If this fails, the collection is there already, or it will be created with the first index.
        await collection.database.command("create", collection.name, storageEngine=_SMALL_PAGES)


async def _check_options(collection: AsyncCollection[Document], location: str) -> None:
    fault = _fault(await collection.options())
    if fault is not None:
        reason = f"{collection.name!r} {fault}; choose another collection_name"
        raise StoreUnavailableError(reason, store=location, retryable=False)


def _fault(options: Mapping[str, Any]) -> str | None:
    if "viewOn" in options:
        return "is a view"
    if options.get("capped"):
        return "is capped: it would forget sessions"
    if options.get("collation", {}).get("locale", "simple") != "simple":
        return "has a collation, with which two session ids may be one"
    return None


async def _create_expiry_index(collection: AsyncCollection[Document]) -> None:
    """Have the server remove what has expired long ago, by its own clock."""
    try:
        await collection.create_index(EXPIRE_DATE, expireAfterSeconds=_MARGIN_SECONDS)
    except OperationFailure as error:
        if error.code not in _INDEX_CONFLICTS:
            raise
        # Somebody made it with another margin.
        index = {"keyPattern": {EXPIRE_DATE: 1}, "expireAfterSeconds": _MARGIN_SECONDS}
        await collection.database.command("collMod", collection.name, index=index)


async def _create_purge_index(collection: AsyncCollection[Document]) -> None:
    """Have purge find what has expired by the bots' clock without looking at anything else."""
    try:
        await collection.create_index(_PURGE_KEYS, partialFilterExpression=_CAN_EXPIRE)
    except OperationFailure as error:
        # Somebody made one of these fields that has other sessions in it, too: it serves as well.
        if error.code not in _INDEX_CONFLICTS:
            raise
