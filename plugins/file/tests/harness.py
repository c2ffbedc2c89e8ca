"""What the conformance kit needs to know of the file store."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from palaver_file import FileSessionStore
from palaver_file._names import address_of, folder_name

if TYPE_CHECKING:
    from pathlib import Path

    from palaver import Clock

__all__ = ("FileHarness",)


class FileHarness:
    """A location is a folder in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> FileSessionStore:
        return FileSessionStore(self._folder / location, clock=clock, namespace=namespace)

    async def remove(self, location: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / location, ignore_errors=True)

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        await asyncio.to_thread(self._path(location, namespace, session_id).write_bytes, b"palaver/1 00000000\ntorn")

    async def read_raw(self, location: str, namespace: str, session_id: str) -> bytes:
        return await asyncio.to_thread(self._path(location, namespace, session_id).read_bytes)

    async def fail(self, location: str) -> None:
        """Put a file where the folder was, as if a disk had been taken away."""
        await asyncio.to_thread(self._take_away, location)

    async def mend(self, location: str) -> None:
        await asyncio.to_thread(self._bring_back, location)

    def make_unusable(self, *, clock: Clock) -> FileSessionStore:
        (self._folder / "a file").touch()
        return FileSessionStore(self._folder / "a file" / "sessions", clock=clock)

    def _take_away(self, location: str) -> None:
        (self._folder / location).rename(self._folder / f"{location} taken away")
        (self._folder / location).touch()

    def _bring_back(self, location: str) -> None:
        (self._folder / location).unlink()
        (self._folder / f"{location} taken away").rename(self._folder / location)

    def _path(self, location: str, namespace: str, session_id: str) -> Path:
        shard, name = address_of(session_id)
        return self._folder / location / folder_name(namespace) / shard / name
