"""The ratios as a picture for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pygal
from pygal.style import CleanStyle
from tests.benchmarks.results import GOAL_SIZE

if TYPE_CHECKING:
    from tests.benchmarks.results import Results

__all__ = ("as_svg",)

_CONVERSATIONS: Final = (1, 10, 100, 1_000)


def as_svg(results: Results) -> bytes:
    """Draw how many times as many turns Palaver does as the client library, on a logarithmic scale."""
    drivers = list(dict.fromkeys(each.driver for each in results.cells))
    raw = {each.driver: each.contender for each in results.cells if each.role == "raw"}
    # Without the script of its makers, which would be loaded from elsewhere.
    chart = pygal.Bar(js=[], no_prefix=True, style=CleanStyle, logarithmic=True, legend_at_bottom=True, height=420)
    chart.title = "Turns per second: Palaver, as a multiple of the client library (1 KB)"
    chart.x_labels = [f"{driver}\n({raw[driver]})" if driver in raw else driver for driver in drivers]
    for conversations in _CONVERSATIONS:
        ratios = [_rounded(results.ratio(driver, raw.get(driver, ""), GOAL_SIZE, conversations)) for driver in drivers]
        if any(ratios):
            chart.add(f"{conversations:,} conversations", ratios)
    picture: bytes = chart.render()
    return picture


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 2)
