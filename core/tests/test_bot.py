"""The bot: events in, turns run, answers out."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest

from palaver import (
    Bot,
    ConsoleBot,
    Context,
    InvalidOptionError,
    InvalidStateError,
    Sessions,
    SessionTooLargeError,
    StoreUnavailableError,
    TurnEndedError,
)
from palaver.bot.bot import SessionsOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from core.tests.conftest import SwapStore


@dataclass(frozen=True)
class Message:
    sender: str
    text: str


@dataclass
class Chat:
    """Another platform, as small as it can be."""

    sent: list[tuple[str, str]] = field(default_factory=list)

    def session_id(self, event: Message) -> str:
        return f"chat:{event.sender}"

    async def send_text(self, event: Message, text: str) -> None:
        self.sent.append((event.sender, text))


@pytest.fixture
def chat() -> Chat:
    return Chat()


@pytest.fixture
def bot(chat: Chat, store: SwapStore) -> Bot[Message]:
    return Bot(chat, session_store=store, patience=0).set_initial_state({"n": 0})


async def count(context: Context[Message]) -> None:
    context.set_state(lambda state: {"n": state["n"] + 1})
    await context.send_text(f"{context.event.text} {context.state['n']}")


async def test_each_event_is_a_turn_of_its_session(bot: Bot[Message], chat: Chat) -> None:
    """State is kept for each sender, and answers go where the event came from."""
    bot.on_event(count)
    for sender, text in [("ann", "a"), ("bob", "b"), ("ann", "c")]:
        await bot.handle(Message(sender, text))

    assert chat.sent == [("ann", "a 1"), ("bob", "b 1"), ("ann", "c 2")]


async def test_the_context_has_the_session(bot: Bot[Message]) -> None:
    """Its id, its platform, its state, and the power to reset and destroy it."""
    seen: list[Any] = []

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        seen.append((context.session.id, context.session.platform, context.state))
        context.set_state(n=5)
        context.reset_state()
        seen.append(dict(context.state))

    await bot.handle(Message("ann", ""))

    assert seen == [("chat:ann", "chat", {"n": 0}), {"n": 0}]


async def test_a_stream_of_events_is_served_in_order_for_each_session(bot: Bot[Message], chat: Chat) -> None:
    """Those of one sender one after another, those of several together; then the store is closed."""
    meeting = asyncio.Barrier(2)

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        await meeting.wait()  # passes only when both senders are handled together
        await count(context)

    async def events() -> AsyncIterator[Message]:
        for number in range(3):
            for sender in ("ann", "bob"):
                yield Message(sender, str(number))

    await asyncio.wait_for(bot.serve(events()), timeout=10)

    for sender in ("ann", "bob"):
        assert [text for to, text in chat.sent if to == sender] == ["0 1", "1 2", "2 3"]
    assert bot.sessions.store.calls[-1] == "close"  # type: ignore[attr-defined]


async def test_an_event_that_fails_does_not_end_the_service(
    bot: Bot[Message], chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, without the state, and the others are handled."""

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        context.set_state(secret="hush")
        if context.event.text == "bad":
            raise ValueError("no such word")
        await context.send_text("fine")

    async def events() -> AsyncIterator[Message]:
        yield Message("ann", "bad")
        yield Message("ann", "good")

    with caplog.at_level(logging.ERROR):
        await bot.serve(events())

    assert chat.sent == [("ann", "fine")]
    assert "no such word" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize("failure", [ConnectionError("websocket closed"), asyncio.CancelledError("reader stopped")])
async def test_a_stream_that_fails_loses_no_event_that_it_gave(
    bot: Bot[Message], store: SwapStore, failure: BaseException
) -> None:
    """Running handlers end and save; then the stream's own error is raised, as itself."""
    stream_is_over = asyncio.Event()

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        await stream_is_over.wait()
        context.set_state(n=1)

    async def events() -> AsyncIterator[Message]:
        yield Message("ann", "")
        asyncio.get_running_loop().call_later(0.01, stream_is_over.set)
        raise failure

    with pytest.raises(type(failure)) as caught:
        await bot.serve(events())

    assert caught.value is failure
    assert list(store.records) == ["chat:ann"]
    assert store.calls[-1] == "close"


