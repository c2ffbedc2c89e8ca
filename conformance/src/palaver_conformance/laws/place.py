"""Where a store is open: in one event loop of one process."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT
from palaver.errors import WrongLoopError
from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import LawBroken, NotRun
from palaver_conformance.instruments.children import Child

if TYPE_CHECKING:
    from typing import Any

    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore


@law("PLACE-01", proves=("PLACE-01",), catches=("answers-elsewhere", "hangs-elsewhere"))
def second_loop(ground: Ground) -> None:
    """A store that is open in a running event loop refuses to be used in another one, and goes on in the first."""
    store, record = ground.make(), ground.record()
    first = _FirstLoop(store, record)
    first.start()
    try:
        asyncio.run(_refused_everywhere(ground, store))
    finally:
        first.end()
    if first.failure is not None:
        raise first.failure
    asyncio.run(ground.close())


class _FirstLoop(threading.Thread):
    """Has a store open in an event loop of its own, until it is told to end."""

    def __init__(self, store: TracedStore, record: Record) -> None:
        super().__init__(name="palaver-first-loop", daemon=True)
        self.failure: BaseException | None = None
        self._store = store
        self._record = record
        self._is_open = threading.Event()
        self._may_end = threading.Event()

    def start(self) -> None:
        super().start()
        self._is_open.wait()

    def end(self) -> None:
        self._may_end.set()
        self.join()

    def run(self) -> None:
        try:
            asyncio.run(self._use())
        except BaseException as error:  # noqa: BLE001  # it is told to the thread that waits
            self.failure = error
        finally:
            self._is_open.set()

    async def _use(self) -> None:
        await self._store.init()
        await self._store.write("a", self._record)
        self._is_open.set()
        await asyncio.to_thread(self._may_end.wait)
        await self._store.expect("a", self._record)
        await self._store.close()


async def _refused_everywhere(ground: Ground, store: TracedStore) -> None:
    declared = ground.capabilities
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("init", ()),
        ("read", ("a",)),
        ("write", ("a", ground.record(b"elsewhere"))),
        ("destroy", ("a",)),
    ]
    calls += [("swap", ("b", ground.record(), ABSENT)), ("remove", ("a", "v"))] if declared.swap else []
    calls += [("read_many", (["a"],)), ("write_many", ([("a", ground.record())],))] if declared.batch else []
    calls += [("touch", ("a", None))] if declared.touch else []
    calls += [("scan", ())] if declared.scan else []
    calls += [("purge", ())] if declared.purge else []
    calls += [("clear", ())] if declared.clear else []
    for verb, arguments in calls:
        await store.refuses(WrongLoopError, verb, *arguments)


@law("PLACE-02", proves=("PLACE-02",), catches=("dead-loop", "leaks-loops"))
def one_loop_after_another(ground: Ground) -> None:
    """Once its event loop has ended, a store opens itself again in the next one, and leaks nothing."""
    store, record = ground.make(), ground.record()

    async def use(number: int) -> None:
        await asyncio.gather(*(store.write(f"s{number}:{each}", record) for each in range(5)))
        for earlier in range(number + 1):
            await store.expect(f"s{earlier}:0", record)

    asyncio.run(_init(store))
    asyncio.run(use(0))
    # What others have left behind must not be closed while this is counted.
    gc.collect()
    held = _descriptors()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        for number in range(1, 5):
            ground.begin_case()
            ground.steps.begin("the event loop ends, and another one begins")
            asyncio.run(use(number))
        gc.collect()
    now = _descriptors_once_at_most(held)
    ground.check(now <= held, expected=f"{held} file descriptors, as after the second event loop", got=f"{now}")
    told = [str(each.message) for each in warned if issubclass(each.category, ResourceWarning)]
    ground.check(not told, expected="no ResourceWarning", got=told)
    asyncio.run(ground.close())


async def _init(store: TracedStore) -> None:
    await store.init()


def _descriptors_once_at_most(held: int) -> int:
    """Count them again until they are so few, for a second: a server in this process closes its own a moment later."""
    for _ in range(100):
        if _descriptors() <= held:
            break
        time.sleep(0.01)
    return _descriptors()


def _descriptors() -> int:
    """Count the open file descriptors of this process, where the system shows them."""
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 0


@law("PLACE-03", proves=("PLACE-03",), hooks=("spawn",), catches=("shares-a-socket", "fork-hangs"), weight=2)
async def forked(ground: Ground) -> None:
    """In a forked child a store opens itself again; parent and child each get their own answers."""
    if not hasattr(os, "fork"):
        raise NotRun("this system has no fork")
    await _see_that_it_can_be_made(ground)
    for _ in ground.cases(range(3), at_least=1):
        async with Child(ground, "fork") as child:
            answer = await child.line() or await child.complaint()
        if answer != "well":
            raise LawBroken(expected="parent and child to read what each wrote", got=answer)
        ground.move()


async def _see_that_it_can_be_made(ground: Ground) -> None:
    """See that another process can make such a store.

    Raises:
        NotRun: it cannot.
    """
    async with Child(ground, "look") as child:
        if not await child.line():
            raise NotRun(f"hook spawn: the store cannot be made in another process ({await child.complaint()})")
