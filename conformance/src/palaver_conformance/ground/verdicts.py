"""How the trial of a law ends, when it does not just pass."""

from __future__ import annotations

__all__ = ("Inconclusive", "LawBroken", "NotRun")


class LawBroken(Exception):  # noqa: N818  # it is a verdict
    """Raised when a store does something else than a law says.

    Args:
        expected: what the law says.
        got: what came.
        ids: the sessions that it is about, by which the steps are chosen that are shown; none is all.
        timeline: a concurrent history that shows it, drawn as text.
        picture: the same as HTML.
    """

    def __init__(
        self,
        *,
        expected: str,
        got: str,
        ids: tuple[str, ...] = (),
        timeline: str | None = None,
        picture: str | None = None,
    ) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = got
        self.ids = ids
        self.timeline = timeline
        self.picture = picture
        self.steps: tuple[str, ...] | None = None
        """The shortest sequence that shows it, where one was looked for."""


class NotRun(Exception):  # noqa: N818  # it is a verdict
    """Raised when a law cannot be tried here; the reason is printed."""


class Inconclusive(Exception):  # noqa: N818  # it is a verdict
    """Raised when a law was tried and nothing can be said; the reason is printed."""
