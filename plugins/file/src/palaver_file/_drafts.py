"""What is about to become of sessions, and how several of them come to the disk together.

To wait for the disk is what takes time in a save, and the disk brings many files to safety as fast as one. So each
step is done for all of them before the next is begun.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palaver_file._calendar import hour_of
from palaver_file._disk import move_file, remove_file, start_file, sync_file, sync_folder
from palaver_file._format import encode_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from palaver.contract.record import Record
    from palaver_file._calendar import Calendar
    from palaver_file._shard import Shard

__all__ = ("Draft", "Publisher")


@dataclass(slots=True)
class Draft:
    """A session in the hands of whoever holds the lock of its shard."""

    session_id: str
    name: str
    """The name of its file."""

    shard: Shard
    stored: Record | None
    """What is on the disk, expired or not."""

    record: Record | None
    """What shall be there."""

    content: bytes = b""
    """What shall be in its file, if that is something new."""

    def replace(self, record: Record) -> None:
        """Let `record` be what shall be there."""
        self.record = record
        self.content = encode_file(self.session_id, record)

    @property
    def expires_at(self) -> int | None:
        """When it shall expire."""
        return None if self.record is None else self.record.expires_at

    @property
    def former_expires_at(self) -> int | None:
        """When what is on the disk expires."""
        return None if self.stored is None else self.stored.expires_at

    @property
    def keeps_its_mark(self) -> bool:
        """Whether its mark in the calendar is the same before and after."""
        return hour_of(self.expires_at) == hour_of(self.former_expires_at)


class Publisher:
    """Brings drafts to the disk.

    Args:
        calendar: where sessions that expire are marked.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def publish(self, drafts: Iterable[Draft], confirmed: Iterable[Shard] = ()) -> None:
        """Save what is changed; when this returns, it is on the disk.

        Args:
            drafts: of each shard not more than it has temporary names, and all under the locks of their shards.
            confirmed: shards in which something is as it should be already, but perhaps not yet on the disk.
        """
        changed = [draft for draft in drafts if draft.content]
        moved = [draft for draft in changed if not draft.keeps_its_mark]
        hours = {self._calendar.mark(draft.name, draft.expires_at) for draft in moved if draft.expires_at is not None}
        for hour in hours:
            sync_folder(hour)
        _replace(changed)
        for folder in _folders(changed, confirmed):
            sync_folder(folder)
        for draft in moved:
            # Last: when the computer stops before this, there is a mark too many, and never one too few.
            self._calendar.unmark(draft.name, draft.former_expires_at)


def _replace(drafts: Sequence[Draft]) -> None:
    temporaries = _temporaries(drafts)
    try:
        _write(drafts, temporaries)
        for draft, temporary in zip(drafts, temporaries, strict=True):
            move_file(temporary, draft.shard.path(draft.name))
    except BaseException:
        # When the disk is full, what was written so far must not keep it full.
        for temporary in temporaries:
            with contextlib.suppress(OSError):
                remove_file(temporary)
        raise


def _write(drafts: Sequence[Draft], temporaries: Sequence[str]) -> None:
    """Write the files of drafts, and bring what is in them to the disk."""
    descriptors: list[int] = []
    try:
        for draft, temporary in zip(drafts, temporaries, strict=True):
            descriptors.append(start_file(temporary, draft.content))
        for descriptor, temporary in zip(descriptors, temporaries, strict=True):
            sync_file(descriptor, temporary)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _temporaries(drafts: Sequence[Draft]) -> list[str]:
    """Return where each draft is written first: under one of the few names that its shard has for that."""
    used: dict[Shard, int] = {}
    paths = []
    for draft in drafts:
        number = used.get(draft.shard, 0)
        paths.append(draft.shard.temporaries[number])
        used[draft.shard] = number + 1
    return paths


def _folders(drafts: Iterable[Draft], confirmed: Iterable[Shard]) -> set[Path]:
    return {draft.shard.folder for draft in drafts} | {shard.folder for shard in confirmed}
