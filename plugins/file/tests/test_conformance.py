"""The proof: every law of the contract, tried on this store."""

from __future__ import annotations

import pytest
from plugins.file.tests.harness import FileHarness

from palaver_conformance import SessionStoreSuite


class TestFileSessionStore(SessionStoreSuite):
    """All laws, by inheritance."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> FileHarness:
        return FileHarness(tmp_path_factory.mktemp("conformance"))
