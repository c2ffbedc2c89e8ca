"""Stores that are wrong in exactly one way: the proof that the laws bite."""

from palaver_conformance.saboteurs._registry import Saboteur, all_saboteurs

__all__ = ("Saboteur", "all_saboteurs")
