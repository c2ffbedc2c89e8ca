"""What concurrent clients do: random calls on few sessions, so that they meet."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT, Absent, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver.contract.store import Capabilities, SessionStore
    from palaver_conformance.histories.history import Recorder

__all__ = ("Client",)


class Client:
    """One client of a store that makes random calls, all of them recorded.

    Args:
        recorder: of all clients of the history.
        name: which client it is.
        store: which store it uses.
        seed: where chance begins.
        expires_at: when the records that it writes expire; far from any moment of the history.
    """

    def __init__(
        self, recorder: Recorder, name: str, store: SessionStore, *, seed: str, expires_at: int | None = None
    ) -> None:
        self._client = recorder.client(name, store)
        self._random = Random(seed)  # noqa: S311  # it must be repeatable, not secret
        self._known: dict[str, str | Absent] = {}
        self._expires_at = expires_at
        self._longest = store.capabilities.max_payload_bytes

    async def run(self, ids: Sequence[str], count: int, declared: Capabilities) -> None:
        """Make so many calls."""
        verbs = ["read", "read", "write", "destroy"]
        verbs += ["swap", "swap", "swap", "remove"] if declared.swap else []
        verbs += ["touch", "touch"] if declared.touch else []
        for _ in range(count):
            await self._pause()
            await self._call(self._random.choice(verbs), self._random.choice(ids))

    async def _call(self, verb: str, session_id: str) -> None:
        if verb == "read":
            await self._read(session_id)
        elif verb == "write":
            record = self._record()
            await self._client.write(session_id, record)
            self._known[session_id] = record.version
        elif verb == "swap":
            await self._swap(session_id)
        elif verb == "remove":
            await self._remove(session_id)
        elif verb == "touch":
            await self._client.touch(session_id, self._random.choice([None, self._expires_at]))
        else:
            await self._client.destroy(session_id)
            self._known[session_id] = ABSENT

    async def _read(self, session_id: str) -> None:
        record = await self._client.read(session_id)
        self._known[session_id] = ABSENT if record is None else record.version

    async def _swap(self, session_id: str) -> None:
        record = self._record()
        expected = self._known.get(session_id, ABSENT)
        if await self._client.swap(session_id, record, expected):
            self._known[session_id] = record.version
        else:
            await self._read(session_id)

    async def _remove(self, session_id: str) -> None:
        expected = self._known.get(session_id, ABSENT)
        if isinstance(expected, str) and await self._client.remove(session_id, expected):
            self._known[session_id] = ABSENT
        else:
            await self._read(session_id)

    def _record(self) -> Record:
        version = f"{self._random.getrandbits(128):032x}"
        # The payload says whose it is: a mixture of two records is seen.
        payload = version.encode() * self._random.choice([1, 3, 200])
        return Record(payload[: self._longest], version, None)

    async def _pause(self) -> None:
        for _ in range(self._random.choice([0, 0, 1, 2, 5])):
            await asyncio.sleep(0)
