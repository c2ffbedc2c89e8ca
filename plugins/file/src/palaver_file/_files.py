"""The sessions of a namespace as files: all that the store does, without its event loop.

Every method may block, is safe to call from several threads, and raises `OSError` when the file system fails.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tempfile
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from palaver.contract.record import SwapDecision, decide_swap
from palaver.errors import CorruptSessionError, PalaverError, StoreUnavailableError
from palaver_file._calendar import Calendar
from palaver_file._disk import make_folder, read_file, remove_file, require_folder
from palaver_file._drafts import Draft, Publisher
from palaver_file._format import decode_file
from palaver_file._names import SHARD_NAME, Address, address_of, folder_name, shard_of
from palaver_file._shard import MOST_AT_ONCE, FolderLock, Shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from palaver.contract.clock import Clock
    from palaver.contract.record import Absent, Record

__all__ = ("SessionFiles", "explain", "is_lasting")

_SHARDS_AT_ONCE: Final = 12
"""Each takes up to nine open files, of which some systems allow a process 256 in all."""

_BATCH_PATIENCE: Final = 0.25
"""For how many seconds a batch waits for a lock, and no more until somebody has had it: who has to wait longer waits
alone."""

_LASTING: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""What does not pass by itself."""

_NO_FILE: Final = (errno.EISDIR, errno.ELOOP, errno.ENXIO)
"""What the system says where something that is no file is in the place of one."""

_OF_ONE_FILE: Final = (errno.EACCES, errno.EPERM, errno.EIO)
"""What it says of a file that it cannot read, while it can read others."""

_Save: TypeAlias = "tuple[str, Record, str | Absent | None]"
"""The session, the record, and the version that must be live; None where any may be."""

