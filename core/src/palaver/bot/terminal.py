"""Line editing and history for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from platformdirs import user_state_path
from prompt_toolkit import PromptSession
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings

if TYPE_CHECKING:
    from prompt_toolkit.key_binding.key_processor import KeyPressEvent

__all__ = ("prompt_session",)

_HISTORY_NAME: Final = "chat_history"


def prompt_session() -> PromptSession[str]:
    """Make a prompt whose history is kept from one run to the next, where that is possible.

    Ctrl-C clears a line that is half typed; on an empty one it raises `KeyboardInterrupt`, as Ctrl-D raises `EOFError`.
    """
    return PromptSession(history=_history(), key_bindings=_keys())


def _keys() -> KeyBindings:
    keys = KeyBindings()

    # Not while a search in the history has the focus, which Ctrl-C ends.
    @keys.add("c-c", filter=has_focus(DEFAULT_BUFFER))
    @keys.add("<sigint>")
    def clear_or_leave(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys


def _history() -> History:
    try:
        path = user_state_path("palaver", ensure_exists=True) / _HISTORY_NAME
        path.touch(mode=0o600)
    except OSError:
        # A home that cannot be written to costs the history of earlier runs, not the conversation.
        return InMemoryHistory()
    return FileHistory(path)
