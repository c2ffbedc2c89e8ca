"""The proof: every law of the contract, tried on this store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plugins.redis.tests.harness import OwnRedisHarness, OwnServerHarness, harness_of

from palaver_conformance import SessionStoreSuite
from palaver_test_servers.fixtures import url_from_environment

if TYPE_CHECKING:
    from palaver_conformance import Harness
    from palaver_test_servers.redis import RedisCluster, RedisSentinel

pytestmark = pytest.mark.server


class TestRedisSessionStore(SessionStoreSuite):
    """All laws, by inheritance."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, request: pytest.FixtureRequest) -> Harness:
        url = url_from_environment("PALAVER_REDIS_URL")
        return OwnServerHarness(request.getfixturevalue("redis_server")) if url is None else harness_of(url)


class TestRedisSessionStoreOnACluster(SessionStoreSuite):
    """The same on three servers that share the sessions."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, redis_cluster: RedisCluster) -> Harness:
        return OwnRedisHarness(redis_cluster)


class TestRedisSessionStoreThroughSentinel(SessionStoreSuite):
    """The same where a Sentinel says which server is the primary."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, redis_sentinel: RedisSentinel) -> Harness:
        return OwnRedisHarness(redis_sentinel)
