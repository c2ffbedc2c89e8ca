"""The results for people: a table on the terminal, the same in Markdown, and JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.plan import GOALS, SIZES
from tests.benchmarks.results import count_words, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.results import CellResult, Judgement, Results

__all__ = ("as_json", "as_markdown", "print_results")

_WIDTH: Final = 120
_COLUMNS: Final = ("state", "conversations", "contender", "turns/s", "p50", "p99", "CPU", "memory", "Palaver is")
_GOAL_COLUMNS: Final = ("goal", "wanted", "measured", "met")


def print_results(results: Results) -> None:
    """Write all tables to the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    for driver in _drivers(results):
        _print(console, driver, _COLUMNS, _rows(results, driver))
    _print(console, "goals, with a state of 1 KB", _GOAL_COLUMNS, [_goal_row(each) for each in judge(results, GOALS)])
    for line in _missing(results):
        console.print(line, markup=False)


def as_markdown(results: Results) -> str:
    """Return all tables for a page."""
    parts = [_machine(results), _markdown(_GOAL_COLUMNS, [_goal_row(each) for each in judge(results, GOALS)])]
    for driver in _drivers(results):
        parts += [f"### {driver}", _markdown(_COLUMNS, _rows(results, driver)), _calls(driver)]
    missing = "".join(f"- {line}\n" for line in _missing(results))
    return "\n\n".join(part.strip() for part in [*parts, missing] if part.strip()) + "\n"


def as_json(results: Results) -> bytes:
    """Return all that was measured, with what follows from it."""
    whole: dict[str, Any] = msgspec.to_builtins(results)
    for cell, result in zip(whole["cells"], results.cells, strict=True):
        cell |= {
            "turns_per_second": result.median("turns_per_second"),
            "p50_seconds": result.median("p50"),
            "p99_seconds": result.median("p99"),
            "cpu_seconds_per_turn": result.median("cpu_per_turn"),
            "failures": result.failures,
            "palaver_is_times": _ratio(results, result),
        }
    whole["goals"] = [msgspec.to_builtins(each) | {"is_met": each.is_met} for each in judge(results, GOALS)]
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def _drivers(results: Results) -> list[str]:
    return list(dict.fromkeys(each.driver for each in results.cells))


def _rows(results: Results, driver: str) -> list[list[str]]:
    cells = sorted((each for each in results.cells if each.driver == driver), key=_cell_order)
    return [_row(results, result) for result in cells]


def _cell_order(result: CellResult) -> tuple[int, int]:
    return abs(result.size - 1_000), result.conversations


def _row(results: Results, result: CellResult) -> list[str]:
    ratio = _ratio(results, result)
    failures = f" ({result.failures:,} failed)" if result.failures else ""
    return [
        SIZES[result.size],
        f"{result.conversations:,}",
        result.contender,
        f"{result.median('turns_per_second'):,.0f}{failures}",
        _milliseconds(result.median("p50")),
        _milliseconds(result.median("p99")),
        f"{result.median('cpu_per_turn') * 1e6:,.0f} µs",
        "?" if result.peak_bytes is None else f"{result.peak_bytes / 2**20:.0f} MiB",
        "" if ratio is None else f"{ratio:.2f} ×",
    ]


def _ratio(results: Results, result: CellResult) -> float | None:
    if result.role == "palaver":
        return None
    return results.ratio(result.driver, result.contender, result.size, result.conversations)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds * 1000:,.0f} ms"


def _goal_row(judgement: Judgement) -> list[str]:
    met = {None: "not measured", True: "yes", False: "no"}[judgement.is_met]
    measured = "–" if judgement.measured is None else f"{judgement.measured:.2f} ×"
    return [judgement.sentence, f"{judgement.wanted:g} ×", measured, met]


def _missing(results: Results) -> list[str]:
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for each in results.missing:
        place = f"{SIZES[each.size]}, {count_words(each.conversations)}" if each.size else "everywhere"
        reasons.setdefault((each.driver, each.contender, each.reason), []).append(place)
    return [
        f"{contender} on {driver} is missing ({'; '.join(places)}): {reason}"
        for (driver, contender, reason), places in reasons.items()
    ]


def _calls(driver: str) -> str:
    return "".join(f"- {each.name}: {each.calls}\n" for each in CONTENDERS if each.driver == driver)


def _machine(results: Results) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return f"Measured on {machine.cpus} processors, {machine.system}, Python {machine.python}; {versions}."


def _print(console: Console, title: str, columns: Sequence[str], rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for column in columns:
        table.add_column(column, justify="left" if column in {"contender", "goal", "met"} else "right")
    for row in rows:
        table.add_row(*row, style="bold" if "palaver" in row else None)
    console.print(table)


def _markdown(columns: Sequence[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in [list(columns), ["---"] * len(columns), *rows])
