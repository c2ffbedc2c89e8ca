"""Palaver sessions in memory."""

from palaver_memory._store import MemorySessionStore

__all__ = ("MemorySessionStore",)
