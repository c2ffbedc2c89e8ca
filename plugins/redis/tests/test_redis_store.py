"""What the Redis store keeps and how, on one server, a cluster, and behind Sentinel."""

from __future__ import annotations

import asyncio

import pytest

from palaver import ABSENT, ManualClock, Record, StoreClosedError, open_store
from palaver_redis import RedisSessionStore

pytestmark = pytest.mark.server

FAR = 1_800_000_000_000


async def test_round_trip(any_url: str, namespace: str, clock: ManualClock) -> None:
    """Payload, version and expiry come back exactly as they went in."""
    record = Record(b'\x00\n{"a": 1}\xff\r\n', 'a "v"\nersion \u2028 é', FAR)
    async with RedisSessionStore(any_url, namespace=namespace, clock=clock) as store:
        assert await store.read("console:1") is None
        await store.write("console:1", record)
        assert await store.read("console:1") == record
        await store.destroy("console:1")
        await store.destroy("console:1")
        assert await store.read("console:1") is None


async def test_swap(any_url: str, namespace: str, clock: ManualClock) -> None:
    """A swap stores over the expected version alone, and may be repeated when its answer was lost."""
    one, two, three = (Record(b"%d" % n, f"v{n}", FAR) for n in (1, 2, 3))
    async with RedisSessionStore(any_url, namespace=namespace, clock=clock) as store:
        assert not await store.swap("a", one, "v0")
        assert await store.swap("a", one, ABSENT)
        assert await store.swap("a", one, ABSENT)
        assert not await store.swap("a", two, ABSENT)
        assert await store.swap("a", two, "v1")
        assert await store.swap("a", two, "v1")
        assert not await store.swap("a", three, "v1")
        assert await store.read("a") == two


async def test_swap_over_expired(redis_url: str, namespace: str, clock: ManualClock) -> None:
    """A record that has expired is absent for a swap, and its version is no longer there."""
    old, new = Record(b"old", "v1", clock.now() + 10), Record(b"new", "v2", None)
    async with RedisSessionStore(redis_url, namespace=namespace, clock=clock) as store:
        await store.write("a", old)
        clock.advance(0.010)
        assert not await store.swap("a", new, "v1")
        assert await store.swap("a", new, ABSENT)
        assert await store.read("a") == new


async def test_batches(any_url: str, namespace: str, clock: ManualClock) -> None:
    """Batches have one result for each item, in order, and items of one id take effect in order."""
    ids = [f"id {n}" for n in range(600)]
    async with RedisSessionStore(any_url, namespace=namespace, clock=clock) as store:
        await store.write_many([(session_id, Record(session_id.encode(), "v1", None)) for session_id in ids])
        found = await store.read_many([*ids, "nobody", "id 3", "id 3"])
        assert [record and record.payload for record in found] == [*map(str.encode, ids), None, b"id 3", b"id 3"]

        answers = await store.swap_many(
            [
                ("id 0", Record(b"new", "v2", None), "v1"),
                ("id 1", Record(b"new", "v2", None), "v0"),
                ("id 0", Record(b"newer", "v3", None), "v2"),
                ("nobody", Record(b"new", "v2", None), ABSENT),
            ]
        )
        assert answers == [True, False, True, True]
        assert await store.read("id 0") == Record(b"newer", "v3", None)
        assert await store.read_many([]) == []
        assert await store.swap_many([]) == []


async def test_touch(any_url: str, namespace: str, clock: ManualClock) -> None:
    """Touching moves the expiry alone, ends a session when it has passed, and brings nothing back."""
    record = Record(b"payload\nof two lines", "v1", clock.now() + 1000)
    async with RedisSessionStore(any_url, namespace=namespace, clock=clock) as store:
        assert not await store.touch("a", None)
        await store.write("a", record)
        assert await store.touch("a", clock.now() + 5000)
        assert await store.read("a") == Record(record.payload, "v1", clock.now() + 5000)
        assert await store.touch("a", None)
        clock.advance(10**9)
        assert await store.read("a") == Record(record.payload, "v1", None)
        assert await store.touch("a", clock.now())
        assert await store.read("a") is None
        assert not await store.touch("a", None)


async def test_scan_purge_clear(any_url: str, namespace: str, clock: ManualClock) -> None:
    """Scan names what is live, purge removes what has expired, clear removes all; each counts what it says."""
    live, dying = Record(b"x", "v1", None), Record(b"x", "v1", clock.now() + 1)
    async with RedisSessionStore(any_url, namespace=namespace, clock=clock) as store:
        await store.write_many([(f"live {n}", live) for n in range(1500)])
        await store.write_many([(f"dying {n}", dying) for n in range(30)])
        clock.advance(0.001)
        assert sorted([session_id async for session_id in store.scan()]) == sorted(f"live {n}" for n in range(1500))
        assert [session_id async for session_id in store.scan("live 149")] != []
        assert await store.purge() == 30
        assert await store.purge() == 0
        assert await store.clear() == 1500
        assert await store.clear() == 0


