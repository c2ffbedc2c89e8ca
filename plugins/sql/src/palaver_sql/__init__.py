"""Palaver sessions in SQL databases."""
