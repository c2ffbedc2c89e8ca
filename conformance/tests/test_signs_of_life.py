"""What takes long without being stuck: child processes, and the end of a law with many stores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from palaver_conformance.ground.ground import Ground
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.harness import as_harness
from palaver_conformance.instruments.children import Child
from palaver_conformance.profiles import PROFILES
from palaver_memory import MemorySessionStore


class Watched(Ground):
    """Counts its signs of life."""

    beats = 0

    def beat(self) -> None:
        self.beats += 1
        super().beat()


async def test_waiting_for_a_slow_child_is_a_sign_of_life() -> None:
    """A child that says nothing for too long is the verdict, not the process that waits for it."""
    profile = replace(PROFILES["smoke"], call_seconds=0.5)
    harness, declared = as_harness(MemorySessionStore), MemorySessionStore().capabilities
    ground = Watched(harness, "a", capabilities=declared, profile=profile, seed="0", seconds=1)
    async with Child(ground, "init", number=0) as child:
        while await child.line() != "ready":
            pass
        before = ground.beats
        with pytest.raises(LawBroken, match="nothing for 2 seconds"):
            await child.line()
    assert ground.beats - before > 5


async def test_closing_many_stores_gives_signs_of_life() -> None:
    """A law that has opened many stores is not stuck while they are closed one after the other."""
    harness, declared = as_harness(MemorySessionStore), MemorySessionStore().capabilities
    ground = Watched(harness, "a", capabilities=declared, profile=PROFILES["smoke"], seed="0", seconds=1)
    for number in range(50):
        await ground.open(namespace=f"n{number}")
    before = ground.beats
    await ground.close()
    assert ground.beats - before >= 50
