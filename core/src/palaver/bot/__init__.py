"""A bot on top of the engine: handlers, their context, and the console to talk to one.

Imports every room but the command line.
"""
