"""What every test of the workspace runs under."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if os.environ.get("PALAVER_UVLOOP"):
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

# The code in the pages for users is run, page by page, each in an empty folder.
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
    fixtures=["empty_folder"],
).pytest()


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stand in an empty folder."""
    folder = tmp_path_factory.mktemp("folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(autouse=True)
def _blocking_calls_fail() -> Iterator[None]:
    """A call that blocks the event loop is an error."""
    with blockbuster_ctx() as blockbuster:
        # Finding a driver and importing it is an import like any other: a program does it once, when it starts.
        for function in blockbuster.functions.values():
            function.can_block_in("palaver/discovery/drivers.py", {"open_store"})
            # What the conformance kit does between the calls of a store: it draws examples, and counts descriptors.
            function.can_block_in("palaver_conformance/ground/draw.py", {"draw"})
            function.can_block_in("palaver_conformance/laws/resources.py", {"_descriptors"})
            # pymongo looks for /.dockerenv when it gets to know a server; nobody can ask it not to.
            function.can_block_in("pymongo/pool_options.py", {"get_container_env_info"})
            # asyncpg looks for certificates and passwords in ~/.postgresql when it connects, as libpq does.
            function.can_block_in("asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"})
        yield
