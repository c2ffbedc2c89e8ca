"""`palaver chat`, as a person and as a script would use it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ECHO_BOT = """
from palaver import ConsoleBot

bot = ConsoleBot()
bot.set_initial_state({"n": 0})

@bot.on_event
async def handle(context):
    if context.event.text == "fail":
        raise ValueError("as you wish")
    context.state["n"] += 1
    await context.send_text(f"{context.state['n']}: {context.event.text}")

if __name__ == "__main__":
    bot.run()
"""

SIGNALLED_BOT = ECHO_BOT.replace(
    "async def handle(context):",
    "async def handle(context):\n"
    "    import asyncio, os, signal\n"
    "    os.kill(os.getpid(), signal.SIGTERM)\n"
    "    await asyncio.sleep(0.05)",
)


@pytest.fixture
def chat(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `palaver chat` in an empty folder, with lines from a pipe."""

    def chat(*arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "palaver", "chat", *arguments],
            input=lines,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            timeout=60,
            check=False,
        )

    return chat


def test_the_bot_talks(chat: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Each line of a pipe is answered, without prompts; where sessions are kept is said beside the conversation."""
    done = chat(lines="hi\nTim\n")

    assert done.returncode == 0
    assert done.stdout == "Bot > Hi, what's your nickname?\nBot > Hello Tim\n"
    assert "Sessions are kept in MemorySessionStore." in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal on Windows")
def test_a_chat_that_is_told_to_stop(chat: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """The line that is being handled is answered and saved, and is the last one."""
    (tmp_path / "signalled_bot.py").write_text(SIGNALLED_BOT)
    url = f"file:{tmp_path / 'sessions'}"
    done = chat("signalled_bot:bot", "--store", url, lines="hello\nworld\n")
    state = chat("signalled_bot:bot", "--store", url, lines="/state\n")

    assert (done.returncode, done.stdout) == (0, "Bot > 1: hello\n")
    assert json.loads(state.stdout) == {"n": 1}


def test_the_bot_remembers(chat: Callable[..., subprocess.CompletedProcess[str]], persistent_url: str) -> None:
    """A second run on the same store knows what the first was told."""
    first = chat("--store", persistent_url, lines="hi\nTim\n")
    second = chat("--store", persistent_url, lines="/state\n/session\n")

    assert first.stdout.splitlines() == ["Bot > Hi, what's your nickname?", "Bot > Hello Tim"]
    state, session = second.stdout.replace("}\n{", "}\n\n{").split("\n\n")
    assert json.loads(state) == {"asking": False, "nickname": "Tim"}
    assert json.loads(session)["id"] == "console:1"
    assert set(json.loads(session)) == {"id", "created", "last_activity", "expires_at"}


def test_a_conversation_can_stop_in_the_middle(chat: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The second run answers the question that the first was asked."""
    chat("--store", "file:.sessions", lines="hi\n")

    assert chat("--store", "file:.sessions", lines="Tim\n").stdout == "Bot > Hello Tim\n"


def test_sessions_are_apart(chat: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Another --session is another conversation."""
    chat("--store", "file:.sessions", "--session", "console:ann", lines="hi\nAnn\n")
    other = chat("--store", "file:.sessions", "--session", "console:bob", lines="hi\n/state\n")

    assert other.stdout.startswith("Bot > Hi, what's your nickname?")
    assert json.loads(other.stdout.partition("\n")[2]) == {"asking": True, "nickname": None}


def test_looking_makes_no_session(chat: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """/state and /session say that there is none, and there is none afterwards either."""
    done = chat("--store", "file:.sessions", lines="/state\n/session\n/state\n")

    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr.count("There is no session 'console:1' yet.") == 3


def test_looking_renews_no_session(chat: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """A session that lives for an hour is not made to live for a year by a look without that option."""
    chat("--store", "file:.sessions?ttl=3600", lines="hi\n")
    looks = [chat("--store", "file:.sessions", lines="/state\n/session\n").stdout for _ in range(2)]

    session = json.loads(looks[1][looks[1].index("}") + 1 :])
    life = datetime.fromisoformat(session["expires_at"]) - datetime.fromisoformat(session["last_activity"])
    assert life == timedelta(hours=1)
    assert looks[0] == looks[1]


def test_reset_and_exit(chat: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """/reset sets the state back; after /exit nothing is read."""
    done = chat(lines="hi\n/reset\n/state\n/exit\nhi\n")

    assert '"asking": false' in done.stdout
    assert done.stdout.count("nickname?") == 1


BROKEN_BOT = """
import helper

bot = helper.make()
"""
HELPER = """
def make():
    return 1 / 0
"""


def test_an_error_in_the_module_of_the_bot_shows_where(
    chat: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """From the first line of the author's on, without what Python and Palaver do to import it."""
    (tmp_path / "my_bot.py").write_text(BROKEN_BOT, encoding="utf-8")
    (tmp_path / "helper.py").write_text(HELPER, encoding="utf-8")
    (tmp_path / "typo.py").write_text("bot = = 1\n", encoding="utf-8")
    (tmp_path / "needs.py").write_text("import no_such_library\n", encoding="utf-8")

    done = chat("my_bot:bot", lines="hi\n")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the module 'my_bot' cannot be imported\n")
    assert re.findall(r'File ".*?(\w+\.py)", line (\d+)', done.stderr) == [("my_bot.py", "4"), ("helper.py", "3")]
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")

    for module, line, error in [("typo", 1, "SyntaxError"), ("needs", 1, "ModuleNotFoundError")]:
        done = chat(f"{module}:bot", lines="hi\n")
        assert re.findall(r'File ".*?(\w+\.py)", line (\d+)', done.stderr) == [(f"{module}.py", str(line))]
        assert error in done.stderr


def test_a_bot_that_is_not_there_names_those_that_are(
    chat: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """As one would write them."""
    (tmp_path / "my_bot.py").write_text("from palaver import ConsoleBot\na = ConsoleBot()\nb = ConsoleBot()\n")

    done = chat("my_bot:nope", lines="hi\n")

    assert done.returncode != 0
    assert "there is no 'my_bot:nope'; there is my_bot:a, my_bot:b" in done.stderr


def test_any_bot_can_be_talked_to(chat: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """A module in the folder, by name."""
    (tmp_path / "my_bot.py").write_text(ECHO_BOT, encoding="utf-8")

    done = chat("my_bot:bot", "--store", "file:.sessions", lines="a\nb\n")

    assert done.stdout == "Bot > 1: a\nBot > 2: b\n"


def test_a_bot_runs_by_itself(tmp_path: Path) -> None:
    """`bot.run()` is the same conversation."""
    script = tmp_path / "my_bot.py"
    script.write_text(ECHO_BOT, encoding="utf-8")

    done = subprocess.run([sys.executable, script], input="a\n", capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "Bot > 1: a\n"


def test_a_handler_that_fails_is_shown_and_the_conversation_goes_on(
    chat: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A script can tell by the exit code."""
    (tmp_path / "my_bot.py").write_text(ECHO_BOT, encoding="utf-8")

    done = chat("my_bot:bot", lines="a\nfail\nb\n")

    assert done.stdout == "Bot > 1: a\nBot > 2: b\n"
    assert "as you wish" in done.stderr
    assert re.findall(r'File ".*?(\w+\.py)", line (\d+)', done.stderr) == [("my_bot.py", "10")]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--store", "nonsense"], "begins with a scheme"),
        (["--store", "xyzzy://"], "no driver is installed"),
        (["--store", "memory://?ttl=0"], "ttl"),
        (["--session", ""], "empty"),
        (["my_bot"], "MODULE:BOT"),
        (["no_such_module:bot"], "no module 'no_such_module'"),
        (["json:dumps"], "not a bot"),
        (["json:nothing"], "there is no 'json:nothing'; no bot is in 'json'"),
    ],
)
def test_bad_input_is_a_clear_error(
    chat: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str], words: str
) -> None:
    """What is wrong and what to write, without a traceback."""
    done = chat(*arguments, lines="hi\n")

    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_store_that_cannot_be_opened_is_a_clear_error(
    chat: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A file where the folder should be, and what is no database."""
    (tmp_path / ".sessions").write_text("not a folder", encoding="utf-8")
    (tmp_path / "bot.db").write_text("not a database, but long enough to be looked at " * 100, encoding="utf-8")

    for url in ("file:.sessions", "sqlite:///bot.db"):
        done = chat("--store", url, lines="hi\n")

        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr
        assert "<" not in done.stderr, "a repr is for programmers"
    assert (tmp_path / ".sessions").read_text(encoding="utf-8") == "not a folder"


def test_drivers_lists_what_is_installed() -> None:
    """Scheme, distribution and version."""
    done = subprocess.run([sys.executable, "-m", "palaver", "drivers"], capture_output=True, text=True, check=True)

    listed = {tuple(line.split()[:2]) for line in done.stdout.splitlines()}
    assert listed >= {("memory", "palaver-memory"), ("file", "palaver-file"), ("sqlite", "palaver-sql")}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Any]:
    """`palaver chat` on a terminal."""
    if os.name == "nt":
        pytest.skip("pseudo-terminals are POSIX")
    import pexpect

    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TERM": "xterm",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }
    terminal = pexpect.spawn(
        sys.executable, ["-m", "palaver", "chat"], cwd=str(tmp_path), env=environment, encoding="utf-8", timeout=30
    )
    terminal.expect("You >")
    yield terminal
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_a_person_at_a_terminal(terminal: Any, tmp_path: Path) -> None:
    """There is a prompt, the line above can be edited and sent again, and Ctrl-D ends the conversation."""
    terminal.sendline("hi")
    terminal.expect("Bot > Hi, what's your nickname")
    terminal.expect("You >")
    terminal.sendline("Tim")
    terminal.expect("Bot > Hello Tim")
    terminal.expect("You >")
    terminal.send("\x1b[A\r")  # the line above: Tim
    terminal.expect("Bot > Hi, what's your nickname")
    terminal.expect("You >")
    terminal.send("\x04")
    assert list((tmp_path / "state").rglob("chat_history"))


def test_ctrl_c_clears_a_line_and_ends_the_chat_on_an_empty_one(terminal: Any) -> None:
    """As a shell clears it; the conversation goes on with what is typed next."""
    terminal.sendline("hi")
    terminal.expect("Bot > Hi, what's your nickname")
    terminal.expect("You >")
    terminal.send("Jo\x03Tim\r")
    terminal.expect("Bot > Hello Tim")
    terminal.expect("You >")
    terminal.send("\x03")
