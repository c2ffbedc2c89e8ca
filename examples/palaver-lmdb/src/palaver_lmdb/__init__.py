"""Palaver sessions in LMDB."""

from palaver_lmdb._store import LMDBSessionStore

__all__ = ("LMDBSessionStore",)
