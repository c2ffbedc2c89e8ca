"""A bot in the terminal: prompts on a terminal, plain lines from a pipe."""

from __future__ import annotations

import asyncio
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

import msgspec

from palaver.bot.bot import Bot, SessionsOptions
from palaver.bot.signals import stop_signals
from palaver.errors import PalaverError
from palaver.toolkit.lifecycle import plain_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from palaver.contract.store import SessionStore
    from palaver.engine.sessions import Sessions
    from palaver.engine.snapshot import Snapshot

__all__ = ("Console", "ConsoleBot", "TextEvent")

DEFAULT_SESSION_ID: Final = "console:1"

_PACKAGE: Final = Path(__file__).parent

_PROMPT: Final = "You > "
_ANSWER: Final = "Bot > "


@dataclass(frozen=True)
class TextEvent:
    """A line that somebody typed."""

    text: str


class Console:
    """Runs any bot in the terminal, as one conversation.

    Args:
        bot: the bot; its handler gets a `TextEvent` for each line.
        session_id: whose conversation it is.
    """

    def __init__(self, bot: Bot[Any], *, session_id: str = DEFAULT_SESSION_ID) -> None:
        self._bot = bot
        self._session_id = session_id
        self._commands: dict[str, Callable[[], Awaitable[None]]] = {
            "/state": self._show_state,
            "/session": self._show_session,
            "/reset": self._reset,
        }
        self._failures = 0
        self._closing: asyncio.Task[None] | None = None
        """Closes the sessions, once the program was told to stop."""

    def session_id(self, event: TextEvent) -> str:  # noqa: ARG002  # a terminal has one conversation
        """Return whose conversation it is."""
        return self._session_id

    async def send_text(self, event: TextEvent, text: str) -> None:  # noqa: ARG002
        """Print an answer of the bot."""
        print(f"{_ANSWER}{text}", flush=True)

    async def run(self) -> int:
        """Talk until `/exit` or the end of the input: each line is handled before the next is read.

        On SIGINT and SIGTERM the line that is being handled is the last one.

        Returns:
            How many lines could not be handled.

        Raises:
            StoreUnavailableError: the store cannot be opened.
        """
        async with self._bot:
            names = ", ".join((*self._commands, "/exit"))
            place = plain_name(repr(self._bot.sessions.store))
            print(f"Sessions are kept in {place}. Commands: {names}", file=sys.stderr, flush=True)
            async for line in _lines():
                if line == "/exit":
                    break
                with stop_signals(self._stop):
                    await self._answer(line)
                if self._closing is not None:
                    await self._closing
                    break
        return self._failures

    def _stop(self) -> None:
        """Let the answer that is being made end and be saved, and ask for no more lines."""
        self._closing = asyncio.ensure_future(self._bot.sessions.close())

    async def _answer(self, line: str) -> None:
        command = self._commands.get(line)
        try:
            await (command() if command else self._bot.handle(TextEvent(line), connector=self))
        except PalaverError as error:
            self._failures += 1
            print(f"error: {plain_message(error)}", file=sys.stderr, flush=True)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closing is None or task is None:
                raise
            task.uncancel()
            self._failures += 1
            print("error: told to stop, and the answer was not ready in time", file=sys.stderr, flush=True)
        except Exception as error:  # noqa: BLE001  # whatever the bot's author made; shown, and the conversation goes on
            self._failures += 1
            print(error_report(error, _is_ours), end="", file=sys.stderr, flush=True)

    async def _show_state(self) -> None:
        snapshot = await self._peek()
        if snapshot is not None:
            _show(snapshot.state)

    async def _show_session(self) -> None:
        snapshot = await self._peek()
        if snapshot is not None:
            _show(
                {
                    "id": snapshot.id,
                    "created": snapshot.created,
                    "last_activity": snapshot.last_activity,
                    "expires_at": snapshot.expires_at,
                }
            )

    async def _peek(self) -> Snapshot | None:
        """Look at the session without a turn, which would renew its life; say so if there is none."""
        snapshot = await self._bot.sessions.peek(self._session_id)
        if snapshot is None:
            print(f"There is no session {self._session_id!r} yet.", file=sys.stderr, flush=True)
        return snapshot

    async def _reset(self) -> None:
        async with self._bot.sessions.turn(self._session_id) as session:
            session.reset_state()
        print("The state is the initial state again.", flush=True)


class ConsoleBot(Bot[TextEvent]):
    """A bot that talks in the terminal.

    Args:
        session_store: where sessions are kept, a store or its URL; in memory, when neither this nor `sessions` is
            given.
        session_id: whose conversation it is.
        sessions: the engine, instead of a store and options.
        **options: those of `Sessions`, as for every bot.

    Raises:
        InvalidOptionError: an option cannot be used, or stands beside `sessions`.
        InvalidStateError: the initial state is not JSON.
    """

    def __init__(
        self,
        session_store: SessionStore | str | None = None,
        *,
        session_id: str = DEFAULT_SESSION_ID,
        sessions: Sessions | None = None,
        **options: Unpack[SessionsOptions],
    ) -> None:
        self._console = Console(self, session_id=session_id)
        super().__init__(self._console, session_store=session_store, sessions=sessions, **options)

    def run(self) -> None:
        """Talk in the terminal until `/exit` or the end of the input."""
        asyncio.run(self._console.run())


def plain_message(error: PalaverError) -> str:
    """Return the message of an error, with its store named as people would."""
    message, store = str(error), getattr(error, "store", None)
    return message.replace(store, plain_name(store)) if isinstance(store, str) else message


def error_report(error: BaseException, skip: Callable[[str], bool]) -> str:
    """Format an error for the author of a bot: from the first frame of the author's on.

    Args:
        error: what was raised.
        skip: whether a file is machinery, and frames in it are left out until the first that is not.
    """
    trace = error.__traceback__
    while trace is not None and skip(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_ours(file: str) -> bool:
    return Path(file).parent == _PACKAGE


def _show(value: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), flush=True)


def _lines() -> AsyncIterator[str]:
    return _typed_lines() if sys.stdin.isatty() else _piped_lines()


async def _piped_lines() -> AsyncIterator[str]:
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield line.rstrip("\r\n")


async def _typed_lines() -> AsyncIterator[str]:
    from palaver.bot.terminal import prompt_session  # only a person at a terminal needs what it imports

    session = prompt_session()
    while True:
        try:
            yield await session.prompt_async(_PROMPT)
        except (EOFError, KeyboardInterrupt):
            return
