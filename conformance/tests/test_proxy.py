"""The proxy, between a real client and a real server."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from palaver_conformance.instruments.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONG = 3_600.0


class EchoServer:
    """Answers with what it is sent, and remembers it."""

    def __init__(self) -> None:
        self.received = b""
        self.broken = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.read(65_536):
                self.received += request
                writer.write(request)
                await writer.drain()
        except ConnectionResetError:
            self.broken.set()
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[EchoServer]:
    echo = EchoServer()
    async with await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server:
        echo.port = server.sockets[0].getsockname()[1]
        yield echo


@pytest.fixture
async def proxy(echo: EchoServer) -> AsyncIterator[Proxy]:
    async with Proxy("127.0.0.1", echo.port) as proxy:
        yield proxy


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with_error = await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        assert not [error for error in with_error if error and not isinstance(error, OSError)]


async def ask(proxy: Proxy, line: bytes = b"hello\n") -> bytes:
    async with connected(proxy) as (reader, writer):
        writer.write(line)
        return await reader.readline()


async def test_without_a_fault_all_goes_through(proxy: Proxy) -> None:
    """Requests and answers of several connections at a time arrive whole, large ones too."""
    requests = [b"%d" % number * 1_000_000 for number in range(3)]

    async def ask_for_all(request: bytes) -> bytes:
        async with connected(proxy) as (reader, writer):
            writer.write(request)
            return await reader.readexactly(len(request))

    assert await asyncio.gather(*map(ask_for_all, requests)) == requests
    assert await asyncio.gather(*map(ask, (proxy,) * 3, (b"1\n", b"2\n", b"3\n"))) == [b"1\n", b"2\n", b"3\n"]
    assert proxy.hits == 0


async def test_the_end_of_a_stream_goes_through_in_each_direction(proxy: Proxy) -> None:
    """A client that says it has no more requests still gets its answer, and then the end."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"last\n")
        writer.write_eof()
        assert await reader.read() == b"last\n"


async def test_delay_holds_back_until_it_ends(proxy: Proxy, echo: EchoServer) -> None:
    """What is delayed arrives, whole, once the fault is over."""
    await proxy.delay(LONG)
    asking = asyncio.create_task(ask(proxy))
    await proxy.struck()
    assert echo.received == b""
    assert not asking.done()
    await proxy.restore()
    assert await asking == b"hello\n"


async def test_delay_lets_through_after_its_time(proxy: Proxy) -> None:
    """A delayed exchange succeeds without anybody's help; request and answer were held back."""
    await proxy.delay(0.001)
    assert await ask(proxy) == b"hello\n"
    assert proxy.hits >= 2


async def test_black_hole_accepts_and_answers_nothing(proxy: Proxy, echo: EchoServer) -> None:
    """The connection stays open, and the server hears nothing."""
    await proxy.black_hole()
    async with connected(proxy) as (reader, writer):
        writer.write(b"hello\n")
        await proxy.struck()
        assert not reader.at_eof()
        assert echo.received == b""


async def test_a_connection_that_lost_bytes_is_cut_when_the_fault_ends(proxy: Proxy, echo: EchoServer) -> None:
    """No connection ever carries what comes after lost bytes; new connections work."""
    await proxy.black_hole()
    async with connected(proxy) as (reader, writer):
        writer.write(b"lost\n")
        await proxy.struck()
        await proxy.restore()
        assert await reader.read() == b""
    assert await ask(proxy) == b"hello\n"
    assert echo.received == b"hello\n"


async def test_a_connection_that_lost_nothing_survives_a_black_hole(proxy: Proxy) -> None:
    """An idle connection goes on as if nothing had been."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"before\n")
        assert await reader.readline() == b"before\n"
        await proxy.black_hole()
        await proxy.restore()
        writer.write(b"after\n")
        assert await reader.readline() == b"after\n"


async def test_drop_answers_lets_the_request_through(proxy: Proxy, echo: EchoServer) -> None:
    """The server did what it was asked to, and the client does not learn of it."""
    await proxy.drop_answers()
    async with connected(proxy) as (reader, writer):
        writer.write(b"hello\n")
        await proxy.struck()
        assert echo.received == b"hello\n"
        assert not reader.at_eof()
        await proxy.restore()
        assert await reader.read() == b""


async def test_drop_answers_may_cut_the_connection(proxy: Proxy, echo: EchoServer) -> None:
    """The client sees the connection end where the answer was due."""
    await proxy.drop_answers(cut=True)
    assert await ask(proxy) == b""
    assert echo.received == b"hello\n"
    await proxy.restore()
    assert await ask(proxy) == b"hello\n"


async def test_cut_closes_what_is_open_and_accepts_new_connections(proxy: Proxy) -> None:
    """The client sees an orderly end; a new connection works at once."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        await proxy.cut()
        assert await reader.read() == b""
    assert proxy.hits == 1
    assert proxy.connections == 0
    assert await ask(proxy) == b"hello\n"


