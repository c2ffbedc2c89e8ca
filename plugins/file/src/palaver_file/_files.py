"""The sessions of a namespace as files: all that the store does, without its event loop.

Every method may block, is safe to call from several threads, and raises `OSError` when the file system fails.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.errors import CorruptSessionError
from palaver.record import SwapDecision, decide_swap
from palaver_file._disk import make_folder, read_file, remove_file, require_folder
from palaver_file._format import decode_file, encode_file
from palaver_file._names import SHARD_NAME, Address, address_of, folder_name
from palaver_file._shard import FolderLock, Shard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from palaver.clock import Clock
    from palaver.record import Absent, Record

__all__ = ("SessionFiles",)

_logger = logging.getLogger(__name__)


class SessionFiles:
    """The files of one namespace.

    Args:
        root: the folder of all namespaces.
        namespace: which namespace.
        clock: what time it is.
        lock_timeout: how many seconds to wait for another writer.
    """

    def __init__(self, root: Path, namespace: str, clock: Clock, lock_timeout: float) -> None:
        self._folder = root / folder_name(namespace)
        self._clock = clock
        self._lock_timeout = lock_timeout
        self._shards: dict[str, Shard] = {}

    def prepare(self) -> None:
        """Make the folder, prove that files can be made and locked in it, and remove what a crash has left."""
        # From now on the working directory may change.
        self._folder = self._folder.absolute()
        make_folder(self._folder)
        with tempfile.TemporaryFile(dir=self._folder), FolderLock(self._folder, self._lock_timeout).held():
            pass
        for name in self.shards():
            self._shard(name).sweep()

    def read(self, session_ids: Sequence[str]) -> list[Record | None]:
        """Return the live record of each session."""
        return [self._live(session_id, address_of(session_id)) for session_id in session_ids]

    def write(self, items: Sequence[tuple[str, Record]]) -> list[None]:
        """Store records of one shard."""
        shard = self._shard(address_of(items[0][0]).shard)
        with shard.locked():
            for session_id, record in items:
                self._put(shard, session_id, record)
            shard.sync()
        return [None] * len(items)

    def swap(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        """Compare and swap records of one shard."""
        shard = self._shard(address_of(items[0][0]).shard)
        with shard.locked():
            answers = [self._swap(shard, *item) for item in items]
            if any(answers):
                # Also when all were stored already: whoever did that may not have come to this.
                shard.sync()
        return answers

    def touch(self, session_id: str, expires_at: int | None) -> bool:
        """Move the expiry of a live record."""
        address = address_of(session_id)
        shard = self._shard(address.shard)
        with shard.locked():
            live = self._live(session_id, address)
            if live is None:
                return False
            shard.put(address.file, encode_file(session_id, replace(live, expires_at=expires_at)))
            shard.sync()
        return True

    def destroy(self, session_id: str) -> None:
        """Remove a session, whatever is in its file."""
        address = address_of(session_id)
        shard = self._shard(address.shard)
        with shard.locked():
            if remove_file(shard.path(address.file)):
                shard.sync()

    def shards(self) -> list[str]:
        """List the shards that there are."""
        require_folder(self._folder)
        return [path.name for path in self._folder.iterdir() if SHARD_NAME.fullmatch(path.name)]

    def live_ids(self, shard_name: str) -> list[str]:
        """List the live sessions of a shard."""
        now = self._clock.now()
        found = map(_inspect, self._shard(shard_name).paths())
        return [session_id for session_id, record in filter(None, found) if not record.is_expired(now)]

    def purge(self, shard_name: str) -> int:
        """Remove the expired sessions of a shard, and what a crash has left; tell how many sessions."""
        shard = self._shard(shard_name)
        shard.sweep()
        # Looked for without the lock, which nobody should have to wait for, and looked at again with it.
        expired = [path for path in shard.paths() if self._is_expired(path)]
        if not expired:
            return 0
        with shard.locked():
            removed = sum(remove_file(path) for path in expired if self._is_expired(path))
            shard.sync()
        return removed

    def clear(self, shard_name: str) -> int:
        """Remove all sessions of a shard, damaged ones too; tell how many live ones."""
        shard = self._shard(shard_name)
        shard.sweep()
        paths = shard.paths()
        with shard.locked():
            removed = sum(self._remove_live(path) for path in paths)
            shard.sync()
        return removed

    def _shard(self, name: str) -> Shard:
        shard = self._shards.get(name)
        if shard is None:
            # Threads that come here together must all get the same one, with the same lock.
            shard = self._shards.setdefault(name, Shard(self._folder / name, self._lock_timeout))
        return shard

    def _live(self, session_id: str, address: Address) -> Record | None:
        record = self._load(session_id, address)
        return None if record is None or record.is_expired(self._clock.now()) else record

    def _load(self, session_id: str, address: Address) -> Record | None:
        path = self._folder / address.shard / address.file
        content = read_file(path)
        if content is None:
            require_folder(self._folder)
            return None
        found, record = decode_file(content, location=str(path), session_id=session_id)
        if found != session_id:
            raise CorruptSessionError(f"it is the file of session {found!r}", session_id=session_id, location=str(path))
        return record

    def _put(self, shard: Shard, session_id: str, record: Record) -> None:
        address = address_of(session_id)
        self._load(session_id, address)  # what cannot be understood is kept, for someone to look at
        shard.put(address.file, encode_file(session_id, record))

    def _swap(self, shard: Shard, session_id: str, record: Record, expected: str | Absent) -> bool:
        address = address_of(session_id)
        decision = decide_swap(self._live(session_id, address), record, expected)
        if decision is SwapDecision.STORE:
            shard.put(address.file, encode_file(session_id, record))
        return decision is not SwapDecision.REFUSE

    def _is_expired(self, path: Path) -> bool:
        found = _inspect(path)
        return found is not None and found[1].is_expired(self._clock.now())

    def _remove_live(self, path: Path) -> bool:
        found = _inspect(path)
        return remove_file(path) and found is not None and not found[1].is_expired(self._clock.now())


def _inspect(path: Path) -> tuple[str, Record] | None:
    """Return what is in a file among others; one that is damaged is no reason to give up the others."""
    content = read_file(path)
    if content is None:
        return None
    try:
        session_id, record = decode_file(content, location=str(path))
    except CorruptSessionError as error:
        _logger.warning("%s", error)
        return None
    if address_of(session_id).file != path.name:
        _logger.warning("%s is not a session of its own: it is a copy of the file of session %r", path, session_id)
        return None
    return session_id, record
