"""What goes wrong, and what the store says then."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import traceback
from typing import TYPE_CHECKING

import pytest

from palaver import ABSENT, InvalidOptionError, ManualClock, Record, StoreUnavailableError, open_store
from palaver_redis import RedisSessionStore
from palaver_test_servers import free_port
from palaver_test_servers.redis import make_certificate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from palaver_test_servers.redis import RedisServer

    Start = Callable[..., Awaitable[RedisServer]]

pytestmark = pytest.mark.server

SECRET = "s3cr3t/with@signs"
SECRET_IN_URL = "s3cr3t%2Fwith%40signs"
RECORD = Record(b"a private conversation", "v1", None)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where somebody listens who never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("install openssl")
    return make_certificate(tmp_path)


async def failure(store: RedisSessionStore, *, is_lasting: bool = False) -> str:
    """Return what the store says when it cannot be opened; it has to say it soon and must keep the password."""
    with pytest.raises(StoreUnavailableError) as caught:
        async with asyncio.timeout(10):
            await store.init()
    told = "".join(traceback.format_exception(caught.value))
    assert "s3cr3t" not in told + repr(store)
    assert caught.value.retryable is not is_lasting
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return str(caught.value)


@pytest.mark.parametrize("secret", ["", ":wrong@", ":s3cr3t@", "nobody:s3cr3t@"])
async def test_wrong_password(start: Start, secret: str) -> None:
    """A password that is missing or wrong is said at once, with the address."""
    server = await start(password=SECRET)
    message = await failure(RedisSessionStore(f"redis://{secret}127.0.0.1:{server.port}"), is_lasting=True)
    assert f"127.0.0.1:{server.port}" in message
    assert "refuses the user or the password" in message


async def test_right_password(start: Start) -> None:
    """A password with signs of a URL in it works when it is percent-encoded, and is never shown."""
    server = await start(password=SECRET)
    url = f"redis://:{SECRET_IN_URL}@127.0.0.1:{server.port}"
    async with RedisSessionStore(url) as store:
        await store.write("a", RECORD)
        assert "s3cr3t" not in repr(store)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}", "redis+cluster://127.0.0.1:{0},localhost:{0}"])
async def test_nobody_listens(url: str) -> None:
    """A port where nobody listens is said at once, with the address."""
    port = free_port()
    message = await failure(RedisSessionStore(url.format(port)))
    assert f"127.0.0.1:{port}" in message


async def test_unknown_host() -> None:
    """A host that nobody knows is said with its name."""
    assert "no-such-host.invalid" in await failure(RedisSessionStore("redis://no-such-host.invalid"))


async def test_nobody_answers(silent_port: int) -> None:
    """A server that does not answer is waited for as long as the option says."""
    message = await failure(RedisSessionStore(f"redis://127.0.0.1:{silent_port}", timeout=0.2))
    assert "did not answer in time" in message


async def test_nobody_answers_to_tls(silent_port: int) -> None:
    """A server that does not shake hands is waited for as long as the option says."""
    message = await failure(RedisSessionStore(f"rediss://127.0.0.1:{silent_port}", connect_timeout=0.2))
    assert "did not answer in time" in message


async def test_no_redis() -> None:
    """Something else that answers at the port is said, with the address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        assert f"127.0.0.1:{port}" in await failure(RedisSessionStore(f"redis://127.0.0.1:{port}"))


async def test_tls(start: Start, certificate: Path, namespace: str) -> None:
    """With rediss:// everything is as without."""
    server = await start(certificate=certificate)
    async with RedisSessionStore(server.url, namespace=namespace) as store:
        assert await store.swap("a", RECORD, ABSENT)
        assert await store.read("a") == RECORD


async def test_plain_client_and_tls_server(start: Start, certificate: Path) -> None:
    """A server that wants TLS and a URL that has none: the message says which URL to try."""
    server = await start(certificate=certificate)
    assert "rediss://" in await failure(RedisSessionStore(f"redis://127.0.0.1:{server.port}"))


async def test_tls_client_and_plain_server(start: Start) -> None:
    """A URL that wants TLS and a server that has none is said, with the address."""
    server = await start()
    message = await failure(RedisSessionStore(f"rediss://127.0.0.1:{server.port}", connect_timeout=1))
    assert f"rediss://127.0.0.1:{server.port}" in message


async def test_unknown_authority(start: Start, certificate: Path) -> None:
    """A certificate that nobody vouches for is refused."""
    server = await start(certificate=certificate)
    assert "certificate" in await failure(RedisSessionStore(f"rediss://127.0.0.1:{server.port}"), is_lasting=True)


async def test_missing_database(start: Start) -> None:
    """A database whose number the server does not have is said at once."""
    assert "DB index" in await failure(RedisSessionStore(f"{(await start()).url}/99"), is_lasting=True)


