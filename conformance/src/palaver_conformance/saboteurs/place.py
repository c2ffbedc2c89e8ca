"""Stores that do not know in which event loop of which process they are open."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._honest_files import FileStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from palaver.contract.record import Record

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@saboteur("answers-elsewhere", law="PLACE-01", words="to raise WrongLoopError")
class AnswersElsewhere(HonestStore):
    """Any number of event loops may use it at the same time, as long as nothing goes wrong."""

    def stay_here(self) -> None:
        self.loop = asyncio.get_running_loop()


@saboteur("hangs-elsewhere", law="PLACE-01", words="it hangs")
class HangsElsewhere(HonestStore):
    """What it waits for in a second event loop comes in the first one only."""

    def stay_here(self) -> None:
        self.loop = self.loop or asyncio.get_running_loop()

    async def trip(self) -> None:
        if self.loop is not asyncio.get_running_loop():
            await asyncio.Event().wait()
        await super().trip()


@saboteur("dead-loop", law="PLACE-02", words="Event loop is closed")
class KeepsTheFirstLoop(HonestStore):
    """It goes on using the event loop in which it was opened."""

    first: asyncio.AbstractEventLoop | None = None

    async def trip(self) -> None:
        self.first = self.first or asyncio.get_running_loop()
        self.first.call_soon(bool)
        await super().trip()


@saboteur("leaks-loops", law="PLACE-02", words="file descriptors, as after the second event loop")
class LeaksForEachLoop(HonestStore):
    """Of each event loop that has ended it keeps its connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kept: list[int] = []
        weakref.finalize(self, _close_all, self.kept)

    def stay_here(self) -> None:
        if self.loop is not asyncio.get_running_loop():
            self.kept.append(os.dup(0))
        super().stay_here()


def _close_all(descriptors: list[int]) -> None:
    for each in descriptors:
        os.close(each)


@saboteur("fork-hangs", law="PLACE-03", words="the child")
class KeepsItsThreads(FileStore):
    """In a forked child it waits for threads that are in the parent only."""

    opened_by = 0

    async def open(self) -> None:
        if self.opened_by == 0:
            self.opened_by = os.getpid()
            await super().open()

    async def end(self) -> None:
        if self.opened_by == os.getpid():
            self.opened_by = 0
            await super().end()


@saboteur("shares-a-socket", law="PLACE-03", words="the ")
class SharesASocket(FileStore):
    """Parent and child ask through one socket, and each takes the answer that comes first."""

    line: socket.socket | None = None

    async def open(self) -> None:
        if self.line is None:
            self.line, far = socket.socketpair()
            threading.Thread(target=_echo, args=(far,), daemon=True).start()
        await super().open()

    async def end(self) -> None:
        await super().end()
        if self.line is not None:
            self.line.close()
            self.line = None

    async def read(self, session_id: str) -> Record | None:
        await self.lifecycle.enter()
        return await self.threads.run(self.ask, session_id)

    def ask(self, session_id: str) -> Record | None:
        """Read the session that the far side names, which is the one that was asked for."""
        if self.line is None:
            return None
        self.line.sendall(session_id.encode().ljust(64, b"\0"))
        return self.live(self.line.recv(64).rstrip(b"\0").decode())


def _echo(far: socket.socket) -> None:
    with far:
        while question := far.recv(64):
            far.sendall(question)
