"""The proof: every law of the contract, tried on this store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from palaver_conformance import SessionStoreSuite
from palaver_conformance.targets import store_url

if TYPE_CHECKING:
    from palaver_conformance import Harness
    from palaver_test_servers.mongo import MongoReplicaSet


class TestMongoSessionStore(SessionStoreSuite):
    """All laws, by inheritance."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, mongodb_url: str) -> Harness:
        return store_url(mongodb_url)


class TestMongoSessionStoreOnAReplicaSet(SessionStoreSuite):
    """The same on three servers that replicate each other."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, mongo_replica_set: MongoReplicaSet) -> Harness:
        return store_url(mongo_replica_set.url)
