"""What a run has found, and its renderings: text, JSON, Markdown and HTML.

Imports `ground.law` only.
"""
