"""Store and model, asked the same again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import Inconclusive, LawBroken
from palaver_conformance.model.machine import run_machine, what_is_missing
from palaver_conformance.model.stage import Stage
from palaver_conformance.model.walk import IDS, minimise, random_operations, replay

if TYPE_CHECKING:
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.model.stage import Action

_EVERYTHING = (
    "READ-01", "READ-02", "READ-03", "WRITE-01", "DESTROY-01", "EXPIRY-01", "ID-01", "NAMESPACE-01", "VALUE-01",
    "SWAP-01", "SWAP-03", "SWAP-04", "BATCH-01", "BATCH-02", "TOUCH-01", "TOUCH-02", "SCAN-01", "SCAN-02", "PURGE-01",
    "CLEAR-01", "SHARED-01", "INIT-04", "UNSUPPORTED-01",
)  # fmt: skip


@law("MODEL-01", proves=_EVERYTHING, catches=("wrong-in-combination", "expired-cas", "resurrect"), weight=12)
def machine(ground: Ground) -> None:
    """In whatever order verbs are called, clocks moved and stores reopened, they answer as the model does."""
    finding = run_machine(ground)
    if finding.broken is None:
        _expect_no_vacuity(ground)
        return
    if not isinstance(finding.broken, LawBroken):
        raise finding.broken
    raise asyncio.run(_shortest(ground, finding.operations, finding.broken))


@law("MODEL-02", proves=_EVERYTHING, catches=("stale-every-7th", "wrong-after-many-calls", "capacity-drops"), weight=8)
async def long_walk(ground: Ground) -> None:
    """After thousands of calls on dozens of sessions the stores still answer as the model does."""
    ids = [*IDS, *ground.ids(40, "walk:"), *ground.ids(8, "W/")]
    operations = random_operations(ground.random, ground.profile.walk_steps, ids, ground.capabilities)
    stage = Stage(ground)
    await stage.open()
    done: list[Action] = []
    try:
        for operation in ground.cases(operations, at_least=400):
            done.append(operation)
            await stage.perform(operation)
        await stage.compare_all()
    except LawBroken as broken:
        broken.steps = ground.steps.about(broken.ids)
        raise await _shortest(ground, done, broken) from broken
    _expect_no_vacuity(ground)


async def _shortest(ground: Ground, operations: list[Action], found: LawBroken) -> LawBroken:
    """Shorten a failure; one that does not come again is shown as it was."""
    again = await replay(ground, operations)
    return found if again is None else await minimise(ground, operations, again)


def _expect_no_vacuity(ground: Ground) -> None:
    missing = what_is_missing(ground)
    if missing:
        raise Inconclusive(f"too little happened to prove anything: {', '.join(missing)}")
