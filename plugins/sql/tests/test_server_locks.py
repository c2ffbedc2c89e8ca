"""A session whose row somebody else keeps locked: all others are saved, and it alone waits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from plugins.sql.tests.harness import connected

from palaver import Sessions
from palaver.contract.record import ABSENT, Record, new_version
from palaver.errors import StoreUnavailableError
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from palaver_sql._statements import Swap


def make() -> Record:
    return Record(b"{}", new_version(), None)


@asynccontextmanager
async def locked(url: str, session_id: str) -> AsyncIterator[None]:
    """Hold the row of a session in a transaction of somebody else's."""
    async with connected(url) as connection:
        await connection.exec_driver_sql("BEGIN")
        await connection.exec_driver_sql(
            f"SELECT version FROM palaver_sessions WHERE namespace = '' AND session_id = '{session_id}' FOR UPDATE"
        )
        try:
            yield
        finally:
            await connection.exec_driver_sql("ROLLBACK")


async def test_turns_beside_a_locked_session(url: str) -> None:
    """Of turns that are saved together, the one whose session is locked fails alone, and is named."""
    ids = [f"user:{number}" for number in range(20)]
    store = SQLSessionStore(url, timeout=2)
    async with Sessions(store, patience=0) as sessions:

        async def count(session_id: str, number: int) -> None:
            async with sessions.turn(session_id) as session:
                session.set_state(count=number)

        await asyncio.gather(*(count(session_id, 1) for session_id in ids))

        async with locked(url, "user:7"):
            turns = {session_id: asyncio.ensure_future(count(session_id, 2)) for session_id in ids}
            others = [turn for session_id, turn in turns.items() if session_id != "user:7"]
            await asyncio.gather(*others)
            assert not turns["user:7"].done()
            with pytest.raises(StoreUnavailableError, match="kept it locked for too long") as caught:
                await turns["user:7"]
        assert caught.value.session_id == "user:7"
        await count("user:7", 2)
        for session_id in ids:
            async with sessions.turn(session_id) as session:
                assert session.state["count"] == 2


async def test_batch_waits_for_a_short_lock(url: str) -> None:
    """A batch gets a row that is free again soon, and swaps of one id keep their order."""
    async with SQLSessionStore(url) as store:
        old, new, newer = make(), make(), make()
        await store.write_many([("a", old), ("b", old)])
        batch: list[Swap] = [
            ("a", new, old.version),
            ("b", new, old.version),
            ("a", newer, new.version),
            ("c", new, ABSENT),
        ]
        async with locked(url, "a"):
            swapping = asyncio.ensure_future(store.swap_many(batch))
            async with asyncio.timeout(10):
                while await store.read("b") != new:
                    pass
            assert await store.read("a") == old
        assert await swapping == [True] * 4
        assert await store.read_many(["a", "b", "c"]) == [newer, new, new]


@pytest.mark.parametrize("verb", ["write", "swap", "remove", "touch", "destroy"])
async def test_locked_session_is_named(url: str, verb: str) -> None:
    """Each verb of one session names it in the error, when its row stays locked."""
    async with SQLSessionStore(url, timeout=2) as store:
        record = make()
        await store.write("a", record)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "write": lambda: store.write("a", make()),
            "swap": lambda: store.swap("a", make(), record.version),
            "remove": lambda: store.remove("a", record.version),
            "touch": lambda: store.touch("a", 4_102_444_800_000),
            "destroy": lambda: store.destroy("a"),
        }
        async with locked(url, "a"):
            with pytest.raises(StoreUnavailableError, match="kept it locked") as caught:
                await calls[verb]()
        assert caught.value.session_id == "a"
        assert await store.read("a") == record


@asynccontextmanager
async def about_to_be_made(url: str, session_id: str) -> AsyncIterator[None]:
    """Hold a row that a transaction of somebody else's has inserted and not yet committed."""
    async with connected(url) as connection:
        await connection.exec_driver_sql("BEGIN")
        await connection.exec_driver_sql(
            "INSERT INTO palaver_sessions (namespace, session_id, payload, version, expires_at, due_at) "
            f"VALUES ('', '{session_id}', '', 'v', NULL, NULL)"
        )
        try:
            yield
        finally:
            await connection.exec_driver_sql("ROLLBACK")


@pytest.mark.parametrize("hold", [locked, about_to_be_made])
@pytest.mark.parametrize("verb", ["write", "swap"])
async def test_the_others_of_a_batch_are_saved(url: str, verb: str, hold: Callable[..., Any]) -> None:
    """Whether a row is locked or about to be made by somebody: it is named, the others of the batch are saved."""
    ids = [f"u{number}" for number in range(6)]
    old, new = {each: make() for each in ids}, {each: make() for each in ids}
    async with SQLSessionStore(url, timeout=2) as store:
        await store.write_many([(each, old[each]) for each in ids if each != "u3" or hold is locked])
        before = await store.read("u3")
        async with hold(url, "u3"):
            with pytest.raises(StoreUnavailableError, match="kept it locked for too long") as caught:
                if verb == "write":
                    await store.write_many(list(new.items()))
                else:
                    swaps: list[Swap] = [(each, new[each], old[each].version) for each in ids if each != "u3"]
                    await store.swap_many([*swaps, ("u3", new["u3"], ABSENT if before is None else before.version)])
            assert caught.value.session_id == "u3"
            assert await store.read_many(ids) == [before if each == "u3" else new[each] for each in ids]
        await store.write("u3", new["u3"])
        assert await store.read("u3") == new["u3"]
