"""Palaver sessions in files."""
