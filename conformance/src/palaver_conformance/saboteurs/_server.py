"""A key-value server over TCP, in a thread of this process: the medium of the honest store that has a network."""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import suppress
from functools import cache
from typing import Any, Final

import msgspec

from palaver.contract.record import ABSENT, Record
from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver_conformance.saboteurs._honest import HonestStore, Medium

__all__ = ("ANSWERS", "PASSWORD", "Answer", "Hello", "Request", "Server", "receive", "send", "the_server")

PASSWORD: Final = "correct-horse-battery"  # noqa: S105  # the saboteurs' own server has nothing to protect

_HEADER: Final = struct.Struct(">I")

_ARGUMENTS: Final[dict[str, Any]] = {
    "read": tuple[str],
    "write": tuple[str, Record],
    "destroy": tuple[str],
    "swap": tuple[str, Record, str | None],
    "remove": tuple[str, str],
    "read_many": tuple[list[str]],
    "write_many": tuple[list[tuple[str, Record]]],
    "swap_many": tuple[list[tuple[str, Record, str | None]]],
    "touch": tuple[str, int | None],
    "scan": tuple[str],
    "purge": tuple[()],
    "clear": tuple[()],
}

ANSWERS: Final[dict[str, Any]] = {
    "read": Record | None,
    "write": None,
    "destroy": None,
    "swap": bool,
    "remove": bool,
    "read_many": list[Record | None],
    "write_many": None,
    "swap_many": list[bool],
    "touch": bool,
    "scan": list[str],
    "purge": int,
    "clear": int,
}
"""What each verb answers."""


class Hello(msgspec.Struct):
    """What a client says first on a connection."""

    password: str
    location: str
    namespace: str


class Request(msgspec.Struct):
    """A verb to carry out; a swap expects None where there must be nothing."""

    verb: str
    now: int
    arguments: msgspec.Raw


class Answer(msgspec.Struct):
    """What a verb answers, or which error it raises."""

    error: str | None
    value: msgspec.Raw


class Server:
    """Keeps records in media, one for each location, and carries out one verb at a time."""

    def __init__(self) -> None:
        self.media: dict[str, Medium] = {}
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._connections: dict[asyncio.StreamWriter, str] = {}

    def start(self) -> None:
        """Serve in a thread that ends with the process."""
        listening = threading.Event()
        threading.Thread(target=self._run, args=(listening,), name="palaver-honest-server", daemon=True).start()
        listening.wait()

    def medium(self, location: str) -> Medium:
        return self.media.setdefault(location, Medium())

    async def cut(self, location: str) -> None:
        """Close the connections of a location; called in any event loop."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._cut(location), self._loop))

    async def _cut(self, location: str) -> None:
        for writer, place in list(self._connections.items()):
            if place == location:
                writer.close()

    def _run(self, listening: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            hello = msgspec.msgpack.decode(await receive(reader), type=Hello)
            self._connections[writer] = hello.location
            while hello.password == PASSWORD:
                request = msgspec.msgpack.decode(await receive(reader), type=Request)
                await send(writer, await self._answer(hello, request))
        self._connections.pop(writer, None)
        writer.close()

    async def _answer(self, hello: Hello, request: Request) -> Answer:
        store = HonestStore(self.medium(hello.location), clock=_Clock(request.now), namespace=hello.namespace)
        store.is_open = True
        try:
            value = await _carry_out(store, request)
        except (CorruptSessionError, StoreUnavailableError) as error:
            return Answer(type(error).__name__, msgspec.Raw(msgspec.msgpack.encode(error.session_id)))
        return Answer(None, msgspec.Raw(msgspec.msgpack.encode(value)))


async def _carry_out(store: HonestStore, request: Request) -> Any:
    arguments = msgspec.msgpack.decode(request.arguments, type=_ARGUMENTS[request.verb])
    if request.verb == "scan":
        return [session_id async for session_id in store.scan(*arguments)]
    if request.verb == "swap":
        arguments = _with_absent(arguments)
    if request.verb == "swap_many":
        arguments = ([_with_absent(item) for item in arguments[0]],)
    return await getattr(store, request.verb)(*arguments)


def _with_absent(item: tuple[str, Record, str | None]) -> tuple[Any, ...]:
    session_id, record, expected = item
    return session_id, record, ABSENT if expected is None else expected


class _Clock:
    """The client's time: there is no other in a law."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        return self._now


@cache
def the_server() -> Server:
    """Return the one server of this process, started when it is first asked for."""
    server = Server()
    server.start()
    return server


async def send(writer: asyncio.StreamWriter, message: Any) -> None:
    """Send a message with its length in front."""
    content = msgspec.msgpack.encode(message)
    writer.write(_HEADER.pack(len(content)) + content)
    await writer.drain()


async def receive(reader: asyncio.StreamReader) -> bytes:
    """Receive a whole message.

    Raises:
        EOFError: the connection ended before.
    """
    (length,) = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    return await reader.readexactly(length)
