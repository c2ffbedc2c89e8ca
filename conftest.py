"""What every test of the workspace runs under."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _blocking_calls_fail() -> Iterator[None]:
    """A call that blocks the event loop is an error."""
    with blockbuster_ctx():
        yield
