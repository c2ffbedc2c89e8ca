"""What every driver would otherwise write again: opening and closing, cancellation, threads, expiry indexes and URLs.

For authors of drivers, and stable for them. Imports `palaver.errors` and `palaver.contract` only.
"""
