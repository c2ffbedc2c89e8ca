"""The state machine of Hypothesis that looks for a sequence of calls on which a store and the model differ."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.model.stage import Action, Stage, WriteItem
from palaver_conformance.model.walk import CLOCK_MOVES, EXPECTED, IDS, LIVES, PAYLOADS

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground

__all__ = ("Finding", "run_machine", "what_is_missing")

_IDS: Final = st.sampled_from(IDS[:4])
_LIVES: Final = st.one_of(st.sampled_from(LIVES), st.integers(-10, 100_000))
_STORES: Final = st.integers(0, 3)
# By number: Hypothesis shows what it samples from, and some payloads are large.
_PAYLOADS: Final = st.one_of(st.integers(0, len(PAYLOADS) - 1).map(PAYLOADS.__getitem__), st.binary(max_size=40))
_ITEMS: Final = st.builds(WriteItem, _IDS, _PAYLOADS, _LIVES, st.sampled_from(EXPECTED))
_MANY_ITEMS: Final = st.lists(_ITEMS, max_size=5).map(tuple)
_MANY_IDS: Final = st.lists(_IDS, max_size=5).map(tuple)
_VERBS: Final = st.sampled_from(["write", "swap", "touch", "destroy", "read"])
_WORK: Final = st.lists(st.tuples(_VERBS, _ITEMS), min_size=3, max_size=6)
_CHANGES: Final = (
    *itertools.product(("swap", "remove"), sorted(set(EXPECTED))),
    *((verb, "live") for verb in ("write", "touch", "destroy", "deadline")),
)
_PAIRS: Final = tuple(itertools.product(_CHANGES, repeat=2))
"""What is done to a session, and what next: few enough to try each, and some too rare to be left to chance."""
_PAIRS_A_RUN: Final = 8

_FEWEST_RUNS: Final = math.ceil(len(_PAIRS) / _PAIRS_A_RUN)
_SELDOM: Final = 5


class _Enough(Exception):  # noqa: N818  # it is no error
    """Raised to end a search that has found nothing in its time: Hypothesis would go on drawing what nobody does."""


class Finding:
    """The first failure of a machine, and the operations that led to it."""

    def __init__(self) -> None:
        self.is_enough = False
        """Whether there was no failure in all the time."""
        self.broken: BaseException | None = None
        self.operations: list[Action] = []


class StoreMachine(RuleBasedStateMachine):
    """Two namespaces with one or two stores each, several related ids, a clock, and the model.

    The loop is the machine's own: Hypothesis runs one rule after another, and each runs the loop until it is done.
    """

    ground: Ground
    finding: Finding

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._operations: list[Action] = []
        self._turn = 0
        # A failure is looked for once; a run that comes after it does nothing.
        self._is_idle = self.finding.broken is not None
        if not self._is_idle and self._is_enough():
            self.finding.is_enough = True
            self._runner.close()
            raise _Enough
        self.ground.events["machine runs"] += not self._is_idle

    @initialize(items=st.lists(_ITEMS, min_size=2, max_size=4))
    def open(self, items: list[WriteItem]) -> None:
        """Open the stores on a location of their own, and write a few sessions: there must be something to change."""
        if not self._is_idle:
            self.ground.move()
            self.ground.steps.clear()
            self._stage = Stage(self.ground)
            self._run(self._stage.open())
        self._try_pairs()
        self.write(0, items[0])
        if self._declares("batch"):
            self.change_many("write_many", 1, tuple(items[1:]))
            return
        for number, item in enumerate(items[1:]):
            self.write(1 + number, item)

    @rule(store=_STORES, item=_ITEMS)
    def write(self, store: int, item: WriteItem) -> None:
        """Write."""
        if self._fits(item):
            self._perform(Action("write", store, items=(item,)))

    @rule(store=_STORES, session_id=_IDS)
    def read(self, store: int, session_id: str) -> None:
        """Read."""
        self._perform(Action("read", store, ids=(session_id,)))

    @rule(store=_STORES, session_id=_IDS)
    def destroy(self, store: int, session_id: str) -> None:
        """Destroy."""
        self._perform(Action("destroy", store, ids=(session_id,)))

    @precondition(lambda self: self._declares("swap"))
    @rule(store=_STORES, item=_ITEMS)
    def swap(self, store: int, item: WriteItem) -> None:
        """Swap."""
        if self._fits(item):
            self._perform(Action("swap", store, items=(item,)))

    @precondition(lambda self: self._declares("swap"))
    @rule(store=_STORES, item=_ITEMS)
    def remove(self, store: int, item: WriteItem) -> None:
        """Remove."""
        self._perform(Action("remove", store, items=(item,)))

    @precondition(lambda self: self._declares("touch"))
    @rule(store=_STORES, session_id=_IDS, lives=_LIVES)
    def touch(self, store: int, session_id: str, lives: int | None) -> None:
        """Touch."""
        self._perform(Action("touch", store, ids=(session_id,), lives=lives))

    @rule(store=_STORES, session_id=_IDS, work=_WORK)
    def work_on_one(self, store: int, session_id: str, work: list[tuple[str, WriteItem]]) -> None:
        """Do one thing after another to one session: what goes wrong between verbs shows there first."""
        for verb, item in work:
            if (verb == "touch" or self._fits(item)) and getattr(self.ground.capabilities, verb, True):
                own = replace(item, session_id=session_id)
                self._perform(Action(verb, store, ids=(session_id,), items=(own,), lives=item.lives))

    @precondition(lambda self: self._declares("batch"))
    @rule(store=_STORES, ids=_MANY_IDS)
    def read_many(self, store: int, ids: tuple[str, ...]) -> None:
        """Read a batch."""
        self._perform(Action("read_many", store, ids=ids))

    @precondition(lambda self: self._declares("batch"))
    @rule(verb=st.sampled_from(["write_many", "swap_many"]), store=_STORES, items=_MANY_ITEMS)
    def change_many(self, verb: str, store: int, items: tuple[WriteItem, ...]) -> None:
        """Write or swap a batch."""
        self._perform(Action(verb, store, items=tuple(item for item in items if self._fits(item))))

    @precondition(lambda self: self._declares("scan"))
    @rule(store=_STORES, prefix=st.sampled_from(["", "a", "session:1", "*"]))
    def scan(self, store: int, prefix: str) -> None:
        """Scan."""
        self._perform(Action("scan", store, text=prefix))

    @precondition(lambda self: self._declares("scan"))
    @rule(store=_STORES, ids=_MANY_IDS, items=_MANY_ITEMS)
    def scan_and_change(self, store: int, ids: tuple[str, ...], items: tuple[WriteItem, ...]) -> None:
        """Scan while sessions come and go."""
        fitting = tuple(item for item in items if self._fits(item))
        self._perform(Action("scan_and_change", store, ids=ids, items=fitting))

    @precondition(lambda self: self._declares("purge"))
    @rule(store=_STORES)
    def purge(self, store: int) -> None:
        """Purge."""
        self._perform(Action("purge", store))

    @precondition(lambda self: self._declares("clear") and self._turn % _SELDOM == 0)
    @rule(store=_STORES)
    def clear(self, store: int) -> None:
        """Clear, now and then only: it leaves nothing to be wrong about."""
        self._perform(Action("clear", store))

    @precondition(lambda self: bool(self._undeclared) and self._turn % _SELDOM == 1)
    @rule(data=st.data(), store=_STORES, item=_ITEMS)
    def ask_in_vain(self, data: st.DataObject, store: int, item: WriteItem) -> None:
        """Call a verb that is not declared."""
        verb = data.draw(st.sampled_from(self._undeclared))
        self._perform(Action(verb, store, ids=(item.session_id,), items=(item,)))

    @rule(moves=st.sampled_from(CLOCK_MOVES))
    def clock(self, moves: int) -> None:
        """Move the clock, forwards or backwards."""
        self._perform(Action("clock", lives=moves))

    @rule(store=_STORES, offset=st.sampled_from([-1, 0, 0, 1]))
    def deadline(self, store: int, offset: int) -> None:
        """Move the clock to the next expiry, or just before or after it."""
        self._perform(Action("deadline", store, lives=offset))

    @rule(store=_STORES)
    def reopen(self, store: int) -> None:
        """Close a store and open it again."""
        self._perform(Action("reopen", store))

    @invariant()
    def the_loop_is_ours(self) -> None:
        """No rule leaves the loop running."""
        if self._runner.get_loop().is_running():
            raise LawBroken(expected="the loop to stand still between rules", got="it runs")

    def teardown(self) -> None:
        """Compare everything once more, and close the stores and the loop."""
        try:
            if not self._is_idle:
                self._run(self._stage.compare_all())
        finally:
            self._runner.run(_close(self.ground))
            self._runner.close()

    def _try_pairs(self) -> None:
        """Do the next pairs of verbs, each to a session that was just written, and look at what became of it."""
        first = self.ground.events["machine runs"] * _PAIRS_A_RUN
        for number in range(first, first + _PAIRS_A_RUN):
            self._do_to_one("pair", ("write", "live"), *_PAIRS[number % len(_PAIRS)], ("read", "live"))

    def _do_to_one(self, session_id: str, *work: tuple[str, str]) -> None:
        for verb, expected in work:
            items = (WriteItem(session_id, b"one of a pair", 1_000, expected),)
            lives = 0 if verb == "deadline" else 2_000
            self._perform(Action(verb, ids=(session_id,), items=items, lives=lives))

    def _is_enough(self) -> bool:
        """Tell whether the time is up and something happened in it."""
        is_late = self.ground.time_is_up and self.ground.events["machine runs"] >= _FEWEST_RUNS
        return is_late and not what_is_missing(self.ground)

    def _declares(self, capability: str) -> bool:
        return bool(getattr(self.ground.capabilities, capability))

    @property
    def _undeclared(self) -> list[str]:
        verbs = ("swap", "touch", "scan", "purge", "clear")
        batch = [] if self._declares("batch") else ["read_many", "write_many", "swap_many"]
        remove = [] if self._declares("swap") else ["remove"]
        return [*(verb for verb in verbs if not self._declares(verb)), *remove, *batch]

    def _perform(self, operation: Action) -> None:
        # Counted also when idle: what Hypothesis draws may depend on nothing else.
        self._turn += 1
        if not self._is_idle:
            self._operations.append(operation)
            self._run(self._stage.perform(operation))

    def _run(self, work: Any) -> None:
        try:
            self._runner.run(work)
        except BaseException as error:
            self._is_idle = True
            if self.finding.broken is None:
                self.finding.broken, self.finding.operations = error, self._operations
                self._keep_steps(error)
            raise

    def _keep_steps(self, error: BaseException) -> None:
        if isinstance(error, LawBroken):
            error.steps = self.ground.steps.about(())

    def _fits(self, item: WriteItem) -> bool:
        limit = self.ground.capabilities.max_payload_bytes
        return limit is None or len(item.payload) <= limit


def what_is_missing(ground: Ground) -> list[str]:
    """Name what has happened too seldom: a run in which nothing happened proves nothing."""
    declared = ground.capabilities
    wanted = {"overwrites", "expiries", "reads of expired"}
    wanted |= {"conflicts"} if declared.swap else set()
    wanted |= {"cross-instance reads"} if declared.shared else set()
    wanted |= {"batches"} if declared.batch else set()
    wanted |= {"scans", "scans with changes"} if declared.scan else set()
    least = max(1, ground.events["machine runs"] // 20)
    return sorted(f"{event}: {ground.events[event]} of {least}" for event in wanted if ground.events[event] < least)


def run_machine(ground: Ground) -> Finding:
    """Run the machine as often and as long as the profile says.

    Returns:
        What it found; nothing, if store and model never differed.
    """
    finding = Finding()

    class Machine(StoreMachine):
        pass

    Machine.ground, Machine.finding = ground, finding
    bounded = settings(
        max_examples=ground.profile.machine_runs,
        stateful_step_count=ground.profile.machine_steps,
        # What it finds is shortened by other means, within a time.
        phases=[Phase.generate],
        database=None,
        deadline=None,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(ground.seed)(Machine), settings=bounded)
    except BaseException:
        if finding.broken is None and not finding.is_enough:
            raise
    return finding


async def _close(ground: Ground) -> None:
    try:
        await ground.close()
    except Exception:  # noqa: BLE001  # a store that cannot be closed is another law's business
        return
