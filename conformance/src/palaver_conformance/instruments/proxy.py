"""A TCP proxy that breaks connections on demand, in this process: no other program is needed for it.

The faults are those of Toxiproxy, one at a time, and can be changed while connections are open. No fault does what TCP
itself cannot do: a connection of which bytes were swallowed never carries later bytes, but is cut when the fault ends.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import warnings
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Final, Self, TypeAlias
from weakref import WeakKeyDictionary, WeakMethod

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

    _Accept: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]

__all__ = ("Proxy",)

_HOST: Final = "127.0.0.1"
_CHUNK: Final = 65_536

# A linger of no seconds makes close() send RST instead of FIN. The fields are shorter on Windows.
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Proxy:
    """Passes TCP connections on to a server, with faults.

    Clients connect to `host` and `port`. Each verb below sets the fault for all connections, open ones and new ones,
    instead of the former; `restore` ends it.

    Args:
        host: where the server is.
        port: its port.
    """

    host: Final = _HOST

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        """Where to connect to: known from `async with` on, and the same until its end."""

        self._upstream = (host, port)
        self._fault = _Fault()
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._refusing: socket.socket | None = None

    def __repr__(self) -> str:
        return f"<Proxy {self.host}:{self.port} to {self._upstream[0]}:{self._upstream[1]}>"

    async def __aenter__(self) -> Self:
        self._refusing = _bind(0)
        self.port = self._refusing.getsockname()[1]
        await self.restore()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if self._server is not None or self._refusing is not None:
            warnings.warn(f"{self!r} was never closed", ResourceWarning, source=self, stacklevel=1)
            with suppress(RuntimeError):  # the loop is closed, and nobody listens any more
                self._stop_listening()

    async def close(self) -> None:
        """Cut all connections and stop listening; nothing is left behind."""
        self._stop_listening()
        await self._end(self._links)
        if self._refusing is not None:
            self._refusing.close()
            self._refusing = None

    # What it tells.

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._links)

    @property
    def hits(self) -> int:
        """How often the present fault has struck; while it is 0, a test that passes has shown nothing."""
        return self._fault.hits

    async def struck(self) -> None:
        """Wait until the present fault has struck at least once."""
        await self._fault.struck.wait()

    # The faults.

    async def restore(self) -> None:
        """End the fault: connections that are still whole, and new ones, work."""
        await self._set(_Fault())
        if self._refusing is not None:
            refusing, self._refusing = self._refusing, None
            self._server = await asyncio.start_server(_weakly(self._accept), sock=refusing)

    async def delay(self, seconds: float) -> None:
        """Hold back whatever is sent, in both directions, for so long or until the fault ends."""
        await self._set(_Delay(seconds))

    async def black_hole(self) -> None:
        """Accept everything and pass nothing on, neither requests nor answers."""
        await self._set(_Drop({_Direction.REQUEST, _Direction.ANSWER}, cuts=False))

    async def drop_answers(self, *, cut: bool = False) -> None:
        """Let requests through and swallow the answers.

        Args:
            cut: close a connection where its first answer was due; otherwise it stays open and silent.
        """
        await self._set(_Drop({_Direction.ANSWER}, cuts=cut))

    async def slice(self, size: int = 1) -> None:
        """Pass on `size` bytes at a time, in both directions."""
        await self._set(_Slice(size))

    async def truncate(self, limit: int) -> None:
        """Close each connection after `limit` bytes of answers, counted from now on."""
        await self._set(_Truncate(limit))

    async def down(self) -> None:
        """Close all connections and refuse new ones, as if the server were gone."""
        self._stop_listening()
        if self._refusing is None:
            # Bound, but not listening: it refuses connections, and keeps the port until `restore`.
            self._refusing = _bind(self.port)
        await self.cut()

    async def cut(self) -> None:
        """Close the open connections in both directions, once; new ones work."""
        await self._set(_Fault())
        self._fault.strike(len(self._links))
        await self._end(self._links)

    async def reset(self) -> None:
        """Reset the open connections (RST) in both directions, once; new ones work."""
        await self._set(_Fault())
        self._fault.strike(len(self._links))
        await self._end(self._links, reset=True)

    # How it works.

    async def _set(self, fault: _Fault) -> None:
        former, self._fault = self._fault, fault
        former.ended.set()
        await self._end(link for link in self._links if link.has_lost_bytes)

    async def _end(self, links: Iterable[_Link], *, reset: bool = False) -> None:
        ending = list(links)
        for link in ending:
            link.abort(reset=reset)
        for link in ending:
            await link.wait_closed()

    def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            writer.transport.abort()
            return
        link = _Link(reader, writer, connect=self._connect, pass_on=self._pass_on)
        self._links.add(link)
        link.task.add_done_callback(lambda _: self._links.discard(link))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._upstream)

    async def _pass_on(self, link: _Link, direction: _Direction, chunk: bytes) -> None:
        await self._fault.pass_on(link, direction, chunk)


class _Direction(Enum):
    REQUEST = "request"
    ANSWER = "answer"


class _Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        connect: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]],
        pass_on: Callable[[_Link, _Direction, bytes], Awaitable[None]],
    ) -> None:
        self.has_lost_bytes = False
        self._connect = connect
        self._pass_on = pass_on
        self._writers = {_Direction.ANSWER: _unbuffered(writer)}
        self.task = asyncio.create_task(self._run(reader))

    async def pass_on(self, direction: _Direction, chunk: bytes) -> None:
        """Treat a chunk as the present fault demands; an empty one is the end of the stream."""
        await self._pass_on(self, direction, chunk)

    async def send(self, direction: _Direction, chunk: bytes) -> None:
        """Send a chunk on its way unharmed."""
        writer = self._writers[direction]
        if not chunk:
            writer.write_eof()
            return
        writer.write(chunk)
        await writer.drain()

    def abort(self, *, reset: bool = False) -> None:
        for writer in self._writers.values():
            if reset:
                _drop_linger(writer)
            writer.transport.abort()
        self.task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.wait([self.task])
        for writer in self._writers.values():
            with suppress(OSError):
                await writer.wait_closed()

    async def _run(self, requests: asyncio.StreamReader) -> None:
        try:
            answers, writer = await self._connect()
            self._writers[_Direction.REQUEST] = _unbuffered(writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(_Direction.REQUEST, requests))
                pumps.create_task(self._pump(_Direction.ANSWER, answers))
        except* OSError:
            pass  # One side has broken off; now the other one learns of it.
        finally:
            for each in self._writers.values():
                each.transport.abort()

    async def _pump(self, direction: _Direction, reader: asyncio.StreamReader) -> None:
        chunk = b"-"
        while chunk:
            chunk = await reader.read(_CHUNK)
            await self.pass_on(direction, chunk)


class _Fault:
    """No fault, and what all faults have in common."""

    def __init__(self) -> None:
        self.hits = 0
        self.struck = asyncio.Event()
        self.ended = asyncio.Event()

    def strike(self, times: int = 1) -> None:
        self.hits += times
        if self.hits:
            self.struck.set()

    async def pass_on(self, link: _Link, direction: _Direction, chunk: bytes) -> None:
        await link.send(direction, chunk)


class _Delay(_Fault):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def pass_on(self, link: _Link, direction: _Direction, chunk: bytes) -> None:
        self.strike()
        try:
            async with asyncio.timeout(self._seconds):
                await self.ended.wait()
        except TimeoutError:
            await link.send(direction, chunk)
            return
        await link.pass_on(direction, chunk)


class _Drop(_Fault):
    def __init__(self, directions: set[_Direction], *, cuts: bool) -> None:
        super().__init__()
        self._directions = directions
        self._cuts = cuts

    async def pass_on(self, link: _Link, direction: _Direction, chunk: bytes) -> None:
        if direction not in self._directions:
            await link.send(direction, chunk)
            return
        self.strike()
        if self._cuts:
            link.abort()
        if chunk:
            link.has_lost_bytes = True
            return
        # The end of a stream is not swallowed, only held back.
        await self.ended.wait()
        await link.pass_on(direction, chunk)


class _Slice(_Fault):
    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    async def pass_on(self, link: _Link, direction: _Direction, chunk: bytes) -> None:
        while len(chunk) > self._size and not self.ended.is_set():
            self.strike()
            await link.send(direction, chunk[: self._size])
            chunk = chunk[self._size :]
            # The receiver runs in between, if it is in this process.
            await asyncio.sleep(0)
        if self.ended.is_set():
            await link.pass_on(direction, chunk)
        else:
            await link.send(direction, chunk)


class _Truncate(_Fault):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._left: WeakKeyDictionary[_Link, int] = WeakKeyDictionary()

    async def pass_on(self, link: _Link, direction: _Direction, chunk: bytes) -> None:
        if direction is _Direction.REQUEST or not chunk:
            await link.send(direction, chunk)
            return
        left = self._left.get(link, self._limit)
        if left:
            await link.send(direction, chunk[:left])
        self._left[link] = left - len(chunk)
        if len(chunk) >= left:
            self.strike()
            link.abort()


def _bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Windows gives a port that was just closed without asking, and means something else by this option.
    if sys.platform != "win32":
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind((_HOST, port))
    return bound


def _weakly(accept: _Accept) -> _Accept:
    """Let the loop, which keeps what it calls, not keep a proxy that was forgotten: it has to warn."""
    weak = WeakMethod(accept)

    def accept_if_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accept = weak()
        if accept is not None:
            accept(reader, writer)

    return accept_if_alive


def _unbuffered(writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
    """Let `drain` wait until all has been handed to the system, so that an abort loses nothing."""
    writer.transport.set_write_buffer_limits(high=0)
    return writer


def _drop_linger(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
