"""The sessions of a namespace as files: all that the store does, without its event loop.

Every method may block, is safe to call from several threads, and raises `OSError` when the file system fails.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from palaver.errors import CorruptSessionError
from palaver.record import SwapDecision, decide_swap
from palaver_file._calendar import Calendar
from palaver_file._disk import make_folder, read_file, remove_file, require_folder
from palaver_file._drafts import Draft, Publisher
from palaver_file._format import decode_file
from palaver_file._names import SHARD_NAME, Address, address_of, folder_name, shard_of
from palaver_file._shard import MOST_AT_ONCE, FolderLock, Shard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from palaver.clock import Clock
    from palaver.record import Absent, Record

__all__ = ("SessionFiles",)

_SHARDS_AT_ONCE: Final = 12
"""Each takes up to nine open files, of which some systems allow a process 256 in all."""

_Save: TypeAlias = "tuple[str, Record, str | Absent | None]"
"""The session, the record, and the version that must be live; None where any may be."""

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
        """Compare and swap records."""
        return self._save(items)

    def touch(self, session_id: str, expires_at: int | None) -> bool:
        """Move the expiry of a live record."""
        shard = self._shard(address_of(session_id).shard)
        with shard.locked():
            draft = self._draft(session_id)
            if draft.record is None or draft.record.is_expired(self._clock.now()):
                return False
            draft.replace(replace(draft.record, expires_at=expires_at))
            self._publisher.publish([draft])
        return True

    def destroy(self, session_id: str) -> None:
        """Remove a session, whatever is in its file."""
        address = address_of(session_id)
        shard = self._shard(address.shard)
        path = shard.path(address.file)
        with shard.locked():
            found = _inspect(path)
            if remove_file(path):
                shard.sync()
            if found is not None:
                self._calendar.unmark(path.name, found[1].expires_at)

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

    def _save(self, items: Sequence[_Save]) -> list[bool]:
        """Save records if they may be saved, many at a time, and tell for each whether it is stored."""
        answers: dict[int, bool] = {}
        waiting = list(enumerate(items))
        while waiting:
            waiting = self._save_some(waiting, answers)
        return [answers[place] for place in range(len(items))]

    def _save_some(self, waiting: list[tuple[int, _Save]], answers: dict[int, bool]) -> list[tuple[int, _Save]]:
        """Save what can be saved now, at least the first, and return what has to wait."""
        with contextlib.ExitStack() as locks:
            now, later = self._choose(waiting, locks, held=set())
            if not now:
                # Only here is waited, while no other lock is held: so writers never wait for each other in a circle,
                # and one that is stuck holds up nobody but those who want its shard.
                first = address_of(waiting[0][1][0]).shard
                locks.enter_context(self._shard(first).locked())
                now, later = self._choose(waiting, locks, held={first})
            drafts: dict[str, Draft] = {}
            confirmed = []
            for place, (session_id, record, expected) in now:
                if session_id not in drafts:
                    drafts[session_id] = self._draft(session_id)
                decision = self._decide(drafts[session_id], record, expected)
                answers[place] = decision is not SwapDecision.REFUSE
                if decision is SwapDecision.STORE:
                    drafts[session_id].replace(record)
                elif decision is SwapDecision.ALREADY_STORED:
                    # Whoever has stored it may not have come to bring it to the disk.
                    confirmed.append(drafts[session_id].shard)
            self._publisher.publish(drafts.values(), confirmed)
        return later

    def _choose(
        self, waiting: list[tuple[int, _Save]], locks: contextlib.ExitStack, held: set[str]
    ) -> tuple[list[tuple[int, _Save]], list[tuple[int, _Save]]]:
        """Lock the shards that are free, and return what can be saved in them now, and what has to wait.

        The items of a shard stay in order: once one of them has to wait, those after it wait, too.
        """
        sessions: dict[str, set[str]] = {shard: set() for shard in held}
        busy: set[str] = set()
        now, later = [], []
        for place, item in waiting:
            shard = address_of(item[0]).shard
            if shard not in busy and shard not in sessions:
                if len(sessions) < _SHARDS_AT_ONCE and self._lock_if_free(shard, locks):
                    sessions[shard] = set()
                else:
                    busy.add(shard)
            if shard not in busy and len(sessions[shard] | {item[0]}) > MOST_AT_ONCE:
                busy.add(shard)
            if shard in busy:
                later.append((place, item))
            else:
                sessions[shard].add(item[0])
                now.append((place, item))
        return now, later

    def _lock_if_free(self, shard: str, locks: contextlib.ExitStack) -> bool:
        try:
            locks.enter_context(self._shard(shard).locked(timeout=0))
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
        path = self._folder / shard / name
        found = _inspect(path)
        if found is None:
            return not path.exists()  # a damaged session keeps its mark: it may be mended
        return found[1].is_expired(self._clock.now()) or not self._calendar.is_in(hour, found[1].expires_at)

    def _is_expired(self, path: Path) -> bool:
        found = _inspect(path)
        return found is not None and found[1].is_expired(self._clock.now())


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
