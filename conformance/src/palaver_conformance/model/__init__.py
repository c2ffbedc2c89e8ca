"""The contract once more, as a model in memory, and the random walks that compare a store with it.

Imports `ground`.
"""
