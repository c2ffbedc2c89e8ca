"""What only the memory store promises: a limit, and names."""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver import ABSENT, InvalidOptionError, ManualClock, Record, StoreClosedError, new_version, open_store
from palaver_memory import MemorySessionStore

_names = count()


def record(payload: bytes = b"{}", *, expires_at: int | None = None) -> Record:
    return Record(payload, new_version(), expires_at)


def fresh_name() -> str:
    return f"test-{next(_names)}"


async def test_the_least_recently_used_session_is_forgotten() -> None:
    """Reading and writing are uses; what was used longest ago goes first."""
    async with MemorySessionStore(max_sessions=2) as store:
        await store.write("a", record())
        await store.write("b", record())
        await store.read("a")
        await store.write("c", record())

        assert await store.read("b") is None
        assert await store.read("a") is not None
        assert await store.read("c") is not None


async def test_the_first_forgotten_session_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A limit that is reached silently would be lost data; said each time, it would fill the log."""
    with caplog.at_level(logging.WARNING):
        async with MemorySessionStore(max_sessions=1) as store:
            for session_id in "abc":
                await store.write(session_id, record(b"secret"))

    assert len(caplog.records) == 1
    assert "more than 1 sessions" in caplog.text
    assert "max_sessions" in caplog.text
    assert "secret" not in caplog.text


async def test_ten_thousand_sessions_are_kept_unless_told_otherwise() -> None:
    """The default of max_sessions."""
    async with MemorySessionStore() as store:
        await store.write_many([(str(number), record()) for number in range(10_001)])

        assert len([session_id async for session_id in store.scan()]) == 10_000


@pytest.mark.parametrize("max_sessions", [0, -1, 1.5, "5", True])
def test_a_limit_that_means_nothing_is_refused(max_sessions: Any) -> None:
    """It is a number of sessions."""
    with pytest.raises(InvalidOptionError, match="max_sessions"):
        MemorySessionStore(max_sessions=max_sessions)


async def test_stores_of_one_name_share_their_sessions() -> None:
    """Within the process; stores without a name, or with another, are alone."""
    name = fresh_name()
    async with (
        MemorySessionStore(name) as one,
        open_store(f"memory://{name}") as two,
        MemorySessionStore(fresh_name()) as other,
        MemorySessionStore() as alone,
    ):
        await one.write("a", written := record())

        assert await two.read("a") == written
        assert await other.read("a") is None
        assert await alone.read("a") is None
        assert one.capabilities.shared
        assert not alone.capabilities.shared


async def test_a_name_keeps_its_sessions_when_no_store_is_open() -> None:
    """As a file does, for as long as the process runs."""
    name = fresh_name()
    async with MemorySessionStore(name) as store:
        await store.write("a", written := record())
    async with MemorySessionStore(name) as store:
        assert await store.read("a") == written


def test_a_name_has_one_limit() -> None:
    """A second store may leave it open, or say the same."""
    name = fresh_name()
    MemorySessionStore(name, max_sessions=5)
    MemorySessionStore(name)
    MemorySessionStore(name, max_sessions=5)

    with pytest.raises(InvalidOptionError, match="5 sessions already"):
        MemorySessionStore(name, max_sessions=6)


async def test_options_come_with_the_url() -> None:
    """The limit, the ttl and the namespace."""
    store = open_store("memory://?max_sessions=1&ttl=60&namespace=bot")

    assert store.namespace == "bot"
    assert store.expiry(0) == 60_000
    async with store:
        await store.write("a", record())
        await store.write("b", record())
        assert await store.read("a") is None


async def test_an_expired_session_is_gone_on_every_path() -> None:
    """At its instant, for reading, swapping, touching, scanning and counting."""
    clock = ManualClock(1000)
    async with MemorySessionStore(clock=clock) as store:
        await store.write("a", old := record(expires_at=2000))
        clock.advance(1)

        assert await store.read("a") is None
        assert await store.read_many(["a"]) == [None]
        assert [session_id async for session_id in store.scan()] == []
        assert not await store.touch("a", 9000)
        assert not await store.swap("a", record(), old.version)
        assert await store.clear() == 0
        await store.write("a", old)
        assert await store.purge() == 1
        assert await store.purge() == 0
        assert await store.swap("a", record(), ABSENT)


class Watched(int):
    """An expiry that counts how often it is compared with the time."""

    looks = 0

    def __le__(self, other: object) -> bool:
        type(self).looks += 1
        return super().__le__(other)  # type: ignore[operator]


async def test_a_purge_looks_only_at_what_is_due() -> None:
    """It costs what has expired, not what is there."""
    clock = ManualClock()
    soon, later = clock.now() + 1000, clock.now() + 3_600_000
    async with MemorySessionStore(clock=clock) as store:
        await store.write_many([(f"live {number}", record(expires_at=Watched(later))) for number in range(300)])
        await store.write_many([(f"eternal {number}", record()) for number in range(300)])
        await store.write_many([(f"due {number}", record(expires_at=Watched(soon))) for number in range(3)])
        clock.advance(1)
        Watched.looks = 0

        assert await store.purge() == 3
        assert Watched.looks == 3
        assert len([session_id async for session_id in store.scan()]) == 600


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(-200, 200), st.integers(0, 100))))
def test_however_expiries_move_a_purge_is_exact(writes: list[tuple[str, int | None, int]]) -> None:
    """To another time, to never and back: what has expired is removed, and what has not stays."""

    async def scenario() -> None:
        clock, kept = ManualClock(), dict[str, int | None]()
        async with MemorySessionStore(clock=clock) as store:
            for session_id, seconds, pause in writes:
                kept[session_id] = None if seconds is None else clock.now() + seconds * 1000
                await store.write(session_id, record(expires_at=kept[session_id]))
                clock.advance(pause)
                if pause % 2:
                    expired = {key for key, at in kept.items() if at is not None and at <= clock.now()}
                    assert await store.purge() == len(expired)
                    kept = {key: at for key, at in kept.items() if key not in expired}
            live = {key for key, at in kept.items() if at is None or at > clock.now()}
            assert {session_id async for session_id in store.scan()} == live
            assert await store.clear() == len(live)
            assert await store.purge() == 0

    asyncio.run(scenario())


async def test_what_is_forgotten_or_destroyed_is_not_purged() -> None:
    """It is gone already."""
    clock = ManualClock()
    async with MemorySessionStore(clock=clock, max_sessions=2) as store:
        for session_id in "abc":
            await store.write(session_id, record(expires_at=clock.now() + 1000))
        await store.destroy("c")
        clock.advance(1)

        assert await store.purge() == 1


async def test_of_many_swaps_one_stores() -> None:
    """All expect the same version: one finds it."""
    async with MemorySessionStore() as store:
        results = await asyncio.gather(*(store.swap("a", record(), ABSENT) for _ in range(100)))

        assert sum(results) == 1


async def test_of_many_removes_one_succeeds_and_frees_the_place() -> None:
    """Compare-and-delete has one winner, and what is gone counts no more towards the limit."""
    async with MemorySessionStore(max_sessions=2) as store:
        old = record()
        await store.write("a", old)
        await store.write("b", record())

        removed = await asyncio.gather(*(store.remove("a", old.version) for _ in range(5)))
        await store.write("c", record())

        assert sorted(removed) == [False] * 4 + [True]
        assert sorted([session_id async for session_id in store.scan()]) == ["b", "c"]


async def test_namespaces_do_not_meet() -> None:
    """Not even where a separator would make them the same."""
    name = fresh_name()
    async with MemorySessionStore(name, namespace="a") as one, MemorySessionStore(name, namespace="a:b") as two:
        await one.write("b:c", record())
        await two.write("c", record())

        assert await one.clear() == 1
        assert [session_id async for session_id in two.scan()] == ["c"]


async def test_it_is_of_no_use_before_init_and_after_close() -> None:
    """Its sessions are there again when it is opened again."""
    store = MemorySessionStore()
    with pytest.raises(StoreClosedError, match="not open yet"):
        await store.read("a")
    async with store:
        await store.write("a", written := record())
    with pytest.raises(StoreClosedError, match="closed"):
        await store.write("a", record())

    async with store:
        assert await store.read("a") == written


def test_its_repr_names_it() -> None:
    """So that a log says which store it is."""
    assert repr(MemorySessionStore()) == "<MemorySessionStore>"
    assert repr(MemorySessionStore("bot-repr")) == "<MemorySessionStore 'bot-repr'>"
