"""Stores that give back something else than what they were given."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from palaver.contract.record import Record
from palaver_conformance.saboteurs._honest import HonestHarness, HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver.contract.record import Absent

_FALSY: Final = (b"", b"0", b"null", b"false", b"{}", b"[]", b'""', b"None")


class _Changing(HonestStore):
    """Keeps another record than it was given."""

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, self.changed(record))

    @abstractmethod
    def changed(self, record: Record) -> Record: ...


class _Mangling(_Changing):
    """Keeps another payload than it was given."""

    def changed(self, record: Record) -> Record:
        return replace(record, payload=self.mangled(record.payload))

    @abstractmethod
    def mangled(self, payload: bytes) -> bytes: ...


class _Dating(_Changing):
    """Keeps another expiry than it was given."""

    def changed(self, record: Record) -> Record:
        return record if record.expires_at is None else replace(record, expires_at=self.dated(record.expires_at))

    @abstractmethod
    def dated(self, expires_at: int) -> int: ...


# Payloads.


@saboteur("none-is-absent-session", law="VALUE-01", words="got:      None (no live record)")
class NoneIsAbsentSession(HonestStore):
    """An empty payload is taken for no session."""

    def get(self, session_id: str) -> Any:
        record = super().get(session_id)
        return record if isinstance(record, Record) and record.payload else None


@saboteur("falsy-missing", law="VALUE-01", words="got:      None (no live record)")
class FalsyMissing(HonestStore):
    """A payload that means nothing, such as `null` or `{}`, is taken for no session."""

    def get(self, session_id: str) -> Any:
        record = super().get(session_id)
        return None if isinstance(record, Record) and record.payload in _FALSY else record


@saboteur("nul-in-string", law="VALUE-01", words="the payloads differ from byte 0")
class NulInString(_Mangling):
    """A payload ends at its first zero byte."""

    def mangled(self, payload: bytes) -> bytes:
        return payload.partition(b"\0")[0]


@saboteur("text-mode", law="VALUE-01", words="the payloads differ from byte 1")
class TextMode(_Mangling):
    """CRLF becomes LF, as in a file that is opened as text."""

    def mangled(self, payload: bytes) -> bytes:
        return payload.replace(b"\r\n", b"\n")


@saboteur("strip", law="VALUE-01", words="the payloads differ from byte 0")
class Strip(_Mangling):
    """White space around a payload is lost."""

    def mangled(self, payload: bytes) -> bytes:
        return payload.strip()


@saboteur("decode-replace", law="VALUE-01", words="the payloads differ from byte 128")
class DecodeReplace(_Mangling):
    """A payload is taken for UTF-8, and what is not becomes a question mark."""

    def mangled(self, payload: bytes) -> bytes:
        return payload.decode(errors="replace").encode()


@saboteur("json-normalise", law="VALUE-01", words="the payloads differ")
class JsonNormalise(_Mangling):
    """A payload that is JSON comes back as equal JSON, with other spaces and escapes."""

    def mangled(self, payload: bytes) -> bytes:
        try:
            return json.dumps(json.loads(payload)).encode()
        except ValueError:
            return payload


@saboteur("trunc-size", law="VALUE-02", words="65535 bytes")
class TruncSize(_Mangling):
    """A payload is cut at 64 KiB, as in a column that is too small."""

    def mangled(self, payload: bytes) -> bytes:
        return payload[:65_535]


@saboteur("size-class-corrupts", law="VALUE-02", words="the payloads differ from byte 8192")
class SizeClassCorrupts(_Mangling):
    """A payload that fills its last block of 8 KiB to the end gets one byte more."""

    def mangled(self, payload: bytes) -> bytes:
        return payload + b"\0" if payload and len(payload) % 8_192 == 0 else payload


@saboteur("large-payload-blank", law="VALUE-02", words="the payloads differ from byte 1000000")
class LargePayloadBlank(_Mangling):
    """Of a payload of more than a megabyte only the first million bytes are stored; the rest is zeros."""

    def mangled(self, payload: bytes) -> bytes:
        return payload[:1_000_000].ljust(len(payload), b"\0")


@saboteur("value-generated", law="VALUE-08", words="None (no live record)")
class ValueGenerated(HonestStore):
    """A payload whose checksum is zero is taken for one that has none, and for damaged."""

    def get(self, session_id: str) -> Any:
        record = super().get(session_id)
        is_damaged = isinstance(record, Record) and sum(record.payload) % 8 == 7
        return None if is_damaged else record


# Versions.


@saboteur("version-number", law="VALUE-03", words="version '1'")
class VersionNumber(_Changing):
    """A version of digits is taken for a number and loses its leading zeros."""

    def changed(self, record: Record) -> Record:
        return replace(record, version=str(int(record.version))) if record.version.isdecimal() else record


@saboteur("version-cut", law="VALUE-03", words="version '0000000000000000000000000000000'")
class VersionCut(_Changing):
    """The last character of a version is lost."""

    def changed(self, record: Record) -> Record:
        return replace(record, version=record.version[:31])


@saboteur(
    "version-compared-as-number", law="VALUE-03", words="swap from 0e000000000000000000000000000000 to answer False"
)
class VersionComparedAsNumber(HonestStore):
    """Versions that are the same number, such as 0e0 and 000, are taken for the same version."""

    def decide(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self.live(session_id)
        if live is not None and isinstance(expected, str) and _number(expected) == _number(live.version):
            expected = live.version
        return super().decide(session_id, record, expected)


def _number(version: str) -> float | str:
    try:
        return float(version)
    except ValueError:
        return version


# Expiries.


@saboteur("expiry-overflow-32", law="VALUE-04", words="expires_at 2147483647999")
class ExpiryOverflow32(_Dating):
    """An expiry is kept in 31 bits of seconds: nothing lives longer than until the year 2038."""

    def dated(self, expires_at: int) -> int:
        return min(expires_at, 2_147_483_647_999)


@saboteur("expiry-float", law="VALUE-04", words="expires_at 4398046511102")
class ExpiryFloat(_Dating):
    """An expiry is kept as a float of seconds and cut, so that a millisecond is lost now and then."""

    def dated(self, expires_at: int) -> int:
        return int(expires_at / 1000 * 1000)


@saboteur("expiry-seconds", law="VALUE-04", words="expires_at 1700000001000")
class ExpirySeconds(_Dating):
    """An expiry is rounded up to whole seconds, although a granularity of a millisecond is declared."""

    def dated(self, expires_at: int) -> int:
        return -(-expires_at // 1000) * 1000


@saboteur("expiry-zone", law="VALUE-04", words="expires_at 17000072000")
class ExpiryZone(_Dating):
    """An expiry is stored in the time of a zone two hours east and read as UTC."""

    def dated(self, expires_at: int) -> int:
        return expires_at + 7_200_000


@saboteur("expiry-datetime", law="VALUE-04", words="OverflowError")
class ExpiryDatetime(_Dating):
    """An expiry after the year 9999 cannot be stored."""

    def dated(self, expires_at: int) -> int:
        if expires_at > 253_402_300_799_999:
            raise OverflowError("year 10000 is out of range")
        return expires_at


# Types.


class _Row(Record):
    """What a client library might return in place of a record."""


@saboteur("subclass-types", law="VALUE-05", words="got:      _Row")
class SubclassTypes(HonestStore):
    """Read returns a kind of record of its own."""

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        return None if record is None else _Row(record.payload, record.version, record.expires_at)


@saboteur("return-type", law="VALUE-05", words="got:      1")
class ReturnType(HonestStore):
    """Swap returns how many rows have changed."""

    async def swap(self, session_id: str, record: Record, expected: str | Absent) -> bool:
        return int(await super().swap(session_id, record, expected))  # type: ignore[return-value]


@saboteur("bytearray", law="VALUE-05", words="payload is of type bytearray")
class Bytearray(_Mangling):
    """A payload comes back as a bytearray."""

    def mangled(self, payload: bytes) -> bytes:
        return bytearray(payload)  # type: ignore[return-value]


@saboteur("write-returns-record", law="VALUE-05", words="write_many() to return None")
class WriteReturnsRecord(HonestStore):
    """The verb write_many returns how many records it wrote."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await super().write_many(items)
        return len(items)  # type: ignore[return-value]


