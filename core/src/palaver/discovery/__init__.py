"""How an installed driver is found: the hook that it implements, and the search by the scheme of a URL.

Imports the rooms above it in this list: errors, contract, toolkit.
"""
