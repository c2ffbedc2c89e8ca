"""Palaver sessions in MongoDB."""

from palaver_mongo._store import MongoSessionStore

__all__ = ("MongoSessionStore",)
