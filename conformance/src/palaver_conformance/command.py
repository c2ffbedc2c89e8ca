"""The door on the command line: `palaver conformance TARGET`."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from palaver.errors import PalaverError
from palaver.toolkit.urls import redact_url
from palaver_conformance.instruments.guard import Hung, run_guarded_for
from palaver_conformance.profiles import PROFILES
from palaver_conformance.report.findings import Grade, Verdict
from palaver_conformance.report.text import cause_lines, coverage_lines, failure_lines, family_line, summary_line
from palaver_conformance.runner import CannotRun, run_laws
from palaver_conformance.targets import LeavesBehind, NamedTarget, harness_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver_conformance.harness import Harness
    from palaver_conformance.report.findings import Result
    from palaver_conformance.report.report import Report

__all__ = ("conformance",)

_CODES: Final = {Grade.CONFORMS: 0, Grade.PARTIAL: 0, Grade.BROKEN: 1, Grade.INCOMPLETE: 2}
_COLOURS: Final = {Grade.CONFORMS: "green", Grade.PARTIAL: "yellow", Grade.BROKEN: "red", Grade.INCOMPLETE: "yellow"}
_FORMATS: Final = (".json", ".html", ".md")


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="TARGET")
@click.option("--profile", type=click.Choice(list(PROFILES)), default="ci", show_default=True, help="How much to try.")
@click.option("--seed", type=int, help="Where chance begins: 0, or by chance in the profile full.")
@click.option(
    "--report", "files", multiple=True, metavar="FILE", help="Write a report: FILE.json, FILE.html or FILE.md."
)
@click.option("--law", "laws", multiple=True, metavar="ID", help="Try this law only; may be given several times.")
@click.option("--exclude", multiple=True, metavar="ID=REASON", help="Do not try this law; the reason is reported.")
def conformance(  # noqa: PLR0917  # click passes them by name
    targets: tuple[str, ...],
    profile: str,
    seed: int | None,
    files: tuple[str, ...],
    laws: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Prove that a session store keeps the contract.

    TARGET is a store URL, as in memory:// or file:.sessions, or module:make, as in my_store:make. Several JSON reports
    are put into one HTML page.

    It ends with 0 if the store conforms, or the laws that you chose hold, with 1 if a law is broken, and with 2 if that
    could not be found out.
    """
    paths = [_report_path(file) for file in files]
    if all(target.endswith(".json") for target in targets):
        _combine(targets, paths)
        return
    if len(targets) > 1:
        raise click.UsageError("give one TARGET, or several JSON reports")
    try:
        report = _run(targets[0], profile, seed, laws, dict(_exclusion(text) for text in exclude))
    except (CannotRun, PalaverError) as error:
        click.secho(f"{targets[0]} could not be tried: {error}", fg="red", err=True)
        _leave(2)
    _show(report)
    for path in paths:
        path.write_text(_rendered(report, path.suffix), encoding="utf-8")
        click.echo(f"written: {path}")
    _leave(_CODES[report.grade])


def _run(target: str, profile: str, seed: int | None, laws: tuple[str, ...], exclusions: dict[str, str]) -> Report:
    harness = _load(target, PROFILES[profile].call_seconds)
    click.echo(f"{target}: profile {profile}")
    progress = _Progress()
    try:
        return run_laws(
            harness, profile=profile, seed=seed, laws=laws or None, exclude=exclusions, on_result=progress.take
        )
    finally:
        progress.end()
        if isinstance(harness, LeavesBehind):
            _name_what_is_left(target, harness.left_behind)


def _name_what_is_left(target: str, namespaces: Sequence[str]) -> None:
    if not namespaces:
        return
    some = f"in {len(namespaces)} namespaces, from {min(namespaces)!a} to {max(namespaces)!a}"
    click.secho(
        f"{redact_url(target)}: sessions of the kit are left behind {some}: the store can neither clear nor scan",
        fg="yellow",
        err=True,
    )


def _load(target: str, patience: float) -> Harness:
    harness = harness_from(target)
    if not isinstance(harness, NamedTarget):
        return harness
    try:
        return run_guarded_for(harness.load, patience)
    except Hung as hung:
        raise CannotRun(f"its import did not end within {patience:g} seconds, it stands {hung.where}") from hung


class _Progress:
    """One line for each family, printed when the next one begins; on a terminal it grows while the laws are tried."""

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._is_live = sys.stdout.isatty()

    def take(self, result: Result) -> None:
        if self._results and self._results[0].law.family != result.law.family:
            self.end()
        self._results.append(result)
        if self._is_live:
            click.echo(f"\r{family_line(self._results)}", nl=False)

    def end(self) -> None:
        if not self._results:
            return
        is_broken = any(result.verdict is Verdict.BROKEN for result in self._results)
        start = "\r" if self._is_live else ""
        click.secho(f"{start}{family_line(self._results)}", fg="red" if is_broken else None)
        self._results = []


def _show(report: Report) -> None:
    for result in report.broken:
        first, *rest = failure_lines(result)
        click.echo()
        click.secho(first, fg="red", bold=True)
        click.echo("\n".join(rest))
    click.echo()
    for line in cause_lines(report):
        click.secho(line, fg="red", bold=True)
    for line in coverage_lines(report):
        click.secho(line, dim=True)
    click.secho(summary_line(report), fg=_COLOURS[report.grade], bold=True)
    if report.broken:
        click.echo(f"again: --profile {report.profile} --seed {report.seed} --law {report.broken[0].law.id}")


def _rendered(report: Report, suffix: str) -> str:
    if suffix == ".json":
        return report.to_json()
    return report.to_html() if suffix == ".html" else report.to_markdown()


def _report_path(file: str) -> Path:
    path = Path(file)
    if path.suffix not in _FORMATS:
        raise click.UsageError(f"{file!r} is no report: its name must end in {', '.join(_FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder for {file!r}")
    return path


def _exclusion(text: str) -> tuple[str, str]:
    law_id, _, reason = text.partition("=")
    return law_id, reason


def _combine(files: tuple[str, ...], paths: list[Path]) -> None:
    from palaver_conformance.report.html import render_matrix

    pages = [path for path in paths if path.suffix == ".html"]
    if not pages:
        raise click.UsageError("say where to put the page: --report FILE.html")
    page = render_matrix([_loaded(file) for file in files])
    for path in pages:
        path.write_text(page, encoding="utf-8")
        click.echo(f"written: {path}")


def _loaded(file: str) -> dict[str, Any]:
    from palaver_conformance.report.findings import SCHEMA_VERSION

    try:
        report = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file!r} cannot be read: {error}") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA_VERSION:
        raise click.UsageError(f"{file!r} is no report of schema {SCHEMA_VERSION}")
    return report


def _leave(code: int) -> NoReturn:
    """End with a code, even though a store under trial may have left threads that never end."""
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.name == "palaver-conformance" for thread in threading.enumerate()):
        os._exit(code)
    raise click.exceptions.Exit(code)
