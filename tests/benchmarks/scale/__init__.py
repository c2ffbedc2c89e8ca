"""What becomes of a store as it grows: `nox -s scale`."""
