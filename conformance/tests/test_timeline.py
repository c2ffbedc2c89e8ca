"""Histories as pictures."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from palaver.contract.record import Record
from palaver_conformance.histories.history import Failed, History, Ok, Operation, Read, Swap, Unknown, Write
from palaver_conformance.histories.linearizability import Explanation, check
from palaver_conformance.histories.timeline import explanation_html, explanation_text, timeline_svg, timeline_text

TYPE = "{http://www.w3.org/2000/svg}"

V1, V2 = (Record(version.encode(), version, None) for version in ("v1", "v2"))


OPERATIONS = (
    Operation(client="a", session_id="s", call=Write(V1), invoked=10, returned=20, outcome=Ok()),
    Operation(client="a", session_id="s", call=Write(V2), invoked=30, returned=90, outcome=Ok()),
    Operation(client="b", session_id="s", call=Read(), invoked=40, returned=50, outcome=Ok(V2)),
    Operation(client="c", session_id="s", call=Read(), invoked=60, returned=70, outcome=Ok(V1)),
)


def explanation() -> Explanation:
    found = check(History(operations=OPERATIONS, now=0)).explanation
    assert found is not None
    return found


def test_text_shows_lanes_and_marks_the_impossible_operation() -> None:
    """A bar lies over another exactly if they overlapped; the culprit has a bar of its own kind and a mark."""
    assert timeline_text(OPERATIONS, OPERATIONS[3]).splitlines() == [
        "  a  |-1--| |-------2-------|",
        "  b           |-3--|",
        "  c                  |=4==|",
        "",
        "  1  a: write v1 -> done",
        "  2  a: write v2 -> done",
        "  3  b: read -> v2",
        "  4  c: read -> v1   <== impossible",
    ]


def test_an_explanation_begins_with_its_reason() -> None:
    """The sentence comes first, then only the operations that matter."""
    assert explanation_text(explanation()).splitlines() == [
        "c: read answered v1, which nothing explains; it could have answered v2",
        "",
        "  a  |-1--|",
        "  b         |-2--|",
        "  c                |=3==|",
        "",
        "  1  a: write v1 -> done",
        "  2  b: read -> v2",
        "  3  c: read -> v1   <== impossible",
    ]


def test_text_shows_ends_that_nobody_knows() -> None:
    """An operation without an end reaches to the edge, with a question mark."""
    operations = [
        Operation(
            client="a", session_id="s", call=Write(V1), invoked=1, returned=None, outcome=Unknown("TimeoutError")
        ),
        Operation(client="a", session_id="s", call=Swap(V2, "v1"), invoked=2, returned=3, outcome=Failed("Error")),
    ]
    assert timeline_text(operations).splitlines() == [
        "  a  |--1---?>",
        "  a    |-2--|",
        "",
        "  1  a: write v1 -> no answer (TimeoutError)",
        "  2  a: swap v1 for v2 -> Error, no change",
    ]


def test_text_is_ascii_and_as_narrow_as_the_order_allows() -> None:
    """Any terminal can show it; the distance of the stamps does not matter."""
    operations = [
        Operation(client="a", session_id="s", call=Read(), invoked=stamp, returned=stamp + 1, outcome=Ok())
        for stamp in (1, 1_000_000_000, 2_000_000_000_000)
    ]
    text = timeline_text(operations)
    assert text.isascii()
    assert text.splitlines()[0] == "  a  |-1--| |-2--| |-3--|"


def test_nothing_is_drawn_of_nothing() -> None:
    """An empty history is an empty picture."""
    assert timeline_text([]).strip() == ""
    assert len(ET.fromstring(timeline_svg([]))) == 1


def test_svg_has_a_bar_for_each_operation() -> None:
    """The element is well-formed, says what is impossible, and draws exactly one bar in the culprit's colour."""
    found = explanation()
    root = ET.fromstring(timeline_svg(found.operations, found.culprit))
    bars = root.findall(f".//{TYPE}rect")
    assert len(bars) == len(found.operations)
    assert [bar.get("stroke") for bar in bars].count("#dc2626") == 1
    assert root.findtext(f"{TYPE}title") == "Timeline; impossible: c: read -> v1"


def test_bars_in_svg_overlap_exactly_if_the_operations_do() -> None:
    """The picture keeps the order of all ends."""
    rects = ET.fromstring(timeline_svg(OPERATIONS)).findall(f".//{TYPE}rect")
    spans = [(int(rect.get("x", "")), int(rect.get("x", "")) + int(rect.get("width", ""))) for rect in rects]
    for one, (_, end) in zip(OPERATIONS, spans, strict=True):
        for other, (start, _) in zip(OPERATIONS, spans, strict=True):
            assert one.precedes(other) == (end < start)


def test_html_is_self_contained_and_escapes_what_it_shows() -> None:
    """No script, no address from outside, and no markup from a client's name or a version."""
    version = Record(b"", '<b>"&', None)
    operation = Operation(
        client="<script>", session_id="s", call=Write(version), invoked=1, returned=2, outcome=Unknown("<i>")
    )
    html = explanation_html(Explanation((operation,), operation, "because of <script>"))
    assert "<script" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert html.count("http") == html.count('xmlns="http://www.w3.org/2000/svg"')
    ET.fromstring(html)