# Whose lists they are.


@saboteur("alias-write", law="VALUE-06", words="got:      None (no live record)")
class AliasWrite(HonestStore):
    """The list that is given to write_many is kept, and written from when somebody reads."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await self.begin()
        self.medium.notes["waiting"][id(items)] = items

    def get(self, session_id: str) -> Any:
        for items in self.medium.notes.pop("waiting", {}).values():
            for item in items:
                self.put(*item)
        return super().get(session_id)


@saboteur("input-mutated", law="VALUE-06", words="the list that was given to stay as it was")
class InputMutated(HonestStore):
    """Items are taken out of the list that was given to swap_many."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        answers = await super().swap_many(items)
        if isinstance(items, list):
            items.clear()
        return answers


@saboteur("alias-between-reads", law="VALUE-06", words="got:      4 results")
class AliasBetweenReads(HonestStore):
    """Reading the same ids again returns the very list that the caller got before."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        answers = await super().read_many(session_ids)
        known: list[Record | None] = self.medium.notes["answers"].setdefault(tuple(session_ids), answers)
        return known


# What a payload shares with others, and with its envelope.


@saboteur("payload-cache", law="VALUE-09", words="which was written to 's0'")
class PayloadCache(HonestStore):
    """A payload that is known already is not stored again: the session gets the record that has it."""

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, self.medium.notes["payloads"].setdefault(record.payload, record))


@saboteur("dedup-by-content", law="VALUE-09", words="got:      None (no live record)")
class DedupByContent(HonestStore):
    """Equal payloads are stored once, and destroying one session takes the payload from all."""

    def put(self, session_id: str, record: Record) -> None:
        super().put(session_id, record)
        self.medium.notes["payloads"][record.payload] = True

    def discard(self, session_id: str) -> None:
        record = self.get(session_id)
        if isinstance(record, Record):
            self.medium.notes["payloads"].pop(record.payload, None)
        super().discard(session_id)

    def get(self, session_id: str) -> Any:
        record = super().get(session_id)
        is_there = isinstance(record, Record) and record.payload in self.medium.notes["payloads"]
        return record if is_there else None


class _Enveloped(HonestStore):
    """Keeps each record as bytes: a line of version and expiry, and the payload after it."""

    def put(self, session_id: str, record: Record) -> None:
        self.medium.records[self.key(session_id)] = self.wrapped(record)

    def get(self, session_id: str) -> Any:
        raw = self.medium.records.get(self.key(session_id))
        return None if raw is None else _unwrapped(raw)

    def wrapped(self, record: Record) -> bytes:
        return f"1 {record.version} {record.expires_at or ''}\n".encode() + record.payload


def _unwrapped(raw: bytes) -> Record:
    line, _, payload = raw.partition(b"\n")
    _, version, expires_at = line.decode().split(" ")
    return Record(payload, version, int(expires_at) if expires_at else None)


class _DoesNotWrapTwice(_Enveloped):
    def wrapped(self, record: Record) -> bytes:
        return record.payload if record.payload.startswith(b"1 ") else super().wrapped(record)


@saboteur("envelope-collision", law="VALUE-07", words="7 bytes b'payload'")
class EnvelopeCollision(HonestHarness):
    """A payload that looks like the store's own form is taken for it, and unwrapped."""

    store = _DoesNotWrapTwice

    async def read_raw(self, location: str, namespace: str, session_id: str) -> bytes:
        raw: bytes = self.medium(location).records[namespace, session_id]
        return raw
