r"""What is in the file of a session: two lines about it, then its payload as it is.

    palaver/1 5d41402a
    {"id":"console:1","version":"9f86d081884c7d65","expires_at":1700000000000}
    {"id":"console:1","created":1690000000000,"last_activity":1690000000000,"state":{}}

The first line has the number of the format and the CRC-32 of everything after that line, so that a file that was cut
off or changed is never taken for a session.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

import msgspec

from palaver.contract.record import Record
from palaver.errors import CorruptSessionError

__all__ = ("decode_file", "encode_file")

_FORMAT: Final = 1
_ANY_FORMAT: Final = re.compile(rb"palaver/([1-9][0-9]{0,8}) ")


class _Header(msgspec.Struct, frozen=True):
    id: str
    version: str
    expires_at: int | None


_encode_header = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(_Header).decode


def encode_file(session_id: str, record: Record) -> bytes:
    """Return what stands in the file of a session."""
    header = _encode_header(_Header(session_id, record.version, record.expires_at))
    body = header + b"\n" + record.payload
    return _first_line(body) + body


def decode_file(content: bytes, *, location: str, session_id: str | None = None) -> tuple[str, Record]:
    """Return the id and the record that stand in a file.

    Args:
        content: what is in the file.
        location: where it is, for the error.
        session_id: whose it should be, for the error.

    Raises:
        CorruptSessionError: the content is not what `encode_file` makes.
    """
    start = content.find(b"\n") + 1
    body = content[start:]
    if not start or content[:start] != _first_line(body):
        raise CorruptSessionError(_fault(content), session_id=session_id, location=location)
    line, _, payload = body.partition(b"\n")
    try:
        header = _decode_header(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = f"its second line cannot be understood ({error})"
        raise CorruptSessionError(reason, session_id=session_id, location=location) from error
    return header.id, Record(payload, header.version, header.expires_at)


def _first_line(body: bytes) -> bytes:
    return b"palaver/%d %08x\n" % (_FORMAT, zlib.crc32(body))


def _fault(content: bytes) -> str:
    if not content:
        return "the file is empty"
    match = _ANY_FORMAT.match(content)
    if match is None:
        return "the file does not begin as the file of a session does"
    if int(match[1]) > _FORMAT:
        return f"the file has the format {int(match[1])}, which is newer than this palaver-file: upgrade it"
    return "the file does not fit its checksum: it was cut off or changed"
