"""The proof: every law of the contract, tried on this store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from palaver_conformance import SessionStoreSuite
from palaver_conformance.targets import store_url

if TYPE_CHECKING:
    from palaver_conformance import Harness
    from palaver_test_servers.redis import RedisCluster, RedisSentinel


class TestRedisSessionStore(SessionStoreSuite):
    """All laws, by inheritance."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, redis_url: str) -> Harness:
        return store_url(redis_url)


class TestRedisSessionStoreOnACluster(SessionStoreSuite):
    """The same on three servers that share the sessions."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, redis_cluster: RedisCluster) -> Harness:
        return store_url(redis_cluster.url)


class TestRedisSessionStoreThroughSentinel(SessionStoreSuite):
    """The same where a Sentinel says which server is the primary."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, redis_sentinel: RedisSentinel) -> Harness:
        return store_url(redis_sentinel.url)
