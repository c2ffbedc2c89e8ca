"""The conversation that the project started from, word for word, on every store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import ConsoleBot, TextEvent, open_store

if TYPE_CHECKING:
    import pytest

    from palaver import Context


async def test_the_nickname_conversation(store_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The bot asks, is told, greets, and starts again."""
    bot = ConsoleBot(session_store=open_store(store_url))
    bot.set_initial_state({"asking": False, "nickname": None})

    @bot.on_event
    async def handle(context: Context[TextEvent]) -> None:
        if context.state["asking"]:
            context.set_state(nickname=context.event.text, asking=False)
            await context.send_text(f"Hello {context.state['nickname']}")
        else:
            context.reset_state()
            context.set_state(asking=True)
            await context.send_text("Hi, what's your nickname?")

    async with bot:
        for line in ("Hi", "Tim", "Hi again"):
            await bot.handle(TextEvent(line))
        async with bot.sessions.turn("console:1") as session:
            assert session.state == {"asking": True, "nickname": None}

    assert capsys.readouterr().out.splitlines() == [
        "Bot > Hi, what's your nickname?",
        "Bot > Hello Tim",
        "Bot > Hi, what's your nickname?",
    ]
