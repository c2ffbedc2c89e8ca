"""The run: cell by cell, all contenders of a medium in turns, so that what disturbs the computer disturbs all alike."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.contenders import contenders_of
from tests.benchmarks.plan import SIZES, takes_part
from tests.benchmarks.protocol import Job
from tests.benchmarks.results import CellResult, Missing, Results, count_words
from tests.benchmarks.states import make_state
from tests.benchmarks.workers import ContenderFailedError, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.benchmarks.contenders import Contender
    from tests.benchmarks.measure import Round
    from tests.benchmarks.plan import Cell, Plan

__all__ = ("Run",)


class Run:
    """Measures media one after the other.

    Args:
        plan: which cells, and how long.
        node_modules: gives the folder where the packages of Node are, or raises `ContenderFailedError`.
        progress: told what is being done.
    """

    def __init__(self, plan: Plan, *, node_modules: Callable[[], Path], progress: Callable[[str], None]) -> None:
        self._plan = plan
        self._node_modules = node_modules
        self._progress = progress
        self.results = Results()

    async def measure(self, driver: str, url: str | None) -> None:
        """Measure a medium.

        Args:
            driver: which one.
            url: where its server is; None for media that are a folder, or nothing.
        """
        for cell in self._plan.cells:
            self._progress(f"{driver}: {SIZES[cell.size]}, {count_words(cell.conversations)}")
            taking_part = [contender for contender in contenders_of(driver) if takes_part(contender, cell)]
            await self._measure_cell(cell, taking_part, url)

    async def _measure_cell(self, cell: Cell, contenders: Sequence[Contender], url: str | None) -> None:
        folder = await asyncio.to_thread(tempfile.mkdtemp)
        workers = []
        try:
            for number, contender in enumerate(contenders):
                place = await asyncio.to_thread(_make, folder, number) if url is None else url
                worker = await self._start(contender, cell, place)
                workers += [] if worker is None else [worker]
            await self._measure_in_turns(cell, workers)
        finally:
            for worker in workers:
                await worker.kill()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _start(self, contender: Contender, cell: Cell, place: str) -> Worker | None:
        sessions = [f"{contender.name}:{cell.size}:{cell.conversations}:{each}" for each in range(cell.conversations)]
        job = Job(contender.opener, contender.driver, place, make_state(cell.size), sessions)
        try:
            await asyncio.to_thread(_require, contender.packages)
            modules = Path() if contender.opener else self._node_modules()
            return await Worker.start(contender, job, modules)
        except ContenderFailedError as failure:
            self._miss(contender, cell, failure)
            return None

    async def _measure_in_turns(self, cell: Cell, workers: Sequence[Worker]) -> None:
        rounds: dict[Worker, list[Round]] = {worker: [] for worker in workers}
        for number in range(self._plan.rounds + 1):
            seconds = self._plan.seconds if number else self._plan.warm_up
            # Another one begins each time: nobody is always behind the same one.
            order = list(rounds)
            first = number % max(len(order), 1)
            for worker in [*order[first:], *order[:first]]:
                measured = await self._go_on(worker, cell, seconds)
                if measured is None:
                    del rounds[worker]
                elif number:
                    rounds[worker].append(measured)
        for worker, measurements in rounds.items():
            await self._end(worker, cell, measurements)

    async def _go_on(self, worker: Worker, cell: Cell, seconds: float) -> Round | None:
        try:
            answer = await worker.go_on(seconds)
        except ContenderFailedError as failure:
            self._miss(worker.contender, cell, failure)
            return None
        return answer.round

    async def _end(self, worker: Worker, cell: Cell, rounds: list[Round]) -> None:
        contender = worker.contender
        try:
            answer = await worker.end()
        except ContenderFailedError as failure:
            self._miss(contender, cell, failure)
            return
        self.results.cells.append(
            CellResult(
                driver=contender.driver,
                size=cell.size,
                conversations=cell.conversations,
                contender=contender.name,
                role=contender.role,
                rounds=rounds,
                counted=answer.turns or 0,
                peak_bytes=answer.peak_bytes,
            )
        )

    def _miss(self, contender: Contender, cell: Cell, failure: ContenderFailedError) -> None:
        self._progress(f"{contender.name} on {contender.driver} is missing: {failure}")
        # A path or an address of this computer is nobody's business.
        reason = str(failure).partition("\n")[0].replace(tempfile.gettempdir(), "…").replace(str(Path.home()), "…")
        missing = Missing(contender.driver, contender.name, cell.size, cell.conversations, reason)
        self.results.missing.append(missing)


def _require(packages: Iterable[str]) -> None:
    for package in packages:
        if not any(metadata.distributions(name=package)):
            raise ContenderFailedError(f"{package} is not installed")


def _make(folder: str, number: int) -> str:
    place = Path(folder, str(number))
    place.mkdir()
    return str(place)
