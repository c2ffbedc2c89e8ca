"""What runs turns: one after another for each session, sharing round trips, merged with what others have saved.

Imports errors, contract, toolkit, discovery and state.
"""
