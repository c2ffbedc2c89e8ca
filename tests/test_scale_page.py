"""The page about scale: what it says of several machines is tried on real servers."""

from __future__ import annotations

import asyncio
import re
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from palaver import Sessions, open_store

if TYPE_CHECKING:
    from palaver_test_servers.redis import RedisCluster

PAGE: Final = (Path(__file__).parent.parent / "docs/explanation/scale.md").read_text(encoding="utf-8")
SESSIONS: Final = 200


async def count_up(sessions: Sessions) -> None:
    async def turn(number: int) -> None:
        async with sessions.turn(f"telegram:{number}") as session:
            session.state["n"] = session.state.get("n", 0) + 1

    await asyncio.gather(*map(turn, range(SESSIONS)))


async def ask(url: URL, *statements: str) -> list[Any]:
    """Return the rows of the last of some statements."""
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT")
    rows: list[Any] = []
    async with engine.connect() as connection:
        for statement in statements:
            result = await connection.exec_driver_sql(statement)
            rows = [tuple(row) for row in result] if result.returns_rows else []
    await engine.dispose()
    return rows


def test_a_table_of_postgresql_can_be_partitioned(postgresql_url: str) -> None:
    """As the page says: sessions stay, spread over the partitions, and a read goes to one of them."""
    import_module("asyncpg")  # not in the event loop
    asyncio.run(_partition(make_url(postgresql_url)))


async def _partition(server: URL) -> None:
    name = f"palaver_scale_{time.time_ns()}"
    await ask(server, f"CREATE DATABASE {name}")
    own = server.set(database=name)
    [statements] = re.findall(r"^```sql\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)

    async with Sessions(open_store(own.render_as_string(hide_password=False))) as sessions:
        await count_up(sessions)
        await ask(own, *statements.replace("\n", " ").strip(" ;").split(";"))
        await count_up(sessions)
        async with sessions.turn("telegram:7") as session:
            assert session.state == {"n": 2}
        assert len([session_id async for session_id in sessions.store.scan()]) == SESSIONS
        spread = [await ask(own, f"SELECT count(*) FROM palaver_sessions_{number}") for number in range(4)]
        plan = await ask(
            own, "EXPLAIN SELECT payload FROM palaver_sessions WHERE namespace = '' AND session_id = 'telegram:7'"
        )
        assert await sessions.store.clear() == SESSIONS
    await ask(server, f"DROP DATABASE {name}")

    assert sum(count for [(count,)] in spread) == SESSIONS
    assert all(count > SESSIONS / 8 for [(count,)] in spread)
    assert len(re.findall(r"palaver_sessions_\d\b", str(plan))) == 1


async def test_a_batch_goes_to_all_nodes_of_a_cluster_with_one_command_for_each_slot(
    redis_cluster: RedisCluster,
) -> None:
    """As the page says: no session needs two nodes, and no slot two commands."""
    from redis.crc import key_slot

    ids = [f"telegram:{number}" for number in range(100)]
    slots = {key_slot(f"palaver:scale:{session_id}".encode()) for session_id in ids}
    async with open_store(redis_cluster.url, namespace="scale") as store:
        await asyncio.to_thread(_forget, redis_cluster)
        await store.read_many(ids)
        calls = await asyncio.to_thread(_reads, redis_cluster)

    assert sum(calls) == len(slots)
    assert all(calls)


def _forget(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        node.ask("CONFIG", "RESETSTAT")


def _reads(cluster: RedisCluster) -> list[int]:
    """Return how many commands each node got that read."""
    told = [node.ask("INFO", "commandstats") for node in cluster.nodes]
    return [sum(map(int, re.findall(r"cmdstat_m?get:calls=(\d+)", stats))) for stats in told]
