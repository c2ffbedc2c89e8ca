"""The proof: every law of the contract, tried on this driver."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from palaver_lmdb import LMDBSessionStore

from palaver_conformance import SessionStoreSuite

if TYPE_CHECKING:
    from palaver.contract.clock import Clock


class TestLMDBSessionStore(SessionStoreSuite):
    """All laws, by inheritance."""

    folder = Path(tempfile.mkdtemp(prefix="palaver-lmdb-"))

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> LMDBSessionStore:
        """Make a store: same location, same data."""
        return LMDBSessionStore(str(self.folder / location), clock=clock, namespace=namespace)
