"""The proof: every law of the contract, tried on this store."""

from __future__ import annotations

import pytest
from plugins.sql.tests.harness import SQLiteHarness

from palaver_conformance import SessionStoreSuite


class TestSQLSessionStoreOnSQLite(SessionStoreSuite):
    """All laws, by inheritance."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> SQLiteHarness:
        return SQLiteHarness(tmp_path_factory.mktemp("conformance"))
