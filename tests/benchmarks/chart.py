"""The ratios as a picture for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pygal
from pygal.style import CleanStyle
from tests.benchmarks.results import GOAL_SIZE, count_words

if TYPE_CHECKING:
    from tests.benchmarks.results import Results

__all__ = ("as_svg",)

_CONVERSATIONS: Final = (1, 10, 100, 1_000)
_MARKS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_SHAPE: Final = {
    "height": 440,
    "range": (_MARKS[0], _MARKS[-1]),
    "zero": _MARKS[0],
    "print_values": True,
    "print_values_position": "top",
    "legend_at_bottom_columns": 4,
}


def as_svg(results: Results) -> bytes:
    """Draw how many times as many turns Palaver does as the client library, on a logarithmic scale."""
    drivers = list(dict.fromkeys(each.driver for each in results.cells))
    raw = {each.driver: each.contender for each in results.cells if each.role == "raw"}
    # Without the script of its makers, which would be loaded from elsewhere.
    chart = pygal.Bar(js=[], no_prefix=True, style=CleanStyle, logarithmic=True, legend_at_bottom=True, **_SHAPE)
    chart.title = "Turns per second: Palaver, as a multiple of the client library (1 KB)"
    chart.x_labels = drivers
    chart.y_labels = [{"value": value, "label": f"{value:g} ×"} for value in _MARKS]
    for conversations in _CONVERSATIONS:
        ratios = [_rounded(results.ratio(driver, raw.get(driver, ""), GOAL_SIZE, conversations)) for driver in drivers]
        if any(ratios):
            chart.add(count_words(conversations), ratios)
    picture: bytes = chart.render()
    return picture


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 2)