async def test_replica(start: Start) -> None:
    """A replica, which can only be read, is refused at once."""
    primary = await start()
    replica = await start(settings=[f"replicaof 127.0.0.1 {primary.port}"])
    assert "read-only replica" in await failure(RedisSessionStore(replica.url))


async def test_missing_privilege(start: Start) -> None:
    """A user who may only read is refused at once."""
    server = await start(settings=["user reader on >s3cr3t ~* +@read +@connection"])
    message = await failure(RedisSessionStore(f"redis://reader:s3cr3t@127.0.0.1:{server.port}"), is_lasting=True)
    assert "may not do what is needed" in message


async def test_smallest_privilege(start: Start, namespace: str, caplog: pytest.LogCaptureFixture) -> None:
    """The privileges that the README names are enough."""
    may = "+ping +get +mget +exists +set +unlink +getrange +eval +evalsha +scan +dbsize"
    server = await start(settings=[f"user bot on >s3cr3t ~palaver:* resetchannels -@all {may}"])
    with caplog.at_level(logging.INFO):
        async with RedisSessionStore(f"redis://bot:s3cr3t@127.0.0.1:{server.port}", namespace=namespace) as store:
            assert await store.swap("a", RECORD, ABSENT)
            await store.write("b", RECORD)
            assert await store.touch("a", None)
            assert await store.read_many(["a", "b", "c"]) == [RECORD, RECORD, None]
            assert sorted([session_id async for session_id in store.scan()]) == ["a", "b"]
            await store.destroy("a")
            assert await store.purge() == 0
            assert await store.clear() == 1
    assert "does not say what it does when its memory is full" in caplog.text
    assert "s3cr3t" not in caplog.text


async def test_full_memory(start: Start) -> None:
    """A server whose memory is full refuses to save, and says so; reading and removing go on."""
    server = await start(settings=["maxmemory 3mb", "maxmemory-policy noeviction"])
    large = Record(b"x" * 100_000, "v1", None)
    async with RedisSessionStore(server.url) as store:
        await store.write("first", RECORD)
        for save in (lambda n: store.write(n, large), lambda n: store.swap(n, large, ABSENT)):
            with pytest.raises(StoreUnavailableError, match="memory is full") as caught:
                for number in range(100):
                    await save(f"{number}")
            assert "private" not in str(caught.value)
            assert await store.read("first") == RECORD
            await store.destroy("0")
        assert await store.clear() > 10
        await store.write("first", RECORD)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_eviction(start: Start, policy: str, caplog: pytest.LogCaptureFixture) -> None:
    """A server that may remove live sessions is warned about."""
    server = await start(settings=[f"maxmemory-policy {policy}"])
    async with RedisSessionStore(server.url):
        pass
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert policy in record.getMessage()
    assert f"127.0.0.1:{server.port}" in record.getMessage()


async def test_killed_and_started_again(start: Start, namespace: str) -> None:
    """A server that was killed and started again is used again without help, and has what was acknowledged."""
    server = await start()
    ids = [f"{n}" for n in range(20)]
    async with RedisSessionStore(server.url, namespace=namespace) as store:
        await asyncio.gather(*(store.swap(session_id, RECORD, ABSENT) for session_id in ids))
        await asyncio.to_thread(server.kill)
        with pytest.raises(StoreUnavailableError, match=f"127.0.0.1:{server.port}"):
            await store.read("0")
        await asyncio.to_thread(server.start)

        new = Record(b"new", "v2", None)
        answers = await asyncio.gather(*(store.swap(session_id, new, "v1") for session_id in ids))
        assert answers == [True] * 20
        assert await store.read_many(ids) == [new] * 20


async def test_forgotten_scripts(redis_server: RedisServer, namespace: str) -> None:
    """Scripts that the server has forgotten are sent again."""
    async with RedisSessionStore(redis_server.url, namespace=namespace) as store:
        assert await store.swap("a", RECORD, ABSENT)
        await asyncio.to_thread(redis_server.ask, "SCRIPT", "FLUSH")
        assert await store.swap("a", Record(b"", "v2", None), "v1")
        await asyncio.to_thread(redis_server.ask, "SCRIPT", "FLUSH")
        assert await store.clear() == 1