async def test_reset_is_a_reset_and_no_orderly_end(proxy: Proxy) -> None:
    """The client gets ConnectionResetError; a new connection works at once."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        await proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
    assert await ask(proxy) == b"hello\n"


async def test_reset_reaches_the_server(proxy: Proxy, echo: EchoServer) -> None:
    """The server's side is reset as well."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        await proxy.reset()
        await echo.broken.wait()


class Pieces(asyncio.Protocol):
    """Remembers the pieces in which an answer comes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.complete = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        if data.endswith(b"\n"):
            self.complete.set()


@pytest.mark.parametrize("size", [1, 4])
async def test_slice_passes_on_little_at_a_time(proxy: Proxy, size: int) -> None:
    """An answer comes in many pieces and is whole."""
    await proxy.slice(size)
    transport, protocol = await asyncio.get_running_loop().create_connection(Pieces, proxy.host, proxy.port)
    transport.write(b"hello, world\n")
    await protocol.complete.wait()
    transport.abort()
    assert b"".join(protocol.pieces) == b"hello, world\n"
    assert len(protocol.pieces) > 1
    assert proxy.hits >= 12 // size


@pytest.mark.parametrize("limit", [0, 1, 4, 6])
async def test_truncate_ends_the_answer_early(proxy: Proxy, limit: int) -> None:
    """Exactly so many bytes arrive, and then the end; the next connection gets as many."""
    await proxy.truncate(limit)
    for _ in range(2):
        async with connected(proxy) as (reader, writer):
            writer.write(b"hello\n")
            assert await reader.read() == b"hello\n"[:limit]
    assert proxy.hits == 2


async def test_truncate_counts_from_when_it_was_set(proxy: Proxy) -> None:
    """Answers before do not count, and those after it add up."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"before\n")
        assert await reader.readline() == b"before\n"
        await proxy.truncate(6)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        writer.write(b"two\n")
        assert await reader.read() == b"tw"


async def test_down_refuses_and_restore_comes_back_at_the_same_port(proxy: Proxy) -> None:
    """Open connections end, new ones are refused, and afterwards all is as before; it can happen twice."""
    port = proxy.port
    for _ in range(2):
        async with connected(proxy) as (reader, _):
            await proxy.down()
            assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await ask(proxy)
        await proxy.down()
        await proxy.restore()
        assert proxy.port == port
        assert await ask(proxy) == b"hello\n"


async def test_a_server_that_is_not_there_ends_the_connection() -> None:
    """Whoever connects to the proxy of a dead server sees the end at once."""
    async with await asyncio.start_server(EchoServer().serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    async with Proxy("127.0.0.1", port) as proxy:
        assert await ask(proxy) == b""


@pytest.mark.parametrize("fault", ["restore", "black_hole", "drop_answers", "slice", "down", "delay", "truncate"])
async def test_closing_leaves_nothing_behind(echo: EchoServer, fault: str) -> None:
    """Whatever the fault, no task is left and nobody listens."""
    before = asyncio.all_tasks()
    async with Proxy("127.0.0.1", echo.port) as proxy, connected(proxy) as (reader, writer):
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        await (getattr(proxy, fault)(LONG) if fault in {"delay", "truncate"} else getattr(proxy, fault)())
        writer.write(b"two\n")
        if fault in {"delay", "black_hole", "drop_answers", "slice"}:
            await proxy.struck()
        await proxy.close()
        assert proxy.connections == 0
    with pytest.raises(ConnectionRefusedError):
        await ask(proxy)
    serving = {task for task in asyncio.all_tasks() - before if "EchoServer" not in repr(task.get_coro())}
    assert not serving


async def test_a_connection_that_was_just_accepted_is_closed_too(echo: EchoServer) -> None:
    """Closing does not race with accepting."""
    async with Proxy("127.0.0.1", echo.port) as proxy:
        _, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.transport.abort()
    assert proxy.connections == 0


async def test_a_forgotten_proxy_warns(echo: EchoServer) -> None:
    """A proxy that was never closed is a ResourceWarning, and stops listening."""
    port = await forget_a_proxy(echo)
    with pytest.warns(ResourceWarning, match="was never closed"):
        gc.collect()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def forget_a_proxy(echo: EchoServer) -> int:
    proxy = Proxy("127.0.0.1", echo.port)
    await proxy.__aenter__()
    # Only the collector can find a cycle: the warning comes when the test asks for it.
    proxy.itself = proxy  # type: ignore[attr-defined]
    return proxy.port
