"""What a run has found, for people and for programs."""

from __future__ import annotations

from palaver_conformance.report.findings import Findings
from palaver_conformance.report.html import render_html
from palaver_conformance.report.json import render_json
from palaver_conformance.report.markdown import render_markdown
from palaver_conformance.report.text import render_text

__all__ = ("Report",)


class Report(Findings):
    """The findings of a run, and their renderings."""

    def text(self) -> str:
        """Render for a terminal, without colours."""
        return render_text(self)

    def to_json(self) -> str:
        """Render as JSON (see `SCHEMA_VERSION`)."""
        return render_json(self)

    def to_markdown(self) -> str:
        """Render as Markdown."""
        return render_markdown(self)

    def to_html(self) -> str:
        """Render as one HTML page that needs nothing else."""
        return render_html(self)
