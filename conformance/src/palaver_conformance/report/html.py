"""Reports as one HTML page that needs nothing else: a matrix of laws and stores, and what was found."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from palaver_conformance.report.json import report_to_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver_conformance.report.findings import Findings

__all__ = ("render_html", "render_matrix")

_MARKS: Final = {
    "passed": ("ok", "✓"),
    "broken": ("broken", "✗"),
    "not declared": ("undeclared", "–"),
    "not run": ("notrun", "·"),
    "inconclusive": ("doubt", "?"),
}

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #656d76; --line: #d8dee4; --page: #fff; --card: #f6f8fa;
  --ok: #1a7f37; --okbg: #dafbe1; --broken: #cf222e; --brokenbg: #ffebe9; --doubt: #9a6700; --doubtbg: #fff8c5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #8d96a0; --line: #30363d; --page: #0d1117;
  --card: #161b22; --ok: #3fb950; --okbg: #12261e; --broken: #f85149; --brokenbg: #2d1417; --doubt: #d29922;
  --doubtbg: #272115; } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 0 auto;
  max-width: 75rem; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem } h2 { font-size: 1.15rem; margin: 2.25rem 0 .75rem }
.lead { color: var(--soft); margin: 0 0 1.5rem }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
.card h3 { margin: 0 0 .4rem; font-size: 1rem; overflow-wrap: anywhere }
.grade { display: inline-block; border-radius: 99px; padding: .1rem .7rem; font-weight: 600; font-size: .85rem }
.grade.conforms { color: var(--ok); background: var(--okbg) } .grade.does { color: var(--broken); background: var(--brokenbg) }
.grade.incomplete, .grade.partial { color: var(--doubt); background: var(--doubtbg) }
.bar { display: flex; height: 8px; border-radius: 4px; overflow: hidden; margin: .8rem 0; background: var(--line) }
.bar i { display: block } .bar .ok { background: var(--ok) } .bar .broken { background: var(--broken) }
.bar .doubt { background: var(--doubt) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; margin: 0; font-size: .85rem }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.chip { display: inline-block; border: 1px solid var(--line); border-radius: 6px; padding: 0 .4rem; margin: 0 .25rem .2rem 0;
  font-size: .8rem } .chip.on { color: var(--ok); border-color: var(--ok) } .chip.off { color: var(--soft); opacity: .75 }
table { border-collapse: collapse; width: 100%; font-size: .88rem }
th, td { text-align: left; padding: .32rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
thead th { position: sticky; top: 0; background: var(--page); font-weight: 600 }
td.id { white-space: nowrap; font-variant-numeric: tabular-nums } td.mark, th.mark { text-align: center; width: 7rem }
tr.family td { background: var(--card); font-weight: 600; padding-top: .5rem }
.level { color: var(--soft); font-size: .75rem; margin-left: .4rem }
.ok { color: var(--ok) } .broken { color: var(--broken) } .doubt { color: var(--doubt) }
.undeclared, .notrun { color: var(--soft) } td .broken, td .ok, td .doubt { font-weight: 700 }
.failure { border: 1px solid var(--line); border-left: 4px solid var(--broken); border-radius: 8px; padding: .9rem 1.1rem;
  margin: 0 0 1rem; } .failure.should { border-left-color: var(--doubt) }
.failure p { margin: 0 0 .6rem } .failure ol { margin: .2rem 0 .8rem; padding-left: 1.6rem }
code, pre, .failure li { font: .82rem/1.55 ui-monospace, monospace; overflow-wrap: anywhere }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem; overflow-x: auto; margin: 0 }
.said { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .8rem; margin-bottom: .6rem }
.said b { font-weight: 600 } details summary { cursor: pointer; color: var(--soft) }
footer { margin-top: 3rem; color: var(--soft); font-size: .8rem }
"""


def render_html(report: Findings) -> str:
    """Render one report."""
    return render_matrix([report_to_dict(report)])


