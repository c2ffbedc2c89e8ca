"""The command `palaver new-driver`, and the templates of the package that it writes.

Imports nothing else of the kit.
"""