async def test_a_handler_that_lets_a_cancellation_out_has_failed(
    bot: Bot[Message], chat: Chat, store: SwapStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody cancelled the service: the event is logged as any that fails, and the others are handled."""

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        if context.event.text == "bad":
            cancelled = asyncio.create_task(asyncio.sleep(0))
            cancelled.cancel("request dropped")
            await cancelled
        await count(context)

    async def events() -> AsyncIterator[Message]:
        yield Message("ann", "bad")
        yield Message("ann", "good")

    with caplog.at_level(logging.ERROR):
        await bot.serve(events())

    assert chat.sent == [("ann", "good 1")]
    assert "an event could not be handled" in caplog.text


async def test_a_service_that_is_cancelled_cancels_its_handlers(bot: Bot[Message], store: SwapStore) -> None:
    """It ends at once, saves nothing of what they did, and closes the store."""
    begun = asyncio.Event()

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        context.set_state(n=1)
        begun.set()
        await asyncio.Event().wait()

    async def events() -> AsyncIterator[Message]:
        yield Message("ann", "")
        await asyncio.Event().wait()

    service = asyncio.create_task(bot.serve(events()))
    await begun.wait()
    service.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service

    assert store.records == {}
    assert store.calls[-1] == "close"


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals on Windows")
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_that_is_told_to_stop_ends_what_has_begun(
    bot: Bot[Message], store: SwapStore, told: signal.Signals
) -> None:
    """It takes no more events, lets those that it has be saved, and gives the signals back."""
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    is_told = asyncio.Event()

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        await is_told.wait()
        context.set_state(n=1)

    async def events() -> AsyncIterator[Message]:
        for sender in ("ann", "ann", "bob"):
            yield Message(sender, "")
        os.kill(os.getpid(), told)
        asyncio.get_running_loop().call_later(0.01, is_told.set)
        await asyncio.Event().wait()

    await asyncio.wait_for(bot.serve(events()), timeout=10)

    assert sorted(store.records) == ["chat:ann", "chat:bob"]
    assert store.calls[-1] == "close"
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals on Windows")
async def test_a_program_keeps_its_own_way_to_end(bot: Bot[Message]) -> None:
    """Where it handles SIGTERM itself, the service does not."""
    told: list[int] = []

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    async def events() -> AsyncIterator[Message]:
        yield Message("ann", "")

    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        await bot.serve(events())
    finally:
        signal.signal(signal.SIGTERM, before)

    assert told == [signal.SIGTERM]


async def test_a_service_in_another_thread_leaves_signals_alone(bot: Bot[Message], store: SwapStore) -> None:
    """There are none there."""

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        context.set_state(n=1)

    async def events() -> AsyncIterator[Message]:
        yield Message("ann", "")

    await asyncio.to_thread(lambda: asyncio.run(bot.serve(events())))

    assert list(store.records) == ["chat:ann"]


async def test_without_an_error_handler_the_error_comes_through(bot: Bot[Message], store: SwapStore) -> None:
    """And nothing is saved."""

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        context.set_state(n=1)
        raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        await bot.handle(Message("ann", ""))
    assert store.records == {}


async def test_the_error_handler_takes_what_the_handler_raised(bot: Bot[Message], chat: Chat, store: SwapStore) -> None:
    """It can answer; the turn is over and has saved nothing."""
    caught: list[Exception] = []

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        context.set_state(n=1)
        raise ValueError("oops")

    @bot.on_error
    async def sorry(context: Context[Message], error: Exception) -> None:
        caught.append(error)
        with pytest.raises(TurnEndedError):
            context.set_state(n=2)
        await context.send_text("sorry")

    await bot.handle(Message("ann", ""))

    assert [str(error) for error in caught] == ["oops"]
    assert chat.sent == [("ann", "sorry")]
    assert store.records == {}


async def test_the_error_handler_takes_what_the_store_raised(
    bot: Bot[Message], chat: Chat, store: SwapStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there was a session, too: the context then has none."""
    bot.on_event(count)

    async def fail(session_id: str) -> None:
        raise StoreUnavailableError("no route")

    @bot.on_error
    async def sorry(context: Context[Message], error: Exception) -> None:
        with pytest.raises(TurnEndedError, match="chat:ann"):
            _ = context.state
        await context.send_text(f"sorry: {error}")

    monkeypatch.setattr(store, "read", fail)
    await bot.handle(Message("ann", ""))

    assert chat.sent == [("ann", "sorry: no route")]


async def test_a_bot_has_one_handler(bot: Bot[Message]) -> None:
    """None and two are errors that say what to do."""
    with pytest.raises(InvalidOptionError, match=r"@bot\.on_event"):
        await bot.handle(Message("ann", ""))

    bot.on_event(count)
    with pytest.raises(InvalidOptionError, match="a handler already"):
        bot.on_event(count)

    async def sorry(context: Context[Message], error: Exception) -> None: ...

    bot.on_error(sorry)
    with pytest.raises(InvalidOptionError, match="an error handler already"):
        bot.on_error(sorry)


async def test_the_store_is_chosen_before_the_first_event(bot: Bot[Message], store: SwapStore) -> None:
    """Later it is an error: sessions would be in two places."""
    other = type(store)()
    bot.use_store(other)
    bot.on_event(count)
    await bot.handle(Message("ann", ""))
    assert list(other.records) == ["chat:ann"]

    with pytest.raises(InvalidOptionError, match="already"):
        bot.use_store(store)


async def test_the_initial_state_may_change_while_the_bot_runs(bot: Bot[Message], chat: Chat) -> None:
    """New sessions start with it; those that are stored keep what they have."""
    bot.on_event(count)
    await bot.handle(Message("ann", ""))
    bot.set_initial_state({"n": 100})
    await bot.handle(Message("ann", ""))
    await bot.handle(Message("bob", ""))

    assert chat.sent == [("ann", " 1"), ("ann", " 2"), ("bob", " 101")]


def test_a_bot_has_all_options_of_its_sessions() -> None:
    """By the same names: whoever needs one does not have to leave `Bot` for it."""
    options = {name for name, kind in signature(Sessions).parameters.items() if kind.kind is kind.KEYWORD_ONLY}

    assert set(SessionsOptions.__annotations__) == options


async def test_the_options_of_a_bot_are_those_of_its_sessions(chat: Chat, store: SwapStore) -> None:
    """Whichever store it gets, and when."""
    bot = Bot(chat, session_store=type(store)(), initial_state={"n": 41}, max_payload_bytes=200, save_on_error=True)
    bot.use_store(store)

    @bot.on_event
    async def handle(context: Context[Message]) -> None:
        await count(context)
        if context.event.text == "long":
            context.set_state(text="x" * 300)
        raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        await bot.handle(Message("ann", ""))
    with pytest.raises(SessionTooLargeError, match="at most 200"):
        await bot.handle(Message("ann", "long"))

    assert [text for _, text in chat.sent] == [" 42", "long 43"]
    snapshot = await bot.sessions.peek("chat:ann")
    assert snapshot is not None
    assert snapshot.state == {"n": 42}


@pytest.mark.parametrize("make", [partial(Bot, Chat()), ConsoleBot])
def test_a_bot_takes_a_ready_engine(make: Callable[..., Bot[Any]], store: SwapStore) -> None:
    """And nothing beside it that the engine has of its own."""
    sessions = Sessions(store)
    assert make(sessions=sessions).sessions is sessions

    for others in ({"session_store": store}, {"on_conflict": "raise"}, {"initial_state": None}):
        with pytest.raises(InvalidOptionError, match=f"'sessions'.*leave out {next(iter(others))}"):
            make(sessions=sessions, **others)
    with pytest.raises(InvalidOptionError, match="type str"):
        make(sessions="memory://")
    with pytest.raises(InvalidOptionError, match="already"):
        make(sessions=sessions).use_store(store)


@pytest.mark.parametrize("make", [partial(Bot, Chat()), ConsoleBot])
def test_wrong_options_are_errors_where_the_bot_is_made(make: Callable[..., Bot[Any]], store: SwapStore) -> None:
    """And not at the first event."""
    with pytest.raises(InvalidOptionError, match="max_attempts"):
        make(session_store=store, max_attempts=0)
    with pytest.raises(InvalidStateError):
        make(session_store=store, initial_state={"when": object()})
    with pytest.raises(TypeError, match="on_conflicts"):
        make(on_conflicts="raise")
