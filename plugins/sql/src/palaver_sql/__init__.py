"""Palaver sessions in SQL databases."""

from palaver_sql._store import SQLSessionStore

__all__ = ("SQLSessionStore",)
