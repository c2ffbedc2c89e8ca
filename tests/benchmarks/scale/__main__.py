"""What becomes of a store as it grows: `nox -s scale`, or `python -m tests.benchmarks.scale [driver…]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.table import Table
from tests.benchmarks.media import medium
from tests.benchmarks.scale.footprint import footprint
from tests.benchmarks.scale.growth import Growth, Measured
from tests.benchmarks.scale.shards import spreads
from tests.pages import replace_part

from palaver import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DRIVERS: Final = ("memory", "file", "sqlite", "postgresql", "mysql", "mongo", "redis")
SIZES: Final = (1_000, 100_000, 1_000_000)
LARGEST: Final = {"file": 100_000}
"""A million files, each brought to the disk, take many minutes to make."""
DOCS: Final = Path(__file__).parents[3] / "docs"

HEADINGS: Final = (
    *("store", "sessions", "a turn, µs", "turn, × smallest", "purge 1,000, ms", "purge none, ms", "scan, s"),
    *("scan, MB of memory", "bytes each"),
)


SHARD_HEADINGS: Final = (
    *("shared by", "nodes", "fullest node, × mean", "newest sessions on one node"),
    "nodes of a batch of 100",
)


def main() -> None:
    """Measure each driver at each size; write the figures where they are asked for."""
    asked = _parse(sys.argv[1:])
    if asked.show:
        measured = [each for path in asked.show for each in msgspec.json.decode(path.read_bytes(), type=list[Measured])]
    else:
        measured = [each for driver in asked.drivers for each in asyncio.run(_measure(driver, asked.sizes))]
    _print(measured)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(measured)))
    if asked.publish:
        _publish(measured)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s scale --", description=__doc__)
    parser.add_argument(
        "drivers", nargs="*", metavar="driver", choices=[*DRIVERS, []], help="which stores; all, if none"
    )
    parser.add_argument(
        "--sizes", type=_sizes, default=SIZES, metavar="N,N", help="how many sessions; 1000,100000,1000000"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write what was measured into a file")
    parser.add_argument(
        "--show", type=Path, nargs="+", metavar="PATH", help="measure nothing; show what such files have"
    )
    parser.add_argument("--publish", action="store_true", help="write it into docs/explanation/scale.md")
    asked = parser.parse_args(arguments)
    asked.drivers = asked.drivers or DRIVERS
    return asked


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(map(int, text.split(","))))


async def _measure(driver: str, sizes: Iterable[int]) -> list[Measured]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, medium(driver) as server:
        folder = Path(name)
        url = server or _embedded(driver, folder, max(sizes))
        async with Growth(driver, lambda clock: open_store(url, clock=clock), footprint(driver, url, folder)) as growth:
            found = []
            for sessions in sizes:
                if sessions > LARGEST.get(driver, sessions):
                    continue
                sys.stderr.write(f"{driver}, {sessions:,} sessions\n")
                found.append(await growth.measure(sessions))
            return found


def _embedded(driver: str, folder: Path, largest: int) -> str:
    return {
        "memory": f"memory://?max_sessions={largest + 10_000}",
        "file": f"file:{folder / 'sessions'}",
        "sqlite": f"sqlite:///{folder / 'bot.db'}",
    }[driver]


def _rows(measured: list[Measured]) -> Iterable[tuple[str, ...]]:
    smallest: dict[str, Measured] = {}
    for each in measured:
        first = smallest.setdefault(each.driver, each)
        yield (
            each.driver,
            f"{each.sessions:,}",
            f"{each.turn_us:.0f}",
            f"{each.turn_us / first.turn_us:.2f}",
            f"{each.purge_ms:.1f}",
            f"{each.idle_purge_ms:.1f}",
            f"{each.scan_s:.2f}",
            f"{each.scan_peak_bytes / 1e6:.1f}",
            f"{each.bytes_each:,.0f}",
        )


def _shard_rows() -> Iterable[tuple[str, ...]]:
    for each in spreads():
        yield each.way, str(each.nodes), f"{each.fullest:.2f}", f"{each.newest:.0%}", f"{each.nodes_of_a_batch:.1f}"


def _print(measured: list[Measured]) -> None:
    table = Table(*HEADINGS)
    for row in _rows(measured):
        table.add_row(*row)
    Console().print(table)


def _publish(measured: list[Measured]) -> None:
    page = DOCS / "explanation/scale.md"
    text = replace_part(page.read_text(encoding="utf-8"), "measured", _markdown(HEADINGS, _rows(measured)))
    text = replace_part(text, "shards", _markdown(SHARD_HEADINGS, _shard_rows()))
    page.write_text(text, encoding="utf-8")


def _markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in [headings, ["---"] * len(headings), *rows])


if __name__ == "__main__":
    main()
