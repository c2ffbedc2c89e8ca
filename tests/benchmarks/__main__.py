"""How fast Palaver is: `nox -s bench`, or `python -m tests.benchmarks [driver…]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from tests.benchmarks.chart import as_svg
from tests.benchmarks.contenders import DRIVERS
from tests.benchmarks.media import describe_machine, medium
from tests.benchmarks.node import NodePackages
from tests.benchmarks.plan import FULL, QUICK
from tests.benchmarks.report import as_json, as_markdown, print_results
from tests.benchmarks.results import Missing, Results
from tests.benchmarks.run import Run
from tests.pages import replace_part

from palaver_test_servers import ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Measure, or only show again what was measured."""
    asked = _parse(sys.argv[1:])
    results = _read(asked.show) if asked.show else asyncio.run(_measure(asked))
    print_results(results)
    if asked.json:
        asked.json.write_bytes(as_json(results))
    if asked.publish:
        _publish(results)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("drivers", nargs="*", metavar="driver", help=f"which media: {', '.join(DRIVERS)}; all, if none")
    parser.add_argument("--quick", action="store_true", help="one size, 1 and 100 conversations, fewer rounds")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all that was measured into a file")
    parser.add_argument("--publish", action="store_true", help="write the page, its chart and its JSON in docs/")
    parser.add_argument("--show", type=Path, metavar="PATH", help="measure nothing; show what such a file has")
    parser.add_argument("--node", type=Path, metavar="FOLDER", help="where the packages of Node are, or shall be kept")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.drivers) - set(DRIVERS):
        parser.error(f"there is no driver {', '.join(sorted(unknown))}; there is {', '.join(DRIVERS)}")
    asked.drivers = asked.drivers or list(DRIVERS)
    return asked


def _read(path: Path) -> Results:
    return msgspec.json.decode(path.read_bytes(), type=Results)


async def _measure(asked: argparse.Namespace) -> Results:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        node = await asyncio.to_thread(NodePackages, asked.node or Path(folder))
        run = Run(QUICK if asked.quick else FULL, node_modules=node.modules, progress=_tell)
        for driver in asked.drivers:
            await _measure_driver(run, driver)
    measured = list(dict.fromkeys(each.driver for each in run.results.cells))
    run.results.machine = await asyncio.to_thread(describe_machine, measured)
    return run.results


async def _measure_driver(run: Run, driver: str) -> None:
    server = medium(driver)
    try:
        url = await asyncio.to_thread(server.__enter__)
    except (ServerMissingError, RuntimeError) as missing:
        run.results.missing.append(Missing(driver, "everybody", 0, 0, str(missing)))
        return
    try:
        await run.measure(driver, url)
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


def _publish(results: Results) -> None:
    page = DOCS / "benchmarks.md"
    page.write_text(replace_part(page.read_text(encoding="utf-8"), "results", as_markdown(results)), encoding="utf-8")
    (DOCS / "benchmarks.svg").write_bytes(as_svg(results))
    (DOCS / "benchmarks.json").write_bytes(as_json(results))


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