_Waiting: TypeAlias = "dict[str, deque[tuple[int, _Save]]]"
"""What is still to be saved, by its shard and in order, with the places of the answers."""

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
        self._shards_at_once = _SHARDS_AT_ONCE
        self._files_at_once = MOST_AT_ONCE

    @property
    def root(self) -> Path:
        """The folder of all namespaces: absolute, once it is prepared."""
        return self._folder.parent

    def open_fewer_files(self) -> None:
        """Halve how many files a save has open, for the process has reached its limit."""
        self._shards_at_once = max(1, self._shards_at_once // 2)
        self._files_at_once = max(1, self._files_at_once // 2)

    def prepare(self) -> None:
        """Make the folder, prove that files can be made and locked in it, and remove what a crash has left."""
        # From now on the working directory may change.
        self._folder = self._folder.absolute()
        make_folder(self._folder)
        with tempfile.TemporaryFile(dir=self._folder), FolderLock(self._folder, self._lock_timeout).held():
            pass
        self._calendar = Calendar(self._folder)
        self._publisher = Publisher(self._calendar)
        self.sweep()

    def read(self, session_ids: Sequence[str]) -> list[Record | None]:
        """Return the live record of each session."""
        return [self._live(session_id, address_of(session_id)) for session_id in session_ids]

    def write(self, items: Sequence[tuple[str, Record]]) -> list[bool]:
        """Store records."""
        return self._save([(session_id, record, None) for session_id, record in items])

    def swap(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        """Compare and swap records.

        Raises:
            StoreUnavailableError: somebody keeps the lock of a session; the error names it. Several records do not wait
                long for one.
        """
        return self._save(items)

    def touch(self, session_id: str, expires_at: int | None) -> bool:
        """Move the expiry of a live record."""
        with self._locked(session_id):
            draft = self._draft(session_id)
            if draft.record is None or draft.record.is_expired(self._clock.now()):
                return False
            draft.replace(replace(draft.record, expires_at=expires_at))
            self._publisher.publish([draft])
        return True

    def remove(self, session_id: str, expected: str) -> bool:
        """Remove a live record with the expected version."""
        address = address_of(session_id)
        with self._locked(session_id) as shard:
            live = self._live(session_id, address)
            if live is None or live.version != expected:
                return False
            remove_file(shard.path(address.file))
            try:
                shard.sync()
            except OSError as error:
                # Not to be repeated: the next answer would be that somebody else has removed it.
                raise StoreUnavailableError(explain(error), session_id=session_id) from error
            self._calendar.unmark(address.file, live.expires_at)
        return True

    def destroy(self, session_id: str) -> None:
        """Remove a session, whatever is in its file."""
        address = address_of(session_id)
        with self._locked(session_id) as shard:
            path = shard.path(address.file)
            found = _inspect(path)
            if remove_file(path):
                shard.sync()
            if found is not None:
                self._calendar.unmark(address.file, found[1].expires_at)

    def shards(self) -> list[str]:
        """List the shards that there are."""
        require_folder(self._folder)
        return [path.name for path in self._folder.iterdir() if SHARD_NAME.fullmatch(path.name)]

    def live_ids(self, shard_name: str) -> list[str]:
        """List the live sessions of a shard."""
        now = self._clock.now()
        found = map(_inspect, self._shard(shard_name).paths())
        return [session_id for session_id, record in filter(None, found) if not record.is_expired(now)]

    def sweep(self) -> None:
        """Remove what a crash has left."""
        for name in self.shards():
            self._shard(name).sweep()

    def due_hours(self) -> list[Path]:
        """List the hours of the calendar that have begun."""
        return self._calendar.due(self._clock.now())

    def purge(self, hour: Path) -> int:
        """Remove the sessions that have expired among those of an hour; tell how many."""
        marks: dict[str, list[str]] = {}
        for name in self._calendar.names(hour):
            # Looked at without the lock, which nobody should have to wait for, and looked at again with it.
            if self._is_due(name, hour):
                marks.setdefault(shard_of(name), []).append(name)
        removed = sum(self._purge_shard(shard, names, hour) for shard, names in marks.items())
        self._calendar.close(hour)
        return removed

    def clear(self, shard_name: str) -> int:
        """Remove all sessions of a shard, damaged ones too; tell how many live ones."""
        shard = self._shard(shard_name)
        shard.sweep()
        paths = shard.paths()
        with shard.locked():
            found = [(path, _inspect(path)) for path in paths]
            gone = [session for path, session in found if remove_file(path) and session is not None]
            shard.sync()
            for session_id, record in gone:
                self._calendar.unmark(address_of(session_id).file, record.expires_at)
        now = self._clock.now()
        return sum(not record.is_expired(now) for _, record in gone)

    def _shard(self, name: str) -> Shard:
        shard = self._shards.get(name)
        if shard is None:
            # Threads that come here together must all get the same one, with the same lock.
            shard = self._shards.setdefault(name, Shard(self._folder / name, self._lock_timeout))
        return shard

    @contextlib.contextmanager
    def _locked(self, session_id: str) -> Iterator[Shard]:
        """Hold the lock of the shard of a session."""
        shard = self._shard(address_of(session_id).shard)
        with contextlib.ExitStack() as locks:
            self._lock(shard, session_id, locks, None)
            yield shard

    def _lock(self, shard: Shard, session_id: str, locks: contextlib.ExitStack, timeout: float | None) -> None:
        try:
            shard.lock(locks, timeout)
        except TimeoutError as error:
            raise StoreUnavailableError(explain(error), session_id=session_id) from error

    def _live(self, session_id: str, address: Address) -> Record | None:
        record = self._load(session_id, address)
        return None if record is None or record.is_expired(self._clock.now()) else record

    def _load(self, session_id: str, address: Address) -> Record | None:
        path = self._shard(address.shard).path(address.file)
        try:
            content = read_file(path)
        except OSError as error:
            refusal = _refusal(error, session_id, path)
            if refusal is None:
                raise
            raise refusal from error
        if content is None:
            require_folder(self._folder)
            return None
        found, record = decode_file(content, location=path, session_id=session_id)
        if found != session_id:
            raise CorruptSessionError(f"it is the file of session {found!r}", session_id=session_id, location=path)
        return record

    def _save(self, items: Sequence[_Save]) -> list[bool]:
        """Save records if they may be saved, many at a time, and tell for each whether it is stored."""
        answers = [False] * len(items)
        waiting: _Waiting = {}
        for place, item in enumerate(items):
            waiting.setdefault(address_of(item[0]).shard, deque()).append((place, item))
        # None is as long as the lock itself allows.
        patience = None if len(items) == 1 else _BATCH_PATIENCE
        while waiting:
            self._save_some(waiting, answers, patience)
        return answers

    def _save_some(self, waiting: _Waiting, answers: list[bool], patience: float | None) -> None:
        """Save what can be saved now, at least something, and take it from what waits."""
        with contextlib.ExitStack() as locks:
            drafts: dict[str, Draft] = {}
            confirmed = []
            for shard in self._lock_some(waiting, locks, patience):
                for place, (session_id, record, expected) in _take(waiting, shard, self._files_at_once):
                    draft = drafts.get(session_id)
                    if draft is None:
                        draft = drafts[session_id] = self._draft(session_id)
                    decision = self._decide(draft, record, expected)
                    answers[place] = decision is not SwapDecision.REFUSE
                    if decision is SwapDecision.STORE:
                        draft.replace(record)
                    elif decision is SwapDecision.ALREADY_STORED:
                        # Whoever has stored it may not have come to bring it to the disk.
                        confirmed.append(draft.shard)
            self._publisher.publish(drafts.values(), confirmed)

    def _lock_some(self, waiting: _Waiting, locks: contextlib.ExitStack, patience: float | None) -> list[str]:
        """Lock the shards that are free, of those that something waits for; at least one."""
        held: list[str] = []
        for name in waiting:
            if len(held) < self._shards_at_once and self._lock_if_free(name, locks):
                held.append(name)
        if held:
            return held
        # Only here is waited, while no other lock is held: so writers never wait for each other in a circle, and one
        # that is stuck holds up nobody but those who want its shard.
        first = next(iter(waiting))
        shard = self._shard(first)
        self._lock(shard, waiting[first][0][1][0], locks, 0 if patience and shard.is_stuck else patience)
        return [first]

    def _lock_if_free(self, name: str, locks: contextlib.ExitStack) -> bool:
        try:
            self._shard(name).lock(locks, timeout=0)
        except TimeoutError:
            return False
        return True

    def _decide(self, draft: Draft, record: Record, expected: str | Absent | None) -> SwapDecision:
        if expected is None:
            return SwapDecision.STORE
        live = draft.record
        if live is not None and live.is_expired(self._clock.now()):
            live = None
        return decide_swap(live, record, expected)

    def _draft(self, session_id: str) -> Draft:
        address = address_of(session_id)
        stored = self._load(session_id, address)  # what cannot be understood is kept, for someone to look at
        return Draft(session_id, address.file, self._shard(address.shard), stored, stored)

    def _purge_shard(self, shard_name: str, names: list[str], hour: Path) -> int:
        shard = self._shard(shard_name)
        with shard.locked():
            due = [name for name in names if self._is_due(name, hour)]
            removed = sum(remove_file(shard.path(name)) for name in due if self._is_expired(shard.path(name)))
            shard.sync()
            for name in due:
                self._calendar.remove(hour, name)
        return removed

    def _is_due(self, name: str, hour: Path) -> bool:
        """Tell whether a mark is of no more use: its session has expired, is gone, or expires at another time."""
        shard = shard_of(name)
        path = self._shard(shard).path(name)
        found = _inspect(path)
        if found is None:
            return not Path(path).exists()  # a damaged session keeps its mark: it may be mended
        return found[1].is_expired(self._clock.now()) or not self._calendar.is_in(hour, found[1].expires_at)

    def _is_expired(self, path: str) -> bool:
        found = _inspect(path)
        return found is not None and found[1].is_expired(self._clock.now())


def _take(waiting: _Waiting, shard: str, most: int) -> Iterator[tuple[int, _Save]]:
    """Take what waits for a shard, in order, for not more sessions than can be written in it at the same time."""
    queue = waiting[shard]
    sessions: set[str] = set()
    while queue:
        session_id = queue[0][1][0]
        if session_id not in sessions and len(sessions) >= most:
            return
        sessions.add(session_id)
        yield queue.popleft()
    del waiting[shard]


def _inspect(path: str) -> tuple[str, Record] | None:
    """Return what is in a file among others; one that is damaged is no reason to give up the others."""
    try:
        content = read_file(path)
    except OSError as error:
        if error.errno not in (*_NO_FILE, *_OF_ONE_FILE):
            raise
        _logger.warning("the session in %s cannot be read: %s", path, error.strerror)
        return None
    if content is None:
        return None
    try:
        session_id, record = decode_file(content, location=path)
    except CorruptSessionError as error:
        _logger.warning("%s", error)
        return None
    if address_of(session_id).file != Path(path).name:
        _logger.warning("%s is not a session of its own: it is a copy of the file of session %r", path, session_id)
        return None
    return session_id, record


def _refusal(error: OSError, session_id: str, path: str) -> PalaverError | None:
    """Return the error of a session whose file cannot be read; None when the failure is about more than this file."""
    if error.errno in _NO_FILE:
        reason = f"there is no file that can be read ({error.strerror})"
        return CorruptSessionError(reason, session_id=session_id, location=path)
    if error.errno in _OF_ONE_FILE and os.access(Path(path).parent, os.R_OK | os.X_OK):
        return StoreUnavailableError(explain(error), session_id=session_id, retryable=not is_lasting(error))
    return None


def is_lasting(error: OSError) -> bool:
    """Tell whether an error does not pass by itself, so that nobody needs to try again."""
    return error.errno in _LASTING


def explain(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
