"""The processes of the contenders, seen from the run."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

import msgspec
from tests.benchmarks.protocol import Answer, Order

if TYPE_CHECKING:
    from tests.benchmarks.contenders import Contender
    from tests.benchmarks.protocol import Job

__all__ = ("ContenderFailedError", "Worker")

ROOT: Final = Path(__file__).parents[2]
_SCRIPT: Final = Path(__file__).parent / "contenders" / "bottender.js"
_PATIENCE: Final = 120.0
_LONGEST_LINE: Final = 2**24


class ContenderFailedError(Exception):
    """Raised when a contender cannot be measured; says why."""


class Worker:
    """A contender at work in a process of its own.

    Args:
        contender: which one.
        process: its process.
        complaints: what it writes besides answers.
    """

    def __init__(self, contender: Contender, process: asyncio.subprocess.Process, complaints: IO[bytes]) -> None:
        self.contender = contender
        self._process = process
        self._complaints = complaints

    @classmethod
    async def start(cls, contender: Contender, job: Job, node_modules: Path) -> Self:
        """Start it and wait until it has opened what it works on.

        Raises:
            ContenderFailedError: it cannot be opened.
        """
        complaints = await asyncio.to_thread(tempfile.TemporaryFile)
        process = await asyncio.create_subprocess_exec(
            *_command(contender, node_modules),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            limit=_LONGEST_LINE,
        )
        worker = cls(contender, process, complaints)
        await worker._ask(job, _PATIENCE)
        return worker

    async def go_on(self, seconds: float) -> Answer:
        """Measure one round."""
        return await self._ask(Order(seconds), seconds + _PATIENCE)

    async def end(self) -> Answer:
        """Let it check what it did, and end."""
        answer = await self._ask(Order(), _PATIENCE)
        await self._process.wait()
        self._complaints.close()
        return answer

    async def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._complaints.close()

    async def _ask(self, words: Any, seconds: float) -> Answer:
        try:
            answer = await asyncio.wait_for(self._exchange(words), seconds)
        except TimeoutError:
            answer = Answer(error=f"no answer within {seconds:g} seconds")
        if answer.error is not None:
            await self.kill()
            raise ContenderFailedError(answer.error)
        return answer

    async def _exchange(self, words: Any) -> Answer:
        if self._process.stdin is None or self._process.stdout is None:
            raise ContenderFailedError("it has no pipes")
        with suppress(ConnectionError):
            self._process.stdin.write(msgspec.json.encode(words) + b"\n")
            await self._process.stdin.drain()
        while line := await self._process.stdout.readline():
            if line.startswith(b"{"):  # else it is something that a library has printed
                return msgspec.json.decode(line, type=Answer)
        return Answer(error=f"its process has ended: {await asyncio.to_thread(self._last_words)}")

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")


def _command(contender: Contender, node_modules: Path) -> list[str]:
    if contender.opener:
        return [sys.executable, "-m", "tests.benchmarks.worker"]
    return ["node", str(_SCRIPT), str(node_modules)]
