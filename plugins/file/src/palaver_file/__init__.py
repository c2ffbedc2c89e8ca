"""Palaver sessions in files: one readable file for each session."""

from palaver_file._store import FileSessionStore

__all__ = ("FileSessionStore",)
