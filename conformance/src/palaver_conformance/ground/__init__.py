"""What a law stands on: the law itself, its place with a traced store and a clock, and what it draws from.

Imports the contract of the core, and of the kit `harness` and `profiles` only.
"""