async def test_connections_that_the_server_closes(redis_server: RedisServer, namespace: str) -> None:
    """Connections that the server closed while nobody used them are replaced."""
    async with RedisSessionStore(redis_server.url, namespace=namespace) as store:
        await asyncio.gather(*(store.write(f"{n}", RECORD) for n in range(50)))
        await asyncio.to_thread(redis_server.ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.gather(*(store.write(f"{n}", RECORD) for n in range(50)))


@pytest.mark.parametrize("kind", ["redis_cluster", "redis_sentinel"])
async def test_reads_while_servers_close_connections(kind: str, request: pytest.FixtureRequest, namespace: str) -> None:
    """In a cluster and behind Sentinel, too, no read fails because servers close all connections again and again."""
    servers = await asyncio.to_thread(request.getfixturevalue, kind)
    ids = [f"{n}" for n in range(40)]
    async with RedisSessionStore(servers.url, namespace=namespace) as store:
        await store.write_many([(session_id, RECORD) for session_id in ids])
        for _ in range(10):
            await asyncio.gather(*(store.read(session_id) for session_id in ids))
            for node in servers.nodes:
                await asyncio.to_thread(node.ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert await asyncio.gather(*(store.read(session_id) for session_id in ids)) == [RECORD] * 40
            assert await store.read_many(ids) == [RECORD] * 40
            assert sorted([session_id async for session_id in store.scan()]) == sorted(ids)


async def test_more_calls_than_may_wait(start: Start, namespace: str) -> None:
    """Where the server stops answering, calls that wait for their turn give up as well."""
    server = await start()
    async with RedisSessionStore(f"{server.url}?max_connections=2", timeout=0.3, namespace=namespace) as store:
        await asyncio.to_thread(server.ask, "CLIENT", "PAUSE", "1500")
        results = await asyncio.gather(*(store.read(f"{n}") for n in range(10)), return_exceptions=True)
        assert {type(result) for result in results} == {StoreUnavailableError}
        await asyncio.to_thread(server.ask, "CLIENT", "UNPAUSE")
        assert await store.read("0") is None


class Cutter:
    """A way to a server that ends once, when a command with a mark comes, which then does not reach the server."""

    def __init__(self, server: RedisServer, mark: bytes) -> None:
        self._server = server
        self._mark = mark
        self.cuts = 1
        """Set it to 0 to have the next one cut."""

    async def __aenter__(self) -> str:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        await self._listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        answers = asyncio.ensure_future(self._relay(to_reader, writer, lambda _: True))
        await self._relay(reader, to_writer, self._may_pass)
        for each in (to_writer, writer):
            each.close()
        await answers

    def _may_pass(self, data: bytes) -> bool:
        if self._mark not in data or self.cuts:
            return True
        self.cuts += 1
        return False

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may_pass: Callable[[bytes], bool]
    ) -> None:
        while (data := await reader.read(65_536)) and may_pass(data):
            writer.write(data)
        writer.close()


@pytest.mark.parametrize("mark", [b"$3\r\nGET\r\n", b"MGET", b"SCAN", b"DBSIZE"])
async def test_a_connection_that_ends_under_a_read(redis_server: RedisServer, namespace: str, mark: bytes) -> None:
    """What only reads is asked once more, on another connection."""
    async with RedisSessionStore(redis_server.url, namespace=namespace) as store:
        await store.write_many([("a", RECORD), ("b", RECORD)])
    cutter = Cutter(redis_server, mark)
    async with cutter as url, RedisSessionStore(url, namespace=namespace) as store:
        cutter.cuts = 0
        assert await store.read("a") == RECORD
        assert await store.read_many(["a", "b", "c"]) == [RECORD, RECORD, None]
        assert sorted([session_id async for session_id in store.scan()]) == ["a", "b"]
        assert cutter.cuts == 1


async def test_a_connection_that_ends_under_a_change(redis_server: RedisServer, namespace: str) -> None:
    """Whether a change took effect nobody knows: it is not repeated, and nobody asks about TLS."""
    cutter = Cutter(redis_server, b"UNLINK")
    async with cutter as url, RedisSessionStore(url, namespace=namespace) as store:
        await store.write("a", RECORD)
        cutter.cuts = 0
        with pytest.raises(StoreUnavailableError) as caught:
            await store.destroy("a")
        assert "TLS" not in str(caught.value)
        assert await store.read("a") == RECORD


async def test_eviction_that_is_switched_on_later(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody changes the policy: within an hour of use it is seen, and warned about once."""
    server = await start()
    clock = ManualClock()
    async with RedisSessionStore(server.url, clock=clock) as store:
        await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        await store.write("a", RECORD)
        assert caplog.records == []
        for _ in range(3):
            clock.advance(3600)
            await store.swap("a", Record(b"", f"{clock.now()}", None), "v1")
        await store.write("a", RECORD)

    [record] = caplog.records
    assert "allkeys-lru" in record.getMessage()


def test_an_option_that_there_is_not() -> None:
    """All that there are are named, those of every store, too, and the one that was meant."""
    with pytest.raises(InvalidOptionError, match="did you mean 'ttl'") as caught:
        open_store("redis://localhost?tll=5")
    for known in ("namespace", "timeout", "client_name", "db"):
        assert known in str(caught.value)
    with pytest.raises(InvalidOptionError, match="what stands in the URL is not a whole number"):
        open_store("redis://localhost?max_connections=many")
