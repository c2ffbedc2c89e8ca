"""Long random walks, and how to shorten one that has shown a failure."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from palaver.errors import PalaverError
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.model.stage import Action, Stage, WriteItem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from palaver.contract.store import Capabilities
    from palaver_conformance.ground.ground import Ground

__all__ = ("CLOCK_MOVES", "EXPECTED", "IDS", "LIVES", "PAYLOADS", "minimise", "random_operations", "replay")

IDS: Final = ("a", "A", "ab", "a:", "a*", "é", "e\u0301", "1", "01", "session:1", "session:10", "session:1 ")
PAYLOADS: Final = (b"", b"\0", b'{"n":1}', b"a\r\nb ", b"\xff\xfe", b"x" * 300, b"y" * 5_000, b"z" * 70_000)
LIVES: Final = (None, None, 1, 1_000, 1_001, 60_000, 3_600_000, 31_536_000_000, 0, -1)
CLOCK_MOVES: Final = (1, 999, 1_000, 59_999, 60_000, 3_600_000, -1, -1_000, -60_000)
EXPECTED: Final = ("live", "live", "live", "absent", "former", "wrong", "again")

_VERBS: Final = {
    "read": 6, "write": 8, "destroy": 4, "swap": 6, "touch": 4, "read_many": 2, "write_many": 2, "swap_many": 3,
    "remove": 1, "scan": 2, "scan_and_change": 1, "purge": 1, "clear": 0.2, "clock": 1.5, "deadline": 2, "reopen": 0.5,
}  # fmt: skip


def random_operations(random: Random, count: int, ids: Sequence[str], declared: Capabilities) -> list[Action]:
    """Make so many operations; what is not declared is asked for now and then, too."""
    weights = {verb: weight if _is_declared(verb, declared) else 0.2 for verb, weight in _VERBS.items()}
    verbs = random.choices(list(weights), list(weights.values()), k=count)
    limit = declared.max_payload_bytes
    payloads = [payload for payload in PAYLOADS if limit is None or len(payload) <= limit]
    return [_operation(random, verb, ids, payloads) for verb in verbs]


def _is_declared(verb: str, declared: Capabilities) -> bool:
    needs = {
        "remove": ("swap",),
        "read_many": ("batch",),
        "write_many": ("batch",),
        "swap_many": ("batch", "swap"),
        "scan_and_change": ("scan",),
    }
    return all(getattr(declared, need, True) for need in needs.get(verb, (verb,)))


def _operation(random: Random, verb: str, ids: Sequence[str], payloads: Sequence[bytes]) -> Action:
    many = 1 if verb in ("read", "write", "destroy", "swap", "remove", "touch") else random.randrange(1, 6)
    lives = random.choice(CLOCK_MOVES) if verb == "clock" else random.choice(LIVES)
    return Action(
        verb,
        store=random.randrange(4),
        ids=() if verb == "deadline" else tuple(random.choices(ids, k=many)),
        items=tuple(_item(random, ids, payloads) for _ in range(many)),
        lives=random.choice([-1, 0, 0, 1]) if verb == "deadline" else lives,
        text=random.choice(["", "", "a", "session", "é", "*"]),
    )


def _item(random: Random, ids: Sequence[str], payloads: Sequence[bytes]) -> WriteItem:
    return WriteItem(random.choice(ids), random.choice(payloads), random.choice(LIVES), random.choice(EXPECTED))


async def replay(ground: Ground, operations: Sequence[Action]) -> LawBroken | None:
    """Do the operations on a new location and return how they fail, if they do."""
    ground.move()
    ground.steps.clear()
    stage = Stage(ground)
    try:
        await stage.open()
        for operation in operations:
            await stage.perform(operation)
        await stage.compare_all()
    except LawBroken as broken:
        return _with_steps(ground, broken)
    except PalaverError as error:
        return _with_steps(ground, LawBroken(expected="an answer", got=f"{type(error).__name__}: {error}"))
    return None


def _with_steps(ground: Ground, broken: LawBroken) -> LawBroken:
    broken.steps = ground.steps.about(())
    return broken


async def minimise(ground: Ground, operations: list[Action], found: LawBroken) -> LawBroken:
    """Leave out whatever is not needed for a failure, for as long as the profile allows."""
    deadline = time.monotonic() + ground.profile.minimise_seconds
    operations = list(operations)
    part = max(1, len(operations) // 2)
    while part >= 1 and not ground.has_hung:
        start = 0
        while start < len(operations):
            if time.monotonic() > deadline:
                return found
            shorter = operations[:start] + operations[start + part :]
            broken = await replay(ground, shorter)
            if broken is None:
                start += part
            else:
                operations, found = shorter, broken
            await asyncio.sleep(0)
        part //= 2
    return found
