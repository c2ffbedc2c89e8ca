"""The first promise: no update is lost, in one process and among many."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Final

import pytest

from palaver import ConflictError, Sessions, open_store

PROCESSES: Final = 8
TURNS: Final = 500

COUNT_UP: Final = """
import asyncio, sys
from palaver import Sessions, open_store

async def main(url, turns):
    async with Sessions(open_store(url), initial_state={"n": 0}) as sessions:
        for _ in range(int(turns)):
            async with sessions.turn("console:1") as session:
                session.set_state(lambda state: {"n": state["n"] + 1})

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.long
@pytest.mark.timeout(300)
def test_eight_processes_count_one_session_up(persistent_url: str) -> None:
    """Every turn of every process is counted."""
    command = [sys.executable, "-c", COUNT_UP, persistent_url, str(TURNS)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    errors = [process.communicate()[1] for process in running]

    assert errors == [""] * PROCESSES
    assert asyncio.run(_count(persistent_url)) == PROCESSES * TURNS


async def test_a_thousand_concurrent_turns_of_one_session(store_url: str) -> None:
    """Every turn is counted, in the order of arrival."""
    async with Sessions(open_store(store_url), initial_state={"seen": []}) as sessions:

        async def turn(number: int) -> None:
            async with sessions.turn("console:1") as session:
                session.state["seen"].append(number)

        await asyncio.gather(*map(turn, range(1000)))

        async with sessions.turn("console:1") as session:
            assert session.state["seen"] == list(range(1000))


async def test_two_engines_on_one_store(store_url: str) -> None:
    """Without one queue for both, compare-and-swap keeps every change."""
    async with open_store(store_url) as store:
        engines = [Sessions(store, initial_state={"n": 0}) for _ in range(2)]

        async def turn(number: int) -> None:
            async with engines[number % 2].turn("console:1") as session:
                session.set_state(lambda state: {"n": state["n"] + 1})
                session.state[f"key {number}"] = number

        await asyncio.gather(*map(turn, range(100)))

        async with engines[0].turn("console:1") as session:
            assert session.state == {"n": 100} | {f"key {number}": number for number in range(100)}


async def test_two_engines_append_to_one_list(store_url: str) -> None:
    """Every item is kept, and so is every nested key."""
    async with open_store(store_url) as store:
        engines = [Sessions(store, initial_state={"history": [], "seen": {}}) for _ in range(2)]

        async def turn(number: int) -> None:
            async with engines[number % 2].turn("console:1") as session:
                session.state["history"].append(number)
                session.state["seen"][str(number)] = True

        await asyncio.gather(*map(turn, range(60)))

        async with engines[0].turn("console:1") as session:
            assert sorted(session.state["history"]) == list(range(60))
            assert session.state["seen"] == {str(number): True for number in range(60)}


async def test_a_token_is_consumed_once(store_url: str) -> None:
    """Of two engines that read a session and destroy it, one succeeds and the other is told."""
    async with open_store(store_url) as store:
        engines = [Sessions(store) for _ in range(2)]
        consumed = []

        async def consume(engine: Sessions, number: int) -> None:
            async with engine.turn(f"token:{number}") as session:
                token = session.state.get("token")
                session.destroy()
            if token is not None:
                consumed.append(token)

        for number in range(20):
            async with engines[0].turn(f"token:{number}") as session:
                session.set_state(token=number)
            outcomes = await asyncio.gather(*(consume(engine, number) for engine in engines), return_exceptions=True)
            assert all(outcome is None or isinstance(outcome, ConflictError) for outcome in outcomes)

        assert consumed == list(range(20))


async def _count(url: str) -> int:
    async with Sessions(open_store(url)) as sessions, sessions.turn("console:1") as session:
        count: int = session.state["n"]
        return count
