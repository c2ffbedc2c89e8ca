"""What a store is: the contract, the records it keeps, ids, the clock, and stores whose every call is a batch.

For authors of drivers, and stable for them. Imports `palaver.errors` only.
"""
