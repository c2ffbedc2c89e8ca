"""A call that may not come to its end: cancelled, or with a medium that fails."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from palaver.contract.record import ABSENT, Record
from palaver_conformance.ground.steps import describe
from palaver_conformance.ground.verdicts import LawBroken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore
    from palaver_conformance.harness import Fails

__all__ = ("VerbTrial", "failing", "verbs_on_a_session")


@asynccontextmanager
async def failing(ground: Ground) -> AsyncIterator[None]:
    """Let the medium fail inside the block; the harness has the hook `fail`."""
    harness: Fails = ground.harness  # type: ignore[assignment]
    await harness.fail(ground.location)
    try:
        yield
    finally:
        await harness.mend(ground.location)


def verbs_on_a_session(ground: Ground) -> list[str]:
    """Return the verbs that the store has and that name sessions."""
    declared = ground.capabilities
    verbs = ["read", "write", "destroy"]
    verbs += ["swap", "remove"] if declared.swap else []
    verbs += ["touch"] if declared.touch else []
    verbs += ["read_many", "write_many"] if declared.batch else []
    return verbs + (["swap_many"] if declared.batch and declared.swap else [])


class VerbTrial:
    """One verb on a session that has an old record; afterwards it has the old one or the new one."""

    def __init__(self, ground: Ground, verb: str, session_id: str) -> None:
        self._ground = ground
        self.verb = verb
        self.session_id = session_id
        self.old = ground.record(b"old" * 50, lives=60_000)
        new = ground.record(b"new" * 300, lives=120_000)
        later = ground.clock.now() + 90_000
        touched = Record(self.old.payload, self.old.version, later)
        beside = f"{session_id}+"
        calls: dict[str, tuple[tuple[Any, ...], Record | None]] = {
            "read": ((session_id,), self.old),
            "write": ((session_id, new), new),
            "destroy": ((session_id,), None),
            "swap": ((session_id, new, self.old.version), new),
            "remove": ((session_id, self.old.version), None),
            "touch": ((session_id, later), touched),
            "read_many": (([session_id, beside],), self.old),
            "write_many": (([(session_id, new), (beside, new)],), new),
            "swap_many": (([(session_id, new, self.old.version), (beside, new, ABSENT)],), new),
        }
        self.arguments, self.new = calls[verb]

    async def expect_old_or_new(self, store: TracedStore) -> None:
        """See that the session has the old record or the new one."""
        got = await store.read(self.session_id)
        if not (self._ground.agrees(got, self.old) or self._ground.agrees(got, self.new)):
            expected = f"{describe(self.old)} or {describe(self.new)}"
            raise LawBroken(expected=expected, got=describe(got), ids=(self.session_id,))
