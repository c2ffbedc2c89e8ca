"""Line editing and history for a person at a terminal."""

from __future__ import annotations

from typing import Final

from platformdirs import user_state_path
from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

__all__ = ("prompt_session",)

_HISTORY_NAME: Final = "chat_history"


def prompt_session() -> PromptSession[str]:
    """Make a prompt whose history is kept from one run to the next, where that is possible."""
    return PromptSession(history=_history())


def _history() -> History:
    try:
        path = user_state_path("palaver", ensure_exists=True) / _HISTORY_NAME
        path.touch(mode=0o600)
    except OSError:
        # A home that cannot be written to costs the history of earlier runs, not the conversation.
        return InMemoryHistory()
    return FileHistory(path)
