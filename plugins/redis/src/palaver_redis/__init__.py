"""Palaver sessions in Redis."""

from palaver_redis._store import RedisSessionStore

__all__ = ("RedisSessionStore",)
