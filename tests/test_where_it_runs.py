"""Where Python runs: several event loops, threads, and forked processes, on every store."""

from __future__ import annotations

import subprocess
import sys
from typing import Final
from uuid import uuid4

import pytest

BEGIN: Final = """
import asyncio, gc, os, sys, threading
from palaver import Sessions, WrongLoopError, open_store

sessions = Sessions(open_store(sys.argv[1]), initial_state={"n": 0})

async def visit(session_id="u:1"):
    async with sessions.turn(session_id) as session:
        session.state["n"] += 1
        return session.state["n"]

async def visits(count=12):
    return await asyncio.gather(*(visit(f"u:{number}") for number in range(count)))

def descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
"""

SEVERAL_RUNS: Final = """
print([asyncio.run(visit()) for _ in range(3)])
asyncio.run(visits())
gc.collect()
before = descriptors()
for _ in range(3):
    asyncio.run(visits())
gc.collect()
print(asyncio.run(visit()), descriptors() - before)
"""

CLOSED_LOOPS: Final = """
def in_a_loop_of_its_own(work):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()

print([in_a_loop_of_its_own(visit()) for _ in range(3)])
in_a_loop_of_its_own(visits())
gc.collect()
before = descriptors()
for _ in range(3):
    in_a_loop_of_its_own(visits())
asyncio.run(sessions.close())
gc.collect()
print(descriptors() <= before)
"""

TWO_THREADS: Final = """
is_open, may_end = threading.Event(), threading.Event()

async def first():
    try:
        await visits()
    finally:
        is_open.set()
    await asyncio.to_thread(may_end.wait)
    print(await visit())

async def second():
    try:
        await visit()
    except WrongLoopError as error:
        print("still runs" in str(error))
    finally:
        may_end.set()

threads = [threading.Thread(target=lambda: asyncio.run(first()))]
threads[0].start()
is_open.wait()
asyncio.run(second())
threads[0].join()
print(asyncio.run(visit()))
"""

CLOSING: Final = """
async def slow(number, begun):
    async with sessions.turn(f"u:{number}") as session:
        begun.set()
        await asyncio.sleep(0.05)
        session.state["n"] += 1

async def main():
    begun = [asyncio.Event() for _ in range(5)]
    turns = [asyncio.create_task(slow(*each)) for each in enumerate(begun)]
    await asyncio.gather(*(each.wait() for each in begun))
    await sessions.close()
    print([turn.exception() for turn in turns])
    async with sessions:
        print(await visits(5))

asyncio.run(main())
"""

TOLD_TO_STOP: Final = """
import signal
from palaver import Bot

class Platform:
    def session_id(self, event):
        return f"u:{event}"

    async def send_text(self, event, text):
        print(text, flush=True)

bot = Bot(Platform(), sessions=sessions)

@bot.on_event
async def handle(context):
    if context.event == 4:
        os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.05)
    context.set_state(n=7)

async def events():
    for number in range(5):
        yield number
    await asyncio.Event().wait()

async def look():
    async with Sessions(open_store(sys.argv[1])) as other:
        return [(await other.peek(f"u:{number}")).state["n"] for number in range(5)]

asyncio.run(bot.serve(events()))
print(asyncio.run(look()))
"""

FORK: Final = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads is forked: that is what is tried

async def main():
    async with sessions:
        await visits()
        running = asyncio.create_task(visits(5))
        await asyncio.sleep(0)  # calls are on their way
        pid = os.fork()
        if pid == 0:
            asyncio.events._set_running_loop(None)
            code = 1
            try:
                loop = asyncio.new_event_loop()
                code = 0 if loop.run_until_complete(asyncio.wait_for(child(), 30)) == [1] * 5 else 2
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        await running
        print(os.waitstatus_to_exitcode(status), await visits(), await asyncio.gather(*map(visit, CHILDREN)))

CHILDREN = [f"child:{number}" for number in range(5)]

async def child():
    for _ in range(3):
        await visit("both")
    return await asyncio.gather(*map(visit, CHILDREN))

asyncio.run(main())

async def both():
    async with Sessions(open_store(sys.argv[1])) as other:
        async with other.turn("both") as session:
            return session.state

print(asyncio.run(both()))
"""


def run(script: str, url: str, *, is_quiet: bool = True) -> str:
    """Run a script with all warnings as errors; if it is quiet, nothing is ignored or was never closed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + script, url],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert not is_quiet or done.stderr == ""
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def url(store_url: str) -> str:
    """The URL of an empty store of each kind."""
    return store_url


@pytest.fixture
def psycopg_url(postgresql_url: str) -> str:
    """PostgreSQL, with the other client library."""
    separator = "&" if "?" in postgresql_url else "?"
    return f"{postgresql_url.replace('postgresql:', 'postgresql+psycopg:')}{separator}namespace={uuid4().hex}"


def test_several_runs(url: str) -> None:
    """Each `asyncio.run` goes on where the last one ended, with nothing left over."""
    assert run(SEVERAL_RUNS, url).splitlines() == ["[1, 2, 3]", "8 0"]


def test_several_loops_that_are_just_closed(url: str) -> None:
    """So it does where nobody lets the event loop end properly."""
    if url.startswith("mongodb:"):
        # The tasks in which pymongo watches its servers cannot be ended there; Python complains of each.
        assert run(CLOSED_LOOPS, url, is_quiet=False).splitlines()[0] == "[1, 2, 3]"
        return
    assert run(CLOSED_LOOPS, url).splitlines() == ["[1, 2, 3]", "True"]


def test_two_threads(url: str) -> None:
    """The second one is told so at once, the first is not disturbed, and afterwards anybody may go on."""
    assert run(TWO_THREADS, url).splitlines() == ["True", "2", "3"]


def test_fork(url: str) -> None:
    """Parent and child both count, whatever was on its way at the fork."""
    first, second = run(FORK, url).splitlines()
    if url.startswith("memory:"):
        assert first == f"0 {[3] * 5 + [2] * 7} {[1] * 5}"
        return
    assert first == f"0 {[3] * 5 + [2] * 7} {[2] * 5}"
    assert second == "{'n': 3}"


def test_closing_while_turns_run(url: str) -> None:
    """They end and save first, and what was saved is there when the store is opened again."""
    assert run(CLOSING, url).splitlines() == [str([None] * 5), str([2] * 5)]


def test_a_bot_that_is_told_to_stop(url: str) -> None:
    """SIGTERM, as from a deploy: what has begun is saved."""
    if url.startswith("memory:"):
        pytest.skip("what it keeps ends with it")
    assert run(TOLD_TO_STOP, url).splitlines() == ["[7, 7, 7, 7, 7]"]


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        (SEVERAL_RUNS, ["[1, 2, 3]", "8 0"]),
        (CLOSED_LOOPS, ["[1, 2, 3]", "True"]),
        (TWO_THREADS, ["True", "2", "3"]),
        (CLOSING, [str([None] * 5), str([2] * 5)]),
        (TOLD_TO_STOP, ["[7, 7, 7, 7, 7]"]),
        (FORK, [f"0 {[3] * 5 + [2] * 7} {[2] * 5}", "{'n': 3}"]),
    ],
    ids=["several runs", "closed loops", "two threads", "closing", "told to stop", "fork"],
)
def test_the_other_client_library_of_postgresql(psycopg_url: str, script: str, printed: list[str]) -> None:
    """All of it holds there, too."""
    assert run(script, psycopg_url).splitlines() == printed
