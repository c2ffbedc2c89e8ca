"""What the value of a session looks like: one line about the record, in JSON, and then its payload.

    {"palaver":1,"expires_at":1799999999999,"version":"4f0c9be2…"}
    {"id":"console:1","state":{"nickname":"Tim"}}

With the default codec both are JSON, so that `jq` reads them. The first number is that of the format. The scripts in
`_scripts.py` know the first line, too.

The key has an expiry of the server's own besides, which only collects garbage: whether a session is live, the injected
clock says.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from palaver.contract.record import Record
from palaver.errors import CorruptSessionError

if TYPE_CHECKING:
    from palaver.contract.record import Absent

__all__ = (
    "GONE_ALREADY",
    "MAX_HEADER_BYTES",
    "decode_record",
    "encode_record",
    "encode_version",
    "expiry_text",
    "time_to_live",
)

MAX_HEADER_BYTES: Final = 4096
"""What is left for the first line when a payload is as large as it may be."""

GONE_ALREADY: Final = 0

_MARGIN: Final = 60 * 60 * 1000
"""How much longer than a session its key lives, in milliseconds, so that no session vanishes early where clocks differ
or one is set back."""

_LONGEST: Final = 10**15
"""Far more than anybody waits for; a sum with the server's time stays below 64 bits."""

_HEADER: Final = re.compile(rb'\{"palaver":1,"expires_at":(null|-?[0-9]+),"version":("[^\n]*")\}\n')


def encode_version(version: str | Absent) -> bytes:
    """Return the version as the first line has it, without any line break; `ABSENT` is nothing."""
    # Compared as it is written, never decoded: the same text always gives the same bytes.
    if not isinstance(version, str):
        return b""
    # Nearly every version is a row of digits, which JSON leaves as it is.
    text = f'"{version}"' if version.isascii() and version.isalnum() else json.dumps(version)
    return text.encode()


def expiry_text(expires_at: int | None) -> bytes:
    """Return the expiry as the first line has it."""
    return b"null" if expires_at is None else b"%d" % expires_at


def encode_record(record: Record, version: bytes) -> bytes:
    """Return the value of a record whose version is encoded already."""
    return b'{"palaver":1,"expires_at":%b,"version":%b}\n%b' % (expiry_text(record.expires_at), version, record.payload)


def decode_record(value: bytes, session_id: str, location: str) -> Record:
    """Return the record in a value.

    Raises:
        CorruptSessionError: it has no such first line.
    """
    header = _HEADER.match(value)
    try:
        if header is not None:
            expires_at = None if header[1] == b"null" else int(header[1])
            return Record(value[header.end() :], _decode_version(header[2]), expires_at)
    except ValueError as error:
        raise CorruptSessionError("its first line cannot be read", session_id=session_id, location=location) from error
    raise CorruptSessionError("it does not begin as a session does", session_id=session_id, location=location)


def _decode_version(text: bytes) -> str:
    bare = text[1:-1]
    version: str = bare.decode() if bare.isalnum() else json.loads(text)
    return version


def time_to_live(expires_at: int | None, now: int) -> int | None:
    """Return how many milliseconds a key shall live: None is for ever, `GONE_ALREADY` is not at all.

    A duration, not an instant: the server's clock may show another time than the injected one.
    """
    if expires_at is None:
        return None
    if expires_at <= now:
        return GONE_ALREADY
    return min(expires_at - now + _MARGIN, _LONGEST)
