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
    with blockbuster_ctx() as blockbuster:
        # Finding a driver and importing it is an import like any other: a program does it once, when it starts.
        for function in blockbuster.functions.values():
            function.can_block_in("palaver/drivers.py", {"open_store"})
        yield
