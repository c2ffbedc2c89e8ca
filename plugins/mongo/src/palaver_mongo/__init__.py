"""Palaver sessions in MongoDB."""
