"""The bot that `palaver chat` runs: it asks for a nickname and remembers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.bot.console import ConsoleBot, TextEvent

if TYPE_CHECKING:
    from palaver.bot.context import Context

__all__ = ("bot",)

bot = ConsoleBot()
bot.set_initial_state({"asking": False, "nickname": None})


@bot.on_event
async def handle(context: Context[TextEvent]) -> None:
    """Ask for the nickname, then greet by it."""
    if context.state["asking"]:
        context.set_state(nickname=context.event.text, asking=False)
        await context.send_text(f"Hello {context.state['nickname']}")
    else:
        context.reset_state()
        context.set_state(asking=True)
        await context.send_text("Hi, what's your nickname?")
