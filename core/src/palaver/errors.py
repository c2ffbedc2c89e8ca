"""Every error that Palaver raises, under one root.

The class says who has to act; the attributes carry the facts; the message says what is wrong and what to do.
No message ever contains a session's state or a password.
"""

from __future__ import annotations

import copy
from typing import TypeVar

__all__ = (
    "ConflictError",
    "CorruptSessionError",
    "DriverLoadError",
    "DriverNotFoundError",
    "DuplicateDriverError",
    "InvalidOptionError",
    "InvalidSessionIdError",
    "InvalidStateError",
    "NestedTurnError",
    "PalaverError",
    "SessionBusyError",
    "SessionTooLargeError",
    "StoreClosedError",
    "StoreUnavailableError",
    "TurnDeadlockError",
    "TurnEndedError",
    "UnsupportedError",
    "WrongLoopError",
)


_ErrorT = TypeVar("_ErrorT", bound=BaseException)


class PalaverError(Exception):
    """The root of all errors of Palaver."""

    retryable: bool = False
    """Whether the same call may succeed later without anyone changing anything."""


def own_copy(error: _ErrorT) -> _ErrorT:
    """Return a copy of an error that several callers share: a traceback belongs to one task alone."""
    try:
        own = copy.copy(error)
    except TypeError:
        # Its constructor takes something else than its `args`: better shared than replaced by another error.
        return error
    own.__cause__ = error
    return own


# The caller's side: the call has to change.


class StoreClosedError(PalaverError):
    """Raised when a store is used before `init()` or after `close()`."""

    def __init__(self, store: str, *, reason: str = "it is closed") -> None:
        super().__init__(store)
        self.store = store
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.store} cannot be used: {self.reason}. Use it inside `async with store:`."


class WrongLoopError(PalaverError):
    """Raised when a store is used in an event loop while it is open in another one that still runs."""

    def __init__(self, store: str) -> None:
        super().__init__(store)
        self.store = store

    def __str__(self) -> str:
        return (
            f"{self.store} is open in another event loop, which still runs, as in another thread; "
            "make a Sessions with a store of its own for each event loop"
        )


