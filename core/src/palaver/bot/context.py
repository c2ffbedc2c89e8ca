"""What a handler gets: the event, the session, and a way to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from palaver.errors import TurnEndedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from palaver.engine.changes import State
    from palaver.engine.session import Session

__all__ = ("Connector", "Context")

Event = TypeVar("Event")
EventIn_contra = TypeVar("EventIn_contra", contravariant=True)


class Connector(Protocol[EventIn_contra]):
    """What Palaver has to know of a platform: another platform is another class with these two methods."""

    def session_id(self, event: EventIn_contra) -> str:
        """Return the id of the session that an event belongs to, as `platform:key`."""
        ...

    async def send_text(self, event: EventIn_contra, text: str) -> None:
        """Send text to where an event came from."""
        ...


class Context(Generic[Event]):
    """One event and its session, for the time of one turn."""

    def __init__(self, event: Event, connector: Connector[Event]) -> None:
        self._event = event
        self._connector = connector
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"<Context of {self._session!r}>"

    @property
    def event(self) -> Event:
        """What happened, as the platform tells it."""
        return self._event

    @property
    def session(self) -> Session:
        """The session: its id, platform and times, and its state.

        Raises:
            TurnEndedError: there is no turn, because the session could not be loaded.
        """
        if self._session is None:
            raise TurnEndedError(self._connector.session_id(self._event))
        return self._session

    @property
    def state(self) -> State:
        """The state, to read and to change in place; it is saved when the turn ends.

        Raises:
            TurnEndedError: the turn has ended.
        """
        return self.session.state

    def set_state(
        self, patch: Mapping[str, Any] | Callable[[State], Mapping[str, Any]] | None = None, /, **keys: Any
    ) -> None:
        """Set top-level keys of the state; see `Session.set_state`.

        Raises:
            InvalidStateError: a value is not JSON; nothing was changed.
            TurnEndedError: the turn has ended.
        """
        self.session.set_state(patch, **keys)

    def reset_state(self) -> None:
        """Set the whole state back to the initial state.

        Raises:
            TurnEndedError: the turn has ended.
        """
        self.session.reset_state()

    async def send_text(self, text: str) -> None:
        """Send text to where the event came from. It goes out at once, before the turn is saved."""
        await self._connector.send_text(self._event, text)

    def begin(self, session: Session) -> None:
        """Give the handler its session; for the bot."""
        self._session = session
