"""pymongo, called once for each message."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient, WriteConcern
from tests.benchmarks.contenders._codec import TTL_MS, LostUpdateError, count, decode, encode, new_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.measure import Turn
    from tests.benchmarks.protocol import Job

__all__ = ("open_mongo",)


@asynccontextmanager
async def open_mongo(job: Job) -> AsyncIterator[Turn]:
    """Find a document, and replace it if it still has its version; on the disk before it is answered."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(job.place)
    concern = WriteConcern(w="majority", j=True)
    sessions = client["raw"].get_collection("sessions", write_concern=concern)
    await sessions.create_index("expires_at", expireAfterSeconds=0)
    initial = encode(job.state)

    async def turn(session_id: str) -> int:
        found = await sessions.find_one({"_id": session_id})
        state = decode(initial if found is None else found["payload"])
        counted = count(state)
        expires_at = datetime.now(UTC) + timedelta(milliseconds=TTL_MS)
        document = {"_id": session_id, "version": new_version(), "expires_at": expires_at, "payload": encode(state)}
        if found is None:
            await sessions.insert_one(document)
            return counted
        answer = await sessions.replace_one({"_id": session_id, "version": found["version"]}, document)
        if not answer.matched_count:
            raise LostUpdateError
        return counted

    async with client:
        yield turn