class InvalidOptionError(PalaverError, ValueError):
    """Raised when an option of a store, a URL or the engine has a value that cannot be used."""

    def __init__(self, reason: str, *, option: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.option = option

    def __str__(self) -> str:
        return self.reason if self.option is None else f"option {self.option!r}: {self.reason}"


class InvalidSessionIdError(PalaverError, ValueError):
    """Raised when a session id is not Unicode text of 1 to 512 UTF-8 bytes without U+0000 or lone surrogates."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"this cannot be a session id: {self.reason}"


class InvalidStateError(PalaverError, ValueError):
    """Raised when a state holds something that JSON cannot give back equal, type for type."""

    def __init__(self, reason: str, *, path: str = "state") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        """Where in the state, for example `state.cart[2].when`."""

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


class SessionTooLargeError(PalaverError):
    """Raised when an encoded session is larger than the engine or its store accepts."""

    def __init__(self, session_id: str, *, size: int | None = None, limit: int | None = None) -> None:
        super().__init__(session_id)
        self.session_id = session_id
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"session {self.session_id!r} takes {self.size} bytes, but at most {self.limit} are accepted; "
            "keep large data elsewhere and its key in the state"
        )


class SessionBusyError(PalaverError):
    """Raised when a turn could not begin in the time that its caller gave it, because others of the session run."""

    retryable = True

    def __init__(self, session_id: str, *, timeout: float = 0) -> None:
        super().__init__(session_id)
        self.session_id = session_id
        self.timeout = timeout
        """How many seconds it has waited."""

    def __str__(self) -> str:
        return f"session {self.session_id!r} is busy: its turn could not begin within {self.timeout:g} seconds"


class TurnDeadlockError(PalaverError):
    """Raised when turns would wait for each other in a circle, for ever."""

    def __init__(self, session_id: str, *, circle: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(session_id)
        self.session_id = session_id
        self.circle = circle
        """Each task of the circle, by its name, and the session whose turn it waits for."""

    def __str__(self) -> str:
        waits = ", ".join(f"task {task!r} waits for {session_id!r}" for task, session_id in self.circle)
        return (
            f"the turn of session {self.session_id!r} would never begin: {waits}; "
            "open them together, as in sessions.turn('a', 'b'), or in one order everywhere"
        )


class TurnEndedError(PalaverError):
    """Raised when a session is used after its turn has ended, where a change would be lost."""

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id)
        self.session_id = session_id

    def __str__(self) -> str:
        return (
            f"the turn of session {self.session_id!r} has ended and a change would be lost; "
            "await everything that uses the session inside the turn, or open another turn"
        )


class NestedTurnError(PalaverError):
    """Raised when a task opens a turn inside its own turn of the same session, where it would wait for itself."""

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id)
        self.session_id = session_id

    def __str__(self) -> str:
        return (
            f"this task is already in a turn of session {self.session_id!r} and would wait for itself for ever; "
            "use the session of the turn that is running"
        )


class UnsupportedError(PalaverError):
    """Raised when a store is asked for a capability that it does not declare."""

    def __init__(self, capability: str, *, store: str = "this store") -> None:
        super().__init__(capability)
        self.capability = capability
        self.store = store

    def __str__(self) -> str:
        return (
            f"{self.store} does not have the capability {self.capability!r}; see `store.capabilities` for what it has"
        )


# The store's side: the medium, or what is in it.


class StoreUnavailableError(PalaverError):
    """Raised when the medium of a store cannot be reached or refuses to work; nothing is known to be lost.

    Args:
        reason: what is wrong.
        store: the store, as people know it.
        session_id: the one session that cannot be served while others can, or None.
        retryable: False for what does not pass by itself, as a wrong password; then nobody tries again.
    """

    retryable = True

    def __init__(
        self, reason: str, *, store: str | None = None, session_id: str | None = None, retryable: bool = True
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable
        self.store = store
        self.session_id = session_id
        """The one session that cannot be served while others can, or None if the store as a whole is unavailable."""

    def __str__(self) -> str:
        if self.session_id is not None:
            place = "" if self.store is None else f" in {self.store}"
            return f"session {self.session_id!r}{place} is not available: {self.reason}"
        return self.reason if self.store is None else f"{self.store} is not available: {self.reason}"


class CorruptSessionError(PalaverError):
    """Raised when what is stored for a session cannot be understood; it is left as it is for a person to look at."""

    def __init__(self, reason: str, *, session_id: str | None = None, location: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.session_id = session_id
        self.location = location

    def __str__(self) -> str:
        session = "a session" if self.session_id is None else f"session {self.session_id!r}"
        place = "" if self.location is None else f" in {self.location}"
        return f"{session}{place} is damaged: {self.reason}; repair it by hand, or destroy() it to start afresh"


# Another writer's side: nobody is wrong.


class ConflictError(PalaverError):
    """Raised when someone else saved or destroyed a session during a turn, and the turn's changes do not fit to it.

    Nothing of the turn was saved. Handle the event again, in a new turn.
    """

    retryable = True

    def __init__(self, session_id: str, *, attempts: int = 1, paths: tuple[str, ...] = ()) -> None:
        super().__init__(session_id)
        self.session_id = session_id
        self.attempts = attempts
        self.paths = paths
        """What both changed, for example `("state.cart",)`; empty when it is not about single values."""

    def __str__(self) -> str:
        if self.paths:
            return (
                f"someone else changed {', '.join(self.paths)} of session {self.session_id!r} during this turn, and so "
                "did this turn, which saved nothing; handle the event again, or change it by a function given to "
                "set_state()"
            )
        times = "" if self.attempts == 1 else f" ({self.attempts} times)"
        return (
            f"someone else saved or destroyed session {self.session_id!r} during this turn{times}, which saved "
            "nothing; handle the event again"
        )


# The installation's side: a driver is missing, doubled or broken.


class DriverNotFoundError(PalaverError):
    """Raised when no installed driver has the scheme of a store URL."""

    def __init__(self, scheme: str, *, remedy: str = "install a package that provides it") -> None:
        super().__init__(scheme)
        self.scheme = scheme
        self.remedy = remedy

    def __str__(self) -> str:
        return f"no driver is installed for {self.scheme!r} stores: {self.remedy}"


class DuplicateDriverError(PalaverError):
    """Raised when several installed distributions claim one scheme, so that choosing one would be a guess."""

    def __init__(self, scheme: str, *, distributions: tuple[str, ...] = ()) -> None:
        super().__init__(scheme)
        self.scheme = scheme
        self.distributions = distributions

    def __str__(self) -> str:
        return (
            f"several distributions bring a driver for {self.scheme!r} stores: {', '.join(self.distributions)}; "
            "uninstall all but one"
        )


class DriverLoadError(PalaverError):
    """Raised when the driver of a scheme is installed but cannot be loaded or does not make a store."""

    def __init__(self, scheme: str, *, distribution: str = "unknown", reason: str = "it cannot be loaded") -> None:
        super().__init__(scheme)
        self.scheme = scheme
        self.distribution = distribution
        self.reason = reason

    def __str__(self) -> str:
        return f"the driver for {self.scheme!r} stores, from {self.distribution}, is broken: {self.reason}"
