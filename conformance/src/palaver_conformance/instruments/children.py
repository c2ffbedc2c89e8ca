"""Child processes of the kit, from the parent's side."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any, Final, Self

from palaver_conformance.ground.verdicts import LawBroken, NotRun

if TYPE_CHECKING:
    from types import TracebackType

    from palaver_conformance.ground.ground import Ground

__all__ = ("Child", "other_processes_see")

_LOOKS: Final = 10


class Child:
    """A process that does one job (see `jobs`), and is killed at the latest when the block ends.

    Args:
        ground: whose harness and location it uses.
        job: which job.
        **options: of the job.
    """

    def __init__(self, ground: Ground, job: str, **options: Any) -> None:
        self._ground = ground
        order = {
            "job": job,
            "location": ground.location,
            "options": options,
            "harness": pickle.dumps(ground.harness).hex(),
        }
        self._orders = f"{json.dumps(sys.path)}\n{json.dumps(order)}\n"
        self._process: subprocess.Popen[str] | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.to_thread(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        await asyncio.to_thread(self._end)

    async def line(self) -> str:
        """Return the next line that it tells; empty when it has ended.

        Raises:
            LawBroken: it told nothing for too long.
        """
        patience = 4 * self._ground.profile.call_seconds
        reading = asyncio.ensure_future(asyncio.to_thread(self._pipe("stdout").readline))
        # This process goes on meanwhile: it is the child that may be slow, on a busy computer from its start.
        for _ in range(_LOOKS):
            self._ground.beat()
            await asyncio.wait([reading], timeout=patience / _LOOKS)
        if not reading.done():
            self.kill()
            await reading
            self._ground.has_hung = True
            raise LawBroken(expected="a store in another process to answer", got=f"nothing for {patience:g} seconds")
        return reading.result().rstrip("\n")

    async def ended_well(self) -> bool:
        """Wait for its end, and tell whether it was an orderly one."""
        while await self.line():
            pass
        return await asyncio.to_thread(self._code) == 0

    async def go(self) -> None:
        """Let it go on from where it waits."""
        await asyncio.to_thread(self._write, "go\n")

    def kill(self) -> None:
        """Kill it at once: it can do nothing more."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    async def complaint(self) -> str:
        """Return the last line of what it wrote to standard error; it has ended, or is killed."""
        self.kill()
        lines = (await asyncio.to_thread(self._pipe("stderr").read)).strip().splitlines()
        return lines[-1] if lines else "it ended without a word"

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # this very interpreter
            [sys.executable, "-m", "palaver_conformance.instruments.jobs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._process = process
        self._write(self._orders)
        return process

    def _code(self) -> int | None:
        return None if self._process is None else self._process.wait()

    def _write(self, text: str) -> None:
        try:
            self._pipe("stdin").write(text)
            self._pipe("stdin").flush()
        except OSError:
            return  # it has ended: its silence will be noticed

    def _pipe(self, name: str) -> IO[str]:
        pipe: IO[str] = getattr(self._process, name)
        return pipe

    def _end(self) -> None:
        if self._process is not None:
            self._process.wait()
            for name in ("stdin", "stdout", "stderr"):
                self._close(name)

    def _close(self, name: str) -> None:
        try:
            self._pipe(name).close()
        except OSError:
            return  # what was not yet written has nobody to read it


async def other_processes_see(ground: Ground) -> None:
    """See that a store in another process reaches the same medium.

    Raises:
        NotRun: it does not, and need not: the medium is in this process.
    """
    async with await ground.open() as store:
        await store.write("probe", ground.record(b"seen"))
    async with Child(ground, "look") as child:
        answer = await child.line()
        complaint = "" if answer else await child.complaint()
    if not answer:
        raise NotRun(f"hook spawn: the store cannot be made in another process ({complaint})")
    if answer != "seen" and not ground.capabilities.durable:
        raise NotRun("hook spawn: what the store keeps belongs to one process")
    ground.equal(answer, "seen", "another process to see")
