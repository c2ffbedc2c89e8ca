"""Payloads that real media have mangled."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

__all__ = ("HOSTILE", "random_bytes", "sizes")

_JSON: Final = '{"asking":true,"nickname":"Zoë 😀","cart":[{"n":1.5}],"nothing":null}'

HOSTILE: Final[dict[str, bytes]] = {
    "empty": b"",
    "one zero byte": b"\0",
    "zero bytes": b"\0\0\0\0",
    "zero at the start": b"\0abc",
    "zero in the middle": b"abc\0def",
    "zero at the end": b"abc\0",
    "space": b" ",
    "spaces around": b"  abc  ",
    "line feed": b"\n",
    "line feed at the end": b"abc\n",
    "line feeds at the end": b"abc\n\n",
    "carriage return": b"a\rb",
    "CRLF": b"a\r\nb\r\n",
    "CRLF and LF": b"a\r\nb\nc\r",
    "tab and form feed": b"\t\x0b\x0c",
    "end of file": b"abc\x1adef",
    "every byte": bytes(range(256)),
    "every byte backwards": bytes(range(255, -1, -1)),
    "invalid UTF-8": b"\xff\xfe\x80abc",
    "cut UTF-8": "Zoë"[:3].encode()[:-1],
    "overlong UTF-8": b"\xc0\xaf\xe0\x80\xaf",
    "surrogates in UTF-8": b"\xed\xa0\x80\xed\xb0\x80",
    "UTF-8 with a mark": b"\xef\xbb\xbfabc",
    "UTF-16": "Zoë 😀".encode("utf-16"),
    "Latin-1": "Zoë".encode("latin-1"),
    "not normal": "Zoe\u0308 \ufb01".encode(),
    "emoji": "😀👩‍👩‍👧".encode(),
    "JSON": _JSON.encode(),
    "JSON with spaces": json.dumps(json.loads(_JSON), indent=2).encode(),
    "JSON with keys out of order": b'{"b":1,"a":2,"b":3}',
    "JSON number": b"1.0",
    "JSON null": b"null",
    "JSON false": b"false",
    "JSON empty object": b"{}",
    "JSON empty list": b"[]",
    "JSON empty text": b'""',
    "JSON big number": b"123456789012345678901234567890",
    "None": b"None",
    "zero": b"0",
    "quotes": b"'; DROP TABLE sessions; --\"`",
    "backslashes": rb"\x00\n\\' \u0041 \0",
    "percent": b"%s %d %% %(a)s %00",
    "braces": b"{0} {a} ${b} $1 :c ?",
    "bytes literal": b"b'abc'",
    "hexadecimal": b"deadbeef",
    "hex escape": rb"\xdeadbeef",
    "base64": base64.b64encode(b"abc\xff"),
    "base64 without padding": b"YWJjZA",
    "pickle": pickle.dumps({"a": [1, 2]}),
    "pickle of a record": pickle.dumps((b"payload", "version", None)),
    "gzip": gzip.compress(b"abc" * 50, mtime=0),
    "zlib": zlib.compress(b"abc" * 50),
    "a record as JSON": b'{"payload":"abc","version":"1","expires_at":1}',
    "a record as Mongo has it": b'{"_id":"a","$set":{"payload":1},"expires_at":{"$date":1}}',
    "a Redis reply": b"$3\r\nabc\r\n*0\r\n-ERR\r\n",
    "envelope lines": b"version: 1\nexpires_at: 0\n\npayload",
    "header and body": b"palaver 1\n32\n",
    "repeated": b"ab" * 5_000,
}
"""Payloads by what is special about them."""

_POWERS: Final = (8, 10, 12, 13, 14, 15, 16, 17, 18, 20, 22, 23, 24)


def sizes(largest: int, limit: int | None) -> list[int]:
    """Return sizes at which media cut, split or refuse: around powers of two, thousands and the declared limit."""
    bound = largest if limit is None else min(largest, limit)
    around = [(1 << power) + offset for power in _POWERS for offset in (-1, 0, 1)]
    around += [1, 100, 255, 1_000, 4_000, 8_000, 10_000, 100_000, 1_000_000, 1_048_000, bound - 1, bound]
    return sorted({size for size in around if 0 < size <= bound})


def random_bytes(random: Random, size: int) -> bytes:
    """Return bytes that cannot be compressed, no part of them like another."""
    return random.randbytes(size)
