"""The commands on the collection of sessions."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pymongo
from bson.int64 import Int64
from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError, PyMongoError

from palaver.contract.record import ABSENT
from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver_mongo._documents import DUE_AT, EXPIRE_DATE, FIELDS, session_id_of
from palaver_mongo._errors import LOCKED, explain_code, is_lasting
from palaver_mongo._swap import DAMAGED, REFUSED, has_version, swap_filter, swap_statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymongo import UpdateOne
    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.cursor import AsyncCursor

    from palaver.contract.record import Absent, Record
    from palaver_mongo._client import Document
    from palaver_mongo._documents import Documents

__all__ = ("SessionsCollection",)

_PAGE_SIZE: Final = 1000

_DUPLICATE_KEY: Final = 11000

# Two who create one session at the same moment: the later one tries again, and then finds it there.
_ATTEMPTS: Final = 10

_PROJECTION: Final = dict.fromkeys(FIELDS, 1)


class _TimedOutError(Exception):
    """Raised when a batch was not done within the time that a locked document may cost the others."""


class SessionsCollection:
    """The sessions of one namespace in a collection; each method is one command, or a few.

    Args:
        collection: the collection.
        documents: what is in it.
        patience: for how many seconds a batch may wait for a document that somebody's transaction has locked.
    """

    def __init__(self, collection: AsyncCollection[Document], documents: Documents, patience: float) -> None:
        self._collection = collection
        self._documents = documents
        self._patience = patience

    async def find(self, session_ids: Sequence[str]) -> dict[str, Record]:
        """Return the records of those ids that have one, expired or not."""
        keys = [self._documents.key(session_id) for session_id in dict.fromkeys(session_ids)]
        if not keys:
            return {}
        wanted = {"_id": keys[0] if len(keys) == 1 else {"$in": keys}}
        found = await self._collection.find(wanted, _PROJECTION, batch_size=len(keys) + 1).to_list()
        return {session_id_of(document): self._documents.record(document) for document in found}

    async def replace(self, records: dict[str, Record]) -> None:
        """Store the records, whatever is there."""
        documents = [self._documents.document(*item) for item in records.items()]
        statements = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in documents]
        faults = await self._bulk_or_apart(statements, list(records))
        if faults:
            raise self._unavailable(next(iter(faults.values())))

    async def swap(self, swaps: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        """Do the swaps, which are of different sessions, each by itself."""
        now = self._documents.clock.now()
        documents = [self._documents.document(session_id, record) for session_id, record, _ in swaps]
        if len(swaps) == 1 and await self._replace_live(documents[0], swaps[0][2], now):
            return [True]
        statements = [swap_statement(document, swap[2], now) for document, swap in zip(documents, swaps, strict=True)]
        faults = await self._bulk_or_apart(statements, [session_id for session_id, _, _ in swaps])
        for position, code in faults.items():
            self._check_refusal(swaps[position][0], code)
        return [position not in faults for position in range(len(swaps))]

    async def _replace_live(self, document: Document, expected: str | Absent, now: int) -> bool:
        """Store a document in place of the live one with the expected version; tell whether there was one."""
        if expected is ABSENT:
            return False
        wanted = swap_filter(document, expected, now)
        return bool((await self._collection.replace_one(wanted, document)).matched_count)

    async def delete(self, session_id: str) -> None:
        """Remove a document, whatever is in it."""
        await self._collection.delete_one({"_id": self._documents.key(session_id)})

    async def remove(self, session_id: str, expected: str) -> bool:
        """Remove a live document with the expected version; tell whether there was one."""
        key = {"_id": self._documents.key(session_id)}
        deleted = await self._collection.delete_one({**key, **self._live(), "version": has_version(expected)})
        if deleted.deleted_count:
            return True
        await self.find([session_id])  # there may be one that is damaged
        return False

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        """Move the expiry of a live document; tell whether there was one."""
        key = {"_id": self._documents.key(session_id)}
        fields = self._documents.expiry(expires_at)
        missing = {name: "" for name in (DUE_AT, EXPIRE_DATE) if name not in fields}
        update = {"$set": fields} | ({"$unset": missing} if missing else {})
        touched = await self._collection.update_one({**key, **self._live()}, update)
        if touched.matched_count:
            return True
        await self.find([session_id])  # there may be one that is damaged
        return False

    async def page(self, prefix: str, after: Document | None) -> list[Document]:
        """Return the next documents in the order of their ids, with the type of the payload in its place."""
        fields = {"version": 1, "expires_at": 1, "payload": {"$type": "$payload"}}
        return await self._page({"_id": self._range(prefix, after)}, fields)

    async def delete_expired(self) -> tuple[int, bool]:
        """Remove some that have expired; return how many, and whether there may be more of them."""
        expired = self._expired()
        page = await _one_answer(self._collection.find(expired, {"_id": 1}))
        if not page:
            return 0, False
        # Asked again what has expired: somebody may have saved one of them meanwhile.
        deleted = await self._collection.delete_many({"_id": {"$in": [each["_id"] for each in page]}, **expired})
        return deleted.deleted_count, True

    async def delete_all(self, after: Document | None) -> tuple[int, Document | None]:
        """Remove the next documents; return how many of them were live, and the last one's key, None at the end."""
        page = await self._page({"_id": self._range("", after)}, {"_id": 1})
        if not page:
            return 0, None
        span = {"_id": _span(page)}
        await self._collection.delete_many({**span, "$nor": [self._live()]})
        deleted = await self._collection.delete_many(span)
        return deleted.deleted_count, page[-1]["_id"]

    async def _bulk_or_apart(
        self, statements: Sequence[ReplaceOne[Document] | UpdateOne], session_ids: Sequence[str]
    ) -> dict[int, int]:
        """Do the statements; when one waits for somebody's transaction, the others do not wait for it.

        MongoDB cannot leave out what is locked, and does not tell which it was. So a statement may be done twice.

        Raises:
            StoreUnavailableError: a document stayed locked; the others are done.
        """
        if len(statements) == 1:
            return await self._bulk(statements)
        with suppress(_TimedOutError):
            return await self._bulk_for(self._patience, statements)
        alone = [self._bulk_for(self._patience, [statement]) for statement in statements]
        outcomes = await asyncio.gather(*alone, return_exceptions=True)
        stuck = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, _TimedOutError)]
        if len(stuck) == len(statements):
            # It is the server that is slow, not one document: it has all the time that is left.
            return await self._bulk(statements)
        faults: dict[int, int] = {}
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, BaseException) and place not in stuck:
                raise outcome
            if isinstance(outcome, dict) and outcome:
                faults[place] = outcome[0]
        if stuck:
            raise StoreUnavailableError(LOCKED, store=self._documents.location, session_id=session_ids[stuck[0]])
        return faults

    async def _bulk_for(self, seconds: float, statements: Sequence[ReplaceOne[Document] | UpdateOne]) -> dict[int, int]:
        """Do the statements within a time, which the server knows of, too.

        Raises:
            _TimedOutError: it was not enough.
        """
        try:
            with pymongo.timeout(seconds):
                return await self._bulk(statements)
        except PyMongoError as error:
            if error.timeout:
                raise _TimedOutError from error
            raise

    async def _bulk(self, statements: Sequence[ReplaceOne[Document] | UpdateOne]) -> dict[int, int]:
        """Do the statements; return the error numbers of those that failed, by their positions."""
        faults: dict[int, int] = {}
        waiting = list(range(len(statements)))
        for _ in range(_ATTEMPTS):
            failed = await self._bulk_once([statements[position] for position in waiting])
            faults |= {waiting[index]: code for index, code in failed.items() if code != _DUPLICATE_KEY}
            waiting = [waiting[index] for index, code in failed.items() if code == _DUPLICATE_KEY]
            if not waiting:
                return faults
        raise self._unavailable(_DUPLICATE_KEY)

    async def _bulk_once(self, statements: Sequence[ReplaceOne[Document] | UpdateOne]) -> dict[int, int]:
        if not statements:
            return {}
        try:
            await self._collection.bulk_write(statements, ordered=False)
        except BulkWriteError as error:
            if error.details["writeConcernErrors"]:
                raise
            return {fault["index"]: fault["code"] for fault in error.details["writeErrors"]}
        return {}

    async def _page(self, wanted: Document, fields: Document) -> list[Document]:
        return await _one_answer(self._collection.find(wanted, fields).sort("_id"))

    def _range(self, start: str, after: Document | None) -> Document:
        # An object is after all texts.
        first = {"$gte": self._documents.key(start)} if after is None else {"$gt": after}
        return {**first, "$lt": self._documents.key({})}

    def _expired(self) -> Document:
        # An index serves the first two conditions (see `_schema`); the last two leave alone what is no session.
        now = Int64(self._documents.clock.now())
        return {
            "_id.namespace": self._documents.namespace,
            DUE_AT: {"$lte": now, "$type": ["int", "long"]},
            "expires_at": {"$lte": now, "$type": ["int", "long"]},
            "_id.id": {"$type": "string"},
            "$expr": {"$eq": ["$_id", {"namespace": {"$literal": self._documents.namespace}, "id": "$_id.id"}]},
        }

    def _live(self) -> Document:
        now = Int64(self._documents.clock.now())
        return {
            "payload": {"$type": "binData"},
            "version": {"$type": "string"},
            "$or": [{"expires_at": {"$type": "null"}}, {"expires_at": {"$gt": now, "$type": ["int", "long"]}}],
        }

    def _check_refusal(self, session_id: str, code: int) -> None:
        if code == DAMAGED:
            location = self._documents.location
            raise CorruptSessionError("its document is not a session's", session_id=session_id, location=location)
        if code != REFUSED:
            raise self._unavailable(code)

    def _unavailable(self, code: int) -> StoreUnavailableError:
        retryable = not is_lasting(code)
        return StoreUnavailableError(explain_code(code), store=self._documents.location, retryable=retryable)


async def _one_answer(cursor: AsyncCursor[Document]) -> list[Document]:
    """Return a page of what a cursor finds; nothing stays open on the server, as the negative limit tells it."""
    # Without a batch size the only answer would have 101 documents.
    return await cursor.limit(-_PAGE_SIZE).batch_size(_PAGE_SIZE).to_list()


def _span(page: list[Document]) -> Document:
    return {"$gte": page[0]["_id"], "$lte": page[-1]["_id"]}
