"""What concurrent clients did, and whether one order of all calls explains it.

Imports the contract of the core, and `ground` for the verdict.
"""
