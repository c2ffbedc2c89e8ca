"""What was done to the stores of a law, in words that fit on a line."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from palaver.contract.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("Steps", "describe", "describe_bytes")

_SHOWN_BYTES: Final = 24
_SUMMED_BYTES: Final = 1 << 21
_SHOWN_TEXT: Final = 60
_SHOWN_ITEMS: Final = 4
_SHOWN_STEPS: Final = 24


@dataclass
class _Step:
    text: str
    ids: frozenset[str]
    """The sessions it is about; none is all."""


@dataclass
class Steps:
    """The steps of the case that is being tried."""

    _steps: list[_Step] = field(default_factory=list)
    _written_to: dict[str, set[str]] = field(default_factory=dict)
    """To which sessions a version was written, to tell whose record it is that came."""

    def begin(self, text: str) -> _Step:
        """Note something that is about to happen."""
        return self.add(text, ())

    def add(self, text: str, ids: Iterable[str]) -> _Step:
        """Note what happens to these sessions."""
        step = _Step(text, frozenset(ids))
        self._steps.append(step)
        return step

    def wrote(self, session_id: str, record: Record) -> None:
        """Remember whose record it is."""
        self._written_to.setdefault(record.version, set()).add(session_id)

    def owners(self, record: Any) -> tuple[str, ...]:
        """Return the sessions to which a record was written."""
        version = getattr(record, "version", None)
        return tuple(sorted(self._written_to.get(version, ()))) if isinstance(version, str) else ()

    def begin_case(self) -> None:
        """Forget what was done with sessions: it does not matter for what comes."""
        self._steps = [step for step in self._steps if not step.ids]
        self._written_to.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._steps.clear()
        self._written_to.clear()

    def about(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """Return the steps that concern some sessions, the last ones if they are many; no ids is all."""
        wanted = frozenset(ids)
        texts = [step.text for step in self._steps if not wanted or not step.ids or step.ids & wanted]
        hidden = len(texts) - _SHOWN_STEPS
        return tuple(texts) if hidden <= 0 else (f"... {hidden} steps before", *texts[hidden:])


def describe(value: Any) -> str:
    """Show a value on a line: records by their content, long text and lists shortened."""
    for kinds, show in _SHOWN_AS:
        if isinstance(value, kinds):
            return str(show(value))
    return repr(value)


def describe_bytes(payload: bytes) -> str:
    """Show bytes by their number, their beginning and, when they are long, a checksum."""
    if len(payload) <= _SHOWN_BYTES:
        return f"{len(payload)} bytes {payload!r}"
    shown = f"{len(payload)} bytes {payload[:_SHOWN_BYTES]!r}..."
    return shown if len(payload) > _SUMMED_BYTES else f"{shown} (crc {zlib.crc32(payload):08x})"


def _describe_record(record: Record) -> str:
    payload = describe(record.payload)
    return f"Record({payload}, version {_describe_text(record.version)}, expires_at {record.expires_at})"


def _describe_text(text: str) -> str:
    if len(text) <= _SHOWN_TEXT:
        return ascii(text) if not text.isprintable() else repr(text)
    return f"{text[: _SHOWN_TEXT // 2]!a}...{text[-8:]!a} ({len(text.encode(errors='replace'))} bytes)"


def _describe_items(items: list[Any] | tuple[Any, ...]) -> str:
    shown = ", ".join(describe(item) for item in items[:_SHOWN_ITEMS])
    rest = f", ... {len(items)} in all" if len(items) > _SHOWN_ITEMS else ""
    left, right = ("[", "]") if isinstance(items, list) else ("(", ")")
    return f"{left}{shown}{rest}{right}"


def _describe_buffer(buffer: bytearray | memoryview) -> str:
    return f"{type(buffer).__name__} of {describe_bytes(bytes(buffer))}"


def _describe_error(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


_SHOWN_AS: Final[tuple[tuple[Any, Any], ...]] = (
    (Record, _describe_record),
    (bytes, describe_bytes),
    ((bytearray, memoryview), _describe_buffer),
    (str, _describe_text),
    (BaseException, _describe_error),
    ((list, tuple), _describe_items),
)
