"""The benchmarks measure what they say: every contender really does its turns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.benchmarks.contenders import contenders_of
from tests.benchmarks.measure import Conversations, Round, WrongCountError
from tests.benchmarks.plan import Cell, Goal, Plan
from tests.benchmarks.results import CellResult, Results, judge
from tests.benchmarks.run import Run
from tests.benchmarks.states import make_state
from tests.benchmarks.workers import ContenderFailedError

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Plan((Cell(1_000, 100),), rounds=2, seconds=0.05, warm_up=0.05)


def no_node() -> Path:
    raise ContenderFailedError("not in this test")


@pytest.mark.long
@pytest.mark.parametrize("driver", ["memory", "file", "sqlite"])
async def test_every_contender_that_is_installed_does_all_the_turns_that_are_counted(driver: str) -> None:
    """The counters of the sessions say so, which each contender reads through itself; who is missing is named."""
    run = Run(SMALL, node_modules=no_node, progress=lambda _: None)

    await run.measure(driver, None)

    measured = {each.contender for each in run.results.cells}
    missing = {each.contender: each.reason for each in run.results.missing}
    assert measured.isdisjoint(missing)
    assert measured | set(missing) == {each.name for each in contenders_of(driver)}
    assert {reason for reason in missing.values() if "is not installed" not in reason} <= {"not in this test"}
    assert "palaver" in measured
    for each in run.results.cells:
        assert len(each.rounds) == SMALL.rounds
        assert each.counted >= sum(one.turns for one in each.rounds) >= each.conversations
        assert each.failures == 0


async def test_a_contender_that_loses_a_turn_is_found_out() -> None:
    """A counter that is behind is an error, not a fast contender."""

    async def forget(session_id: str) -> int:
        return 1

    conversations = Conversations(forget, ["one"])
    await conversations.run(0.01)

    with pytest.raises(WrongCountError):
        await conversations.check()


@pytest.mark.parametrize("size", [100, 1_000, 100_000])
def test_a_state_has_about_the_size_that_was_asked_for(size: int) -> None:
    """It is always the same, and plain JSON."""
    state = make_state(size)

    assert size <= len(msgspec.json.encode(state)) < size + 120
    assert state == make_state(size) == json.loads(json.dumps(state))


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    """One round in which something disturbed the computer does not decide."""
    results = Results(cells=[result("palaver", [300, 300, 10]), result("redis-py", [100, 150, 100])])

    assert results.ratio("redis", "redis-py", 1_000, 100) == 2
    assert judge(results, [Goal("redis", "redis-py", 100, 3)])[0].is_met is False
    assert judge(results, [Goal("redis", "bottender", 100, 3)])[0].is_met is None


def result(contender: str, turns: list[int]) -> CellResult:
    rounds = [Round(each, 1.0, 0.01, 0.02, 0.5, {}) for each in turns]
    return CellResult("redis", 1_000, 100, contender, "peer", rounds, counted=sum(turns), peak_bytes=None)
