"""What folders and files are called: readable for people, safe on every file system, and different for every id.

A name is a part of the id in plain characters, for people, and a hash of the whole id, which tells ids apart where
the file system does not: case, normal form, length, `/`, `..`, reserved device names. What comes before the first dot
is never the plain part alone, because Windows takes `con.txt` for the device `con`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

__all__ = ("SESSION_SUFFIX", "SHARD_NAME", "Address", "address_of", "folder_name", "shard_of")

SESSION_SUFFIX: Final = ".session"
SHARD_NAME: Final = re.compile(r"[0-9a-f]")

_LONGEST_SLUG: Final = 40
_HASH_DIGITS: Final = 32
_FILE_NAME: Final = re.compile(rf"[a-z0-9-]*_([0-9a-f])[0-9a-f]{{{_HASH_DIGITS - 1}}}{re.escape(SESSION_SUFFIX)}")
_UNREADABLE: Final = re.compile(r"[^A-Za-z0-9]+")


class Address(NamedTuple):
    """Where the file of a session is, within the folder of its namespace."""

    shard: str
    file: str


def address_of(session_id: str) -> Address:
    """Return where the file of a session is."""
    digest = _hash(session_id)
    return Address(digest[0], f"{_slug(session_id)}_{digest}{SESSION_SUFFIX}")


def shard_of(file: str) -> str:
    """Return the shard of a file by its name; nothing when it is not the name of a session's file."""
    match = _FILE_NAME.fullmatch(file)
    return match[1] if match else ""


def folder_name(namespace: str) -> str:
    """Return the name of a namespace's folder; the empty namespace has `_`."""
    return f"{_slug(namespace)}_{_hash(namespace)}" if namespace else "_"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def _slug(text: str) -> str:
    # Only ASCII is lowered: what other letters become depends on the Unicode version, and a name must stay for ever.
    return _UNREADABLE.sub("-", text)[:_LONGEST_SLUG].strip("-").lower()
