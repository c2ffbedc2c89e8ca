"""A history as a picture: a lane for each client, a bar for each operation, and the impossible one marked.

Time is drawn by the order of events, not by their distance: only the order has a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from palaver_conformance.histories.history import Failed, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from palaver_conformance.histories.history import Operation
    from palaver_conformance.histories.linearizability import Explanation

__all__ = ("explanation_html", "explanation_text", "timeline_svg", "timeline_text")

_LANE: Final = 34
_BAR: Final = 24
_MARGIN: Final = 12
_LETTER: Final = 7
_OPEN_END: Final = 28

_FONT: Final = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px"

_COLORS: Final = {"plain": "#3b82f6", "unknown": "#a16207", "failed": "#6b7280", "culprit": "#dc2626"}


def explanation_text(explanation: Explanation) -> str:
    """Draw an explanation for a terminal: the reason, the lanes, and what each number stands for."""
    return f"{explanation.reason}\n\n{timeline_text(explanation.operations, explanation.culprit)}"


def timeline_text(operations: Sequence[Operation], culprit: Operation | None = None) -> str:
    """Draw operations in ASCII.

    Args:
        operations: what to draw.
        culprit: the one of them that is impossible.

    Returns:
        Lines of text: the lanes, then a list of the operations. A bar that ends with `?>` has no known end.
    """
    numbered = sorted(operations, key=_begin)
    picture = _lay_out(numbered, lambda operation: len(str(numbered.index(operation) + 1)) + 4, gap=2)
    width = max((len(lane.client) for lane in picture.lanes), default=0)
    lines = [f"  {lane.client:<{width}}  {_text_lane(lane, numbered, culprit)}" for lane in picture.lanes]
    return "\n".join([*lines, "", *_text_list(numbered, culprit)])


def explanation_html(explanation: Explanation) -> str:
    """Draw an explanation as an HTML fragment without script or outside resources."""
    return (
        f'<figure style="margin:1em 0"><figcaption>{escape(explanation.reason)}</figcaption>'
        f'<div style="overflow-x:auto">{timeline_svg(explanation.operations, explanation.culprit)}</div></figure>'
    )


def timeline_svg(operations: Sequence[Operation], culprit: Operation | None = None) -> str:
    """Draw operations as one inline SVG element.

    Args:
        operations: what to draw.
        culprit: the one of them that is impossible.

    Returns:
        The element. Text takes the colour of what is around it.
    """
    numbered = sorted(operations, key=_begin)
    picture = _lay_out(numbered, lambda operation: _LETTER * len(_label(operation)) + 2 * _MARGIN, gap=_MARGIN)
    names = _LETTER * max((len(lane.client) for lane in picture.lanes), default=0) + 2 * _MARGIN
    width, height = names + picture.width + _OPEN_END + _MARGIN, _LANE * len(picture.lanes) + _MARGIN
    title = "Timeline" if culprit is None else f"Timeline; impossible: {culprit}"
    lanes = "".join(_svg_lane(lane, row, names, width, culprit) for row, lane in enumerate(picture.lanes))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" style="{_FONT}" fill="currentColor">'
        f"<title>{escape(title)}</title>{lanes}</svg>"
    )


# The layout.


@dataclass(frozen=True, slots=True)
class _Bar:
    operation: Operation
    start: int
    end: int


@dataclass(slots=True)
class _Lane:
    client: str
    bars: list[_Bar]


@dataclass(frozen=True, slots=True)
class _Picture:
    lanes: list[_Lane]
    width: int


def _begin(operation: Operation) -> tuple[int, str]:
    return operation.invoked, operation.client


def _lay_out(operations: Sequence[Operation], length: Callable[[Operation], int], gap: int) -> _Picture:
    """Give each stamp a place, so that the order is kept and each bar is as long as its label needs."""
    stamps = sorted({stamp for each in operations for stamp in (each.invoked, each.returned) if stamp is not None})
    places: dict[int, int] = {}
    place = -gap
    for stamp in stamps:
        ending = [each for each in operations if each.returned == stamp and each.invoked < stamp]
        place = max([place + gap, *(places[each.invoked] + length(each) for each in ending)])
        places[stamp] = place
    open_ends = (places[each.invoked] + length(each) for each in operations if each.returned is None)
    width = max([place, *open_ends], default=0)
    bars = [_bar(each, places, width, length(each)) for each in operations]
    return _Picture(_lanes(bars), max((bar.end for bar in bars), default=0))


def _bar(operation: Operation, places: dict[int, int], width: int, length: int) -> _Bar:
    start = places[operation.invoked]
    end = width if operation.returned is None else places[operation.returned]
    return _Bar(operation, start, max(end, start + length) if operation.returned == operation.invoked else end)


def _lanes(bars: Sequence[_Bar]) -> list[_Lane]:
    """Put the bars into lanes: one for each client, and more where a client does several things at once."""
    lanes: list[_Lane] = []
    for bar in bars:
        fitting = (lane for lane in lanes if lane.client == bar.operation.client and lane.bars[-1].end < bar.start)
        lane = next(fitting, None)
        if lane is None:
            lanes.append(_Lane(bar.operation.client, [bar]))
        else:
            lane.bars.append(bar)
    return sorted(lanes, key=lambda lane: lane.client)


# Text.


def _text_lane(lane: _Lane, numbered: Sequence[Operation], culprit: Operation | None) -> str:
    text = ""
    for bar in lane.bars:
        line = "=" if bar.operation == culprit else "-"
        label = str(numbered.index(bar.operation) + 1)
        inside = label.center(bar.end - bar.start - 1, line)
        end = "?>" if bar.operation.returned is None else "|"
        text = f"{text:<{bar.start}}|{inside}{end}"
    return text


def _text_list(numbered: Sequence[Operation], culprit: Operation | None) -> list[str]:
    width = len(str(len(numbered)))
    return [
        f"  {number:>{width}}  {operation}{'   <== impossible' if operation == culprit else ''}"
        for number, operation in enumerate(numbered, start=1)
    ]


# SVG.


def _svg_lane(lane: _Lane, row: int, left: int, width: int, culprit: Operation | None) -> str:
    middle = row * _LANE + _LANE // 2 + _MARGIN // 2
    below = middle + _LANE // 2
    bars = "".join(_svg_bar(bar, left, middle, culprit) for bar in lane.bars)
    return (
        f'<text x="{_MARGIN}" y="{middle + 4}" font-weight="bold">{escape(lane.client)}</text>'
        f'<line x1="0" y1="{below}" x2="{width}" y2="{below}" stroke="currentColor" stroke-opacity=".15"/>{bars}'
    )


def _svg_bar(bar: _Bar, left: int, middle: int, culprit: Operation | None) -> str:
    operation = bar.operation
    is_open = operation.returned is None
    kind = "culprit" if operation == culprit else _kind(operation)
    length = bar.end - bar.start + (_OPEN_END if is_open else 0)
    dashes = ' stroke-dasharray="5 3"' if isinstance(operation.outcome, Unknown) else ""
    arrow = f'<text x="{left + bar.end + 8}" y="{middle + 4}">?</text>' if is_open else ""
    return (
        f"<g><title>{escape(str(operation))}</title>"
        f'<rect x="{left + bar.start}" y="{middle - _BAR // 2}" width="{length}" height="{_BAR}" rx="4" '
        f'fill="{_COLORS[kind]}" fill-opacity=".18" stroke="{_COLORS[kind]}" '
        f'stroke-width="{2.5 if kind == "culprit" else 1}"{dashes}/>'
        f'<text x="{left + (bar.start + bar.end) / 2:g}" y="{middle + 4}" text-anchor="middle">'
        f"{escape(_label(operation))}</text>{arrow}</g>"
    )


def _kind(operation: Operation) -> str:
    if isinstance(operation.outcome, Unknown):
        return "unknown"
    return "failed" if isinstance(operation.outcome, Failed) else "plain"


def _label(operation: Operation) -> str:
    return f"{operation.call} → {operation.answer}"
