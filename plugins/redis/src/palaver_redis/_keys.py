"""Which key belongs to which session: `palaver:`, the namespace, a colon, and the session id as it is."""

from __future__ import annotations

import re
from typing import Final

__all__ = ("Keys",)

# What ends a namespace, and what Redis Cluster would take for a hash tag, which puts all sessions on one node.
_ESCAPED: Final = re.compile(r"[%:{}]")
_WILDCARD: Final = re.compile(rb"[*?\[\]\\^]")


class Keys:
    """The keys of one namespace.

    Args:
        namespace: any text; a `%`, a colon and braces in it are written as in a URL, so that no two namespaces meet.
    """

    def __init__(self, namespace: str) -> None:
        escaped = _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", namespace)
        self.prefix = f"palaver:{escaped}:".encode()
        self.nobody = self.prefix
        """A key that no session has, for asking what is allowed."""

    def key(self, session_id: str) -> bytes:
        """Return the key of a session."""
        return self.prefix + session_id.encode()

    def session_id(self, key: bytes) -> str | None:
        """Return the session id in a key of this namespace, None when it cannot be one."""
        try:
            return key[len(self.prefix) :].decode() or None
        except UnicodeDecodeError:
            return None

    def pattern(self, prefix: bytes) -> bytes:
        """Return the pattern of all keys whose session id begins with `prefix`, character by character."""
        return _WILDCARD.sub(rb"\\\g<0>", self.prefix + prefix) + b"*"
