"""Palaver sessions in Redis."""