def render_matrix(reports: Sequence[dict[str, Any]]) -> str:
    """Render the JSON reports of one store or several."""
    title = f"{reports[0]['store']} {reports[0]['grade']}" if len(reports) == 1 else f"{len(reports)} session stores"
    parts = [
        f"<h1>{escape(title)}</h1>",
        '<p class="lead">Proven with palaver-conformance; verdicts come only from laws that ran.</p>',
        f'<div class="cards">{"".join(map(_card, reports))}</div>',
        *(_failures(report) for report in reports),
        f"<h2>Laws</h2>{_matrix(reports)}",
        *(_coverage(report) for report in reports),
        f"<footer>palaver-conformance {escape(reports[0]['kit_version'])}</footer>",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n'


def _card(report: dict[str, Any]) -> str:
    grade = report["grade"]
    facts = {
        "laws": ", ".join(f"{count} {verdict}" for verdict, count in report["counts"].items()),
        "run": f"{report['profile']}, seed {report['seed']}, {report['seconds']:.1f} s",
        "when": report["started"].replace("T", " "),
        "on": f"Python {report['python']}, {report['platform']}",
        "hooks": ", ".join(report["hooks"]) or "none",
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return (
        f'<section class="card"><h3>{escape(report["store"])}</h3>'
        f'<span class="grade {grade.split()[0]}">{escape(grade)}</span>{_bar(report["counts"])}'
        f"<p>{_chips(report['capabilities'])}</p><dl>{listed}</dl></section>"
    )


def _bar(counts: dict[str, int]) -> str:
    whole = sum(counts.values()) or 1
    shown = [(_MARKS[verdict][0], count) for verdict, count in counts.items()]
    return '<div class="bar">' + "".join(_stripe(kind, 100 * count / whole) for kind, count in shown) + "</div>"


def _stripe(kind: str, width: float) -> str:
    return f'<i class="{kind}" style="width:{width:.2f}%"></i>'


def _chips(capabilities: dict[str, Any]) -> str:
    return "".join(_chip(name, value) for name, value in capabilities.items())


def _chip(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f'<span class="chip {"on" if value else "off"}">{"✓" if value else "–"} {escape(name)}</span>'
    shown = "no limit" if value is None else f"{value:,}"
    return f'<span class="chip">{escape(name)}: {shown}</span>'


def _failures(report: dict[str, Any]) -> str:
    broken = [law for law in report["laws"] if law["failure"]]
    if not broken:
        return ""
    cause = report["cause"]
    first = f"<p>Begin with {escape(cause)}: it may be why the others are broken.</p>" if cause else ""
    ordered = sorted(broken, key=lambda law: law["id"] != cause)
    return f"<h2>Broken: {escape(report['store'])}</h2>{first}" + "".join(map(_failure, ordered))


def _failure(law: dict[str, Any]) -> str:
    failure = law["failure"]
    steps = "".join(f"<li>{escape(step)}</li>" for step in failure["steps"])
    text = f"<pre>{escape(failure['timeline'])}</pre>" if failure["timeline"] else ""
    timeline = f"<div>{failure['picture']}</div>" if failure["picture"] else text
    return (
        f'<article class="failure {law["level"].lower()}" id="{law["id"]}"><p><b>{law["id"]}</b>'
        f'<span class="level">{law["level"]}</span> {escape(law["sentence"])}</p>'
        + (f"<ol>{steps}</ol>" if steps else "")
        + f'<div class="said"><b>expected</b><code>{escape(failure["expected"])}</code>'
        f'<b class="broken">got</b><code>{escape(failure["got"])}</code></div>{timeline}</article>'
    )


def _matrix(reports: Sequence[dict[str, Any]]) -> str:
    heads = "".join(f'<th class="mark">{escape(_short(report["store"]))}</th>' for report in reports)
    rows, family = [], None
    verdicts = [{law["id"]: law for law in report["laws"]} for report in reports]
    laws = {law["id"]: law for report in reports for law in report["laws"]}
    for law in sorted(laws.values(), key=lambda law: list(_families(reports)).index(law["family"])):
        if law["family"] != family:
            family = law["family"]
            rows.append(f'<tr class="family"><td colspan="{2 + len(reports)}">{escape(family)}</td></tr>')
        rows.append(_row(law, [each.get(law["id"]) for each in verdicts]))
    return f"<table><thead><tr><th>law</th><th></th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _families(reports: Sequence[dict[str, Any]]) -> dict[str, None]:
    return dict.fromkeys(law["family"] for report in reports for law in report["laws"])


def _row(law: dict[str, Any], verdicts: list[dict[str, Any] | None]) -> str:
    level = "" if law["level"] == "MUST" else f'<span class="level">{law["level"]}</span>'
    marks = "".join(f'<td class="mark">{_mark(verdict)}</td>' for verdict in verdicts)
    return f'<tr><td class="id">{law["id"]}{level}</td><td>{escape(law["sentence"])}</td>{marks}</tr>'


def _mark(law: dict[str, Any] | None) -> str:
    if law is None:
        return ""
    kind, mark = _MARKS[law["verdict"]]
    told = escape(law["reason"] or f"{law['seconds']:.2f} s", quote=True)
    shown = f'<span class="{kind}" title="{law["verdict"]}: {told}">{mark}</span>'
    return f'<a href="#{law["id"]}">{shown}</a>' if law["failure"] else shown


def _coverage(report: dict[str, Any]) -> str:
    left_out = [law for law in report["laws"] if law["reason"]]
    if not left_out:
        return ""
    rows = "".join(
        f'<tr><td class="id">{law["id"]}</td><td>{escape(law["verdict"])}</td><td>{escape(law["reason"])}</td></tr>'
        for law in left_out
    )
    return f"<h2>Not tried: {escape(report['store'])}</h2><table>{rows}</table>"


def _short(store: str) -> str:
    return store.strip("<>").partition(" ")[0].removesuffix("SessionStore") or store
