"""What the run and its workers say to each other: lines of JSON, the same for Python and for Node."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.benchmarks.measure import Round  # noqa: TC002  # msgspec reads the annotations

__all__ = ("Answer", "Job", "Order")


class Job(msgspec.Struct):
    """The first line for a worker: what it measures."""

    opener: str
    """`module:function` of a contender."""

    driver: str
    place: str
    """A URL of a server, or an empty folder."""

    state: dict[str, Any]
    session_ids: list[str]


class Order(msgspec.Struct):
    """A line for a worker: go on for some seconds or, without them, check what was done and end."""

    seconds: float | None = None


class Answer(msgspec.Struct, omit_defaults=True):
    """The answer to each line: one of these, or nothing but that it is ready."""

    round: Round | None = None
    turns: int | None = None
    """How many turns all sessions have counted, at the end."""

    peak_bytes: int | None = None
    error: str | None = None
