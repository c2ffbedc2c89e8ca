"""The proof: every law of the contract, tried on this store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plugins.mongo.tests.harness import OwnMongoHarness, OwnServerHarness, harness_of

from palaver_conformance import SessionStoreSuite
from palaver_test_servers.fixtures import url_from_environment

if TYPE_CHECKING:
    from palaver_conformance import Harness
    from palaver_test_servers.mongo import MongoReplicaSet

pytestmark = pytest.mark.server


class TestMongoSessionStore(SessionStoreSuite):
    """All laws, by inheritance."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, request: pytest.FixtureRequest) -> Harness:
        url = url_from_environment("PALAVER_MONGODB_URL")
        return OwnServerHarness(request.getfixturevalue("mongo_server")) if url is None else harness_of(url)


class TestMongoSessionStoreOnAReplicaSet(SessionStoreSuite):
    """The same on three servers that replicate each other."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, mongo_replica_set: MongoReplicaSet) -> Harness:
        return OwnMongoHarness(mongo_replica_set)
