"""Fixtures: one for each server, started when the first test asks for it, stopped at the end of the run.

An environment variable with a URL takes precedence, for people with a server of their own. Where a server cannot be
had, its tests are skipped with the reason; with `CI` set in the environment they fail instead.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from palaver_test_servers.server import Server, ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("running", "url_from_environment")

ServerT = TypeVar("ServerT", bound=Server)


def url_from_environment(variable: str) -> str | None:
    """Return the URL of somebody's own server, if there is one."""
    return os.environ.get(variable) or None


def running(start: Callable[[], ServerT]) -> Iterator[ServerT]:
    """Start a server for the length of a fixture, or skip (in CI: fail) where it cannot be had."""
    try:
        server = start()
    except ServerMissingError as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))
    try:
        yield server
    finally:
        server.stop()
