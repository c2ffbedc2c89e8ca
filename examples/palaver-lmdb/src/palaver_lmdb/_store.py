"""Sessions in LMDB: four methods make a complete driver."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Self, Unpack

import lmdb
import msgspec

from palaver.contract.record import Record
from palaver.contract.store import SessionStore
from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver.toolkit.lifecycle import Lifecycle
from palaver.toolkit.threads import Threads
from palaver_lmdb._environments import close_environment, open_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palaver.contract.store import StoreOptions
    from palaver_lmdb._environments import SharedEnvironment

__all__ = ("LMDBSessionStore",)

DEFAULT_MAP_SIZE: Final = 1024**3


class _Row(msgspec.Struct, array_like=True, frozen=True):
    """What LMDB keeps for one session. Its key is a hash, so the row says whose it is."""

    namespace: str
    session_id: str
    version: str
    expires_at: int | None
    payload: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


class _Opened(NamedTuple):
    """What the verbs need, in one event loop of one process."""

    environment: SharedEnvironment
    threads: Threads


async def _close(opened: _Opened) -> None:
    await opened.threads.run(close_environment, opened.environment)
    await opened.threads.close()


def _abandon(opened: _Opened) -> None:
    opened.threads.abandon(partial(close_environment, opened.environment))


class LMDBSessionStore(SessionStore):
    """Keeps sessions in an LMDB environment, a folder with two files.

    Args:
        path: the folder; it is made when it is missing.
        map_size: how large the database may grow, in bytes.
        **options: `ttl`, `namespace` and `clock`, as for every store.
    """

    def __init__(self, path: str, *, map_size: int = DEFAULT_MAP_SIZE, **options: Unpack[StoreOptions]) -> None:
        super().__init__(**options)
        self._path = path
        self._map_size = map_size
        self._lifecycle = Lifecycle(repr(self), self._open, _close, _abandon)

    def __repr__(self) -> str:
        return f"<LMDBSessionStore {self._path!r}>"

    async def init(self) -> Self:
        await self._lifecycle.open()
        return self

    async def close(self) -> None:
        await self._lifecycle.close()

    async def read(self, session_id: str) -> Record | None:
        opened = self._lifecycle.here or await self._lifecycle.enter()
        record = await opened.threads.run(self._get, opened.environment, session_id)
        return None if record is None or record.is_expired(self.clock.now()) else record

    async def write(self, session_id: str, record: Record) -> None:
        opened = self._lifecycle.here or await self._lifecycle.enter()
        await opened.threads.run(self._put, opened.environment, session_id, record)

    async def destroy(self, session_id: str) -> None:
        opened = self._lifecycle.here or await self._lifecycle.enter()
        await opened.threads.run(self._pop, opened.environment, session_id)

    async def _open(self) -> _Opened:
        threads = Threads(1, "palaver-lmdb")
        try:
            return _Opened(await threads.run(self._open_environment), threads)
        except BaseException:
            await threads.close()
            raise

    def _open_environment(self) -> SharedEnvironment:
        with self._explained_errors():
            return open_environment(self._path, self._map_size)

    def _get(self, shared: SharedEnvironment, session_id: str) -> Record | None:
        with self._explained_errors(), shared.environment.begin() as transaction:
            stored = transaction.get(self._key(session_id))
        if stored is None:
            return None
        try:
            row = _decode(stored)
        except msgspec.DecodeError as error:
            raise CorruptSessionError(str(error), session_id=session_id, location=self._path) from error
        if (row.namespace, row.session_id) != (self.namespace, session_id):
            raise CorruptSessionError("it is another session", session_id=session_id, location=self._path)
        return Record(row.payload, row.version, row.expires_at)

    def _put(self, shared: SharedEnvironment, session_id: str, record: Record) -> None:
        row = _Row(self.namespace, session_id, record.version, record.expires_at, record.payload)
        with self._explained_errors(), shared.environment.begin(write=True) as transaction:
            transaction.put(self._key(session_id), _encode(row))

    def _pop(self, shared: SharedEnvironment, session_id: str) -> None:
        with self._explained_errors(), shared.environment.begin(write=True) as transaction:
            transaction.delete(self._key(session_id))

    def _key(self, session_id: str) -> bytes:
        # LMDB takes keys of 511 bytes, and an id may have 512: so the key is a hash. The length of the namespace keeps
        # ("a", "bc") and ("ab", "c") apart.
        namespace = self.namespace.encode()
        return hashlib.sha256(b"%d:%b%b" % (len(namespace), namespace, session_id.encode())).digest()

    @contextmanager
    def _explained_errors(self) -> Iterator[None]:
        """The one place where errors of LMDB become those of the contract."""
        try:
            yield
        except (lmdb.Error, OSError) as error:
            raise StoreUnavailableError(str(error), store=repr(self)) from error
