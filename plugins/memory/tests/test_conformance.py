"""The proof: every law of the contract, tried on this store."""

from __future__ import annotations

import pytest
from plugins.memory.tests.harness import MemoryHarness

from palaver_conformance import SessionStoreSuite


class TestMemorySessionStore(SessionStoreSuite):
    """All laws, by inheritance."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls) -> MemoryHarness:
        return MemoryHarness()
