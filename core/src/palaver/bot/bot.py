"""A bot: handlers on one side, a platform on the other, sessions in between."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypedDict, TypeVar, Unpack

from palaver.bot.context import Connector, Context
from palaver.bot.service import Service
from palaver.engine.sessions import Sessions
from palaver.errors import InvalidOptionError

if TYPE_CHECKING:
    from types import TracebackType

    from palaver.contract.store import SessionStore
    from palaver.engine.turn import OnConflict

__all__ = ("Bot", "SessionsOptions")

Event = TypeVar("Event")
Handler: TypeAlias = Callable[[Context[Event]], Awaitable[None]]
ErrorHandler: TypeAlias = Callable[[Context[Event], Exception], Awaitable[None]]


class SessionsOptions(TypedDict, total=False):
    """The options of `Sessions`, for the signature of a bot's constructor: `**options`."""

    initial_state: Mapping[str, Any] | None
    on_conflict: OnConflict
    max_attempts: int
    save_on_error: bool
    max_payload_bytes: int
    patience: float


class Bot(Generic[Event]):
    """A bot on a platform: each event is one turn of the session that it belongs to.

    Args:
        connector: the platform.
        session_store: where sessions are kept, a store or its URL; in memory, when neither this nor `sessions` is
            given.
        sessions: the engine, instead of a store and options. The bot opens and closes it as it would its own.
        **options: those of `Sessions`: `initial_state`, `on_conflict`, `max_attempts`, `save_on_error`,
            `max_payload_bytes` and `patience`.

    Raises:
        InvalidOptionError: an option cannot be used, or stands beside `sessions`.
        InvalidStateError: the initial state is not JSON.
    """

    def __init__(
        self,
        connector: Connector[Event],
        *,
        session_store: SessionStore | str | None = None,
        sessions: Sessions | None = None,
        **options: Unpack[SessionsOptions],
    ) -> None:
        signature(Sessions).bind(session_store, **options)  # a misspelt name is a TypeError here, and not later
        if sessions is not None:
            _check_sessions(sessions, [*options, *(["session_store"] if session_store is not None else [])])
        self._connector = connector
        self._options = options
        self._sessions = sessions
        self._is_in_use = sessions is not None
        self._handler: Handler[Event] | None = None
        self._error_handler: ErrorHandler[Event] | None = None
        if session_store is not None:
            self.use_store(session_store)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._sessions or 'a memory store'!s}>"

    @property
    def sessions(self) -> Sessions:
        """The engine, to open turns from outside of an event too.

        Raises:
            DriverNotFoundError: no store was given, and `palaver-memory` is not installed.
        """
        if self._sessions is None:
            self._sessions = Sessions("memory://", **self._options)
        self._is_in_use = True
        return self._sessions

    def use_store(self, session_store: SessionStore | str) -> Self:
        """Keep sessions elsewhere than the bot was made to; before the first event.

        Raises:
            InvalidOptionError: the bot has used its store already, or was made with `sessions`.
        """
        if self._is_in_use:
            raise InvalidOptionError(
                "the bot is using its store already; choose one before the first event, and not beside sessions",
                option="session_store",
            )
        self._sessions = Sessions(session_store, **self._options)
        return self

    def set_initial_state(self, state: Mapping[str, Any]) -> Self:
        """Set what a new session starts with; it is copied for each.

        Raises:
            InvalidStateError: the state is not JSON, and the bot has a store already.
        """
        if self._sessions is not None:
            self._sessions.set_initial_state(state)
        self._options["initial_state"] = state
        return self

    def on_event(self, handler: Handler[Event]) -> Handler[Event]:
        """Let `handler` handle every event; a decorator.

        Raises:
            InvalidOptionError: there is a handler already.
        """
        if self._handler is not None:
            raise InvalidOptionError("the bot has a handler already; one handler gets every event", option="on_event")
        self._handler = handler
        return handler

    def on_error(self, handler: ErrorHandler[Event]) -> ErrorHandler[Event]:
        """Let `handler` take what an event raised: in the handler, or when loading or saving; a decorator.

        The turn is over by then: the context can still send, but has no state. A turn whose handler raised has saved
        nothing, or, with `save_on_error`, what was changed until then. When saving raised `StoreUnavailableError`, the
        store may have saved the turn all the same, if it did not come back in time to tell.

        Raises:
            InvalidOptionError: there is an error handler already.
        """
        if self._error_handler is not None:
            raise InvalidOptionError("the bot has an error handler already", option="on_error")
        self._error_handler = handler
        return handler

    async def handle(self, event: Event, *, connector: Connector[Event] | None = None) -> None:
        """Handle one event: load its session, call the handler, save. For webhooks; it returns when all is saved.

        Args:
            event: what happened.
            connector: where to answer, when that is not the bot's own platform.

        Raises:
            InvalidOptionError: the bot has no handler.
            Exception: what the handler, loading or saving raised, when there is no `on_error`.
        """
        if self._handler is None:
            raise InvalidOptionError("the bot has no handler; decorate one with @bot.on_event", option="on_event")
        connector = connector or self._connector
        context = Context(event, connector)
        try:
            async with self.sessions.turn(connector.session_id(event)) as session:
                context.begin(session)
                await self._handler(context)
        except Exception as error:
            if self._error_handler is None:
                raise
            await self._error_handler(context, error)

    async def serve(self, events: AsyncIterable[Event]) -> None:
        """Handle a stream of events until it ends: those of one session in order, those of different ones together.

        An event that fails and that no `on_error` takes is logged, and the others go on. If the stream itself fails,
        the events that it gave are handled and saved first. If the caller is cancelled, so are running handlers.

        Up to 1,000 events are under way at a time, those that wait for their session included; the stream waits then.

        On SIGINT and SIGTERM it takes no more events, lets those that it has be handled and saved for up to 30 seconds,
        and returns. A second signal ends the program as it would without this, and so does SIGTERM where the program
        handles it itself.

        Raises:
            StoreUnavailableError: the store cannot be opened.
            Exception: what the stream raised.
        """
        async with self:
            await Service(self.handle, self.sessions.close).run(events)

    async def __aenter__(self) -> Self:
        await self.sessions.init()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.sessions.close()


def _check_sessions(sessions: Sessions, others: list[str]) -> None:
    if not isinstance(sessions, Sessions):
        raise InvalidOptionError(f"it is of type {type(sessions).__name__}; give a Sessions", option="sessions")
    if others:
        raise InvalidOptionError(
            f"it has its own store and options; leave out {', '.join(others)}, or give them to Sessions",
            option="sessions",
        )