async def test_wildcards_in_ids_and_namespaces(any_url: str, namespace: str) -> None:
    """Nothing in an id, a prefix or a namespace is a wildcard or a separator."""
    names = ["a*", "ab", "a?", "a[b]", "a\\*", "a:b", "a", "{a}b", "a^", "ä", "a%3A", "A"]
    record = Record(b"x", "v1", None)
    spaces = [namespace, f"{namespace}:a", f"{namespace}%3Aa", f"{namespace}*", f"{namespace}?", f"{{{namespace}}}"]
    for space in spaces:
        async with RedisSessionStore(any_url, namespace=space) as store:
            await store.write_many([(name, record) for name in names])
    for space in spaces:
        async with RedisSessionStore(any_url, namespace=space) as store:
            for name in names:
                expected = sorted(other for other in names if other.startswith(name))
                assert sorted([session_id async for session_id in store.scan(name)]) == expected
            assert [session_id async for session_id in store.scan("\ud800")] == []
            assert await store.clear() == len(names)


async def test_two_stores(any_url: str, namespace: str) -> None:
    """What one store saves, another one sees at once."""
    url = open_store(any_url, namespace=namespace)
    async with url as one, RedisSessionStore(any_url, namespace=namespace) as two:
        await one.write("a", Record(b"x", "v1", None))
        assert await two.read("a") == Record(b"x", "v1", None)


def test_several_event_loops(any_url: str, namespace: str) -> None:
    """A store that was closed opens again, in another event loop, too."""
    store = RedisSessionStore(any_url, namespace=namespace)

    async def use(count: int) -> int:
        async with store:
            await store.write(f"{count}", Record(b"x", "v1", None))
            return len([session_id async for session_id in store.scan()])

    assert [asyncio.run(use(count)) for count in range(3)] == [1, 2, 3]
    with pytest.raises(StoreClosedError):
        asyncio.run(store.read("0"))


async def test_init_and_close_many_times(any_url: str, namespace: str) -> None:
    """Opening and closing are idempotent and may happen at the same time; no task stays behind."""
    store = RedisSessionStore(any_url, namespace=namespace)
    await store.close()
    await asyncio.gather(*(store.init() for _ in range(5)))
    await asyncio.gather(*(store.read("a") for _ in range(50)))
    await asyncio.gather(*(store.close() for _ in range(5)))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_close_waits_for_what_runs(any_url: str, namespace: str) -> None:
    """Calls that began before the store was closed end in order."""
    store = await RedisSessionStore(any_url, namespace=namespace).init()
    record = Record(b"x", "v1", None)
    calls = [asyncio.create_task(store.write(f"{n}", record)) for n in range(100)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*calls) == [None] * 100
    async with store:
        assert await store.clear() == 100


async def test_large_payload(any_url: str, namespace: str) -> None:
    """A payload of several megabytes is one value like any other."""
    record = Record(b"x" * 5_000_000, "v1", FAR * 2)
    async with RedisSessionStore(any_url, namespace=namespace) as store:
        assert await store.swap_many([(f"{n}", record, ABSENT) for n in range(3)]) == [True] * 3
        assert await store.touch("0", None)
        assert await store.read("1") == record
        assert await store.clear() == 3


async def test_long_version(redis_url: str, namespace: str) -> None:
    """A version may be longer than what a script reads at first."""
    record = Record(b"x" * 1000, "v" * 3000, None)
    async with RedisSessionStore(redis_url, namespace=namespace) as store:
        assert await store.swap("a", record, ABSENT)
        assert await store.swap("a", Record(b"y", "w" * 3000, None), record.version)
        assert await store.touch("a", FAR * 2)
        assert await store.read("a") == Record(b"y", "w" * 3000, FAR * 2)


async def test_many_calls_at_once(redis_url: str, namespace: str) -> None:
    """Calls wait for their turn as long as it takes, when the server answers."""
    record = Record(b"x", "v1", None)
    async with RedisSessionStore(f"{redis_url}?max_connections=1", namespace=namespace, timeout=0.2) as store:
        await asyncio.gather(*(store.write(f"{n}", record) for n in range(2000)))
        assert await store.clear() == 2000
