"""What laws do to a store: other processes, cut connections, cancelled calls, and a watch over the event loop.

Imports `ground` and `histories`.
"""
