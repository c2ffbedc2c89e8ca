"""The command line: one module for each command, and the group that finds those of other distributions.

Imports every other room; needs the extra `cli`.
"""
