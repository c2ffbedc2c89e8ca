"""What a state is, and how it becomes bytes: the value model of JSON, the payload, and the merge of two changes.

Imports `palaver.errors` only.
"""
