"""Sessions in a collection of MongoDB."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar, Unpack

from palaver.contract.batches import BatchSessionStore, rounds
from palaver.contract.session_ids import MAX_ID_BYTES, text_fault
from palaver.contract.store import Capabilities
from palaver.errors import InvalidOptionError
from palaver.toolkit.cancellation import run_to_end
from palaver.toolkit.lifecycle import Lifecycle
from palaver_mongo._client import Client, Document
from palaver_mongo._collection import SessionsCollection
from palaver_mongo._documents import DOCUMENT_BYTES, Documents
from palaver_mongo._schema import check_server, prepare
from palaver_mongo._source import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence

    from pymongo import AsyncMongoClient

    from palaver.contract.record import Absent, Record
    from palaver.contract.store import StoreOptions

__all__ = ("MongoSessionStore",)

T = TypeVar("T")

DEFAULT_URL: Final = "mongodb://localhost:27017"
DEFAULT_COLLECTION: Final = "sessions"
DEFAULT_CONNECT_TIMEOUT: Final = 5.0
DEFAULT_TIMEOUT: Final = 8.0

# For how many seconds a locked document may hold up the others in its batch.
_PATIENCE: Final = 1.0

# What a document takes besides its payload: both parts of its key, its version, its times, its names.
_OVERHEAD: Final = 16 * 1024


class _Opened(NamedTuple):
    """What the verbs need, in one event loop."""

    client: Client
    sessions: SessionsCollection


async def _close(opened: _Opened) -> None:
    await opened.client.close()


class MongoSessionStore(BatchSessionStore):
    """Keeps sessions in a collection of MongoDB.

    Args:
        url_or_client: a MongoDB URL, in which the database may be named (`palaver`, when it is not), or an
            `AsyncMongoClient`, which the store uses but never closes.
        collection_name: the collection; it is created when it is not there.
        connect_timeout: how many seconds to look for a server that can be used.
        timeout: how many seconds a server that was found may take for what one call asks of it; `timeoutMS` of a URL
            or client, which limits the search as well, takes precedence.
        **options: `ttl`, `namespace` and `clock`, as for every store.

    Raises:
        InvalidOptionError: the URL or an option cannot be used.
    """

    batches_in_flight = 2

    def __init__(
        self,
        url_or_client: str | AsyncMongoClient[Any] = DEFAULT_URL,
        *,
        collection_name: str = DEFAULT_COLLECTION,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        timeout: float = DEFAULT_TIMEOUT,
        **options: Unpack[StoreOptions],
    ) -> None:
        super().__init__(**options)
        self._source = Source(url_or_client, connect_timeout, timeout)
        self._name = _check_name(collection_name)
        self._documents = Documents(self.namespace, self.clock, self._source.location)
        self._lifecycle = Lifecycle(repr(self), self._open, _close)
        self.capabilities = Capabilities(
            swap=True,
            batch=True,
            touch=True,
            scan=True,
            purge=True,
            clear=True,
            durable=self._source.is_durable,
            shared=True,
            max_payload_bytes=DOCUMENT_BYTES - _OVERHEAD,
        )

    def __repr__(self) -> str:
        return f"<MongoSessionStore {self._source.location} collection {self._name!r}>"

    async def init(self) -> Self:
        await self._lifecycle.open()
        return self

    async def close(self) -> None:
        await self._lifecycle.close()

    async def destroy(self, session_id: str) -> None:
        await self._run(lambda sessions: sessions.delete(session_id), session_id)

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        wanted = list(session_ids)
        found = await self._run(lambda sessions: sessions.find(wanted))
        now = self.clock.now()
        return [_live(found.get(session_id), now) for session_id in wanted]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        # Of several records for one id the last one is what stays.
        records = dict(items)
        await self._lifecycle.enter()
        self.check_sizes(items)
        await self._run(lambda sessions: sessions.replace(records), _only(records))

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        swaps = list(items)
        await self._lifecycle.enter()
        self.check_sizes(swaps)
        answers: dict[int, bool] = {}
        for this_round in rounds(swaps):
            chosen = list(this_round.values())
            stored = await self._run(partial(SessionsCollection.swap, swaps=chosen), _only(swap[0] for swap in chosen))
            answers |= zip(this_round, stored, strict=True)
        return [answers[place] for place in range(len(swaps))]

    async def remove(self, session_id: str, expected: str) -> bool:
        return await self._run(lambda sessions: sessions.remove(session_id, expected), session_id)

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        return await self._run(lambda sessions: sessions.touch(session_id, expires_at), session_id)

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        await self._lifecycle.enter()
        if text_fault(prefix, MAX_ID_BYTES) is not None:
            return  # no id begins with it
        # Every page is a command of its own: a slow listener keeps nothing open.
        page = await self._page(prefix)
        while page:
            now = self.clock.now()
            for session_id, record in filter(None, map(self._documents.listed, page)):
                if not session_id.startswith(prefix):
                    return
                if not record.is_expired(now):
                    yield session_id
            page = await self._page(prefix, after=page[-1]["_id"])

    async def purge(self) -> int:
        removed, is_more = await self._run(SessionsCollection.delete_expired)
        while is_more:
            count, is_more = await self._run(SessionsCollection.delete_expired)
            removed += count
        return removed

    async def clear(self) -> int:
        # Page by page, so that no command takes long.
        removed, last = await self._run(partial(SessionsCollection.delete_all, after=None))
        while last is not None:
            count, last = await self._run(partial(SessionsCollection.delete_all, after=last))
            removed += count
        return removed

    async def _open(self) -> _Opened:
        client = await Client.of(self._source)
        try:
            collection = client.collection(self._name)
            await client.run(lambda: check_server(collection, self._source.location))
            await client.run(lambda: prepare(collection, self._source.location))
        except BaseException:
            await run_to_end(client.close())
            raise
        patience = min(_PATIENCE, client.timeout / 4)
        return _Opened(client, SessionsCollection(collection, self._documents, patience))

    async def _run(
        self, work: Callable[[SessionsCollection], Coroutine[Any, Any, T]], session_id: str | None = None
    ) -> T:
        opened = self._lifecycle.here or await self._lifecycle.enter()
        return await opened.client.run(lambda: work(opened.sessions), session_id)

    async def _page(self, prefix: str, after: Document | None = None) -> list[Document]:
        return await self._run(lambda sessions: sessions.page(prefix, after))


def _check_name(name: str) -> str:
    if not isinstance(name, str) or not name or "$" in name or "\0" in name or name.startswith("system."):
        raise InvalidOptionError(f"no collection of sessions can be called {name!r}", option="collection_name")
    return name


def _only(session_ids: Iterable[str]) -> str | None:
    """Return the session id, if it is one."""
    ids = list(session_ids)
    return ids[0] if len(ids) == 1 else None


def _live(record: Record | None, now: int) -> Record | None:
    return None if record is None or record.is_expired(now) else record
