"""Sessions in Redis, one key for each."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Self, Unpack
from zlib import crc32

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from palaver.contract.batches import BatchSessionStore
from palaver.contract.store import Capabilities
from palaver.errors import CorruptSessionError
from palaver.toolkit.cancellation import run_to_end
from palaver.toolkit.lifecycle import Lifecycle
from palaver.toolkit.options import check_seconds
from palaver_redis._channel import Channel, chunks
from palaver_redis._clients import Timeouts, check_client, connect, describe
from palaver_redis._connections import Command
from palaver_redis._errors import mapped_errors
from palaver_redis._eviction import EvictionWatch
from palaver_redis._format import (
    GONE_ALREADY,
    MAX_HEADER_BYTES,
    decode_record,
    encode_record,
    encode_version,
    expiry_text,
    time_to_live,
)
from palaver_redis._keys import Keys
from palaver_redis._location import Location, parse_url
from palaver_redis._readiness import check_server
from palaver_redis._scripts import CLEAR, DAMAGED, EXPIRED, LIVE, LOOK, PURGE, REMOVE, SWAP, TOUCH
from palaver_redis._values import read_values

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from redis.asyncio import Redis

    from palaver.contract.record import Absent, Record
    from palaver.contract.store import StoreOptions
    from palaver_redis._clients import Place
    from palaver_redis._connections import Answer, Node
    from palaver_redis._scripts import Script

__all__ = ("RedisSessionStore",)

DEFAULT_URL: Final = "redis://localhost"
DEFAULT_CONNECT_TIMEOUT: Final = 4.0
DEFAULT_TIMEOUT: Final = 4.0
DEFAULT_CALLS: Final = 16

_MAX_VALUE_BYTES: Final = 512 * 1024 * 1024
"""The largest value that Redis takes, unless somebody changed its configuration."""

_PAGE: Final = 512
_REMEMBERED: Final = 1_000_000
"""How many keys a scan remembers, so as to name none twice: about 150 MB. Where the server has more, the scan goes over
its keys several times and looks at another part of them each time."""

_DAMAGED: Final = -1

_logger = logging.getLogger(__name__)


class RedisSessionStore(BatchSessionStore):
    """Keeps each session under a key of its own in Redis, Valkey, Redis Cluster, or whatever Sentinel watches.

    Args:
        url_or_client: `redis://`, `rediss://`, `unix://`, `redis+cluster://` or `redis+sentinel://`, or a client of
            `redis.asyncio` that the store uses and never closes.
        connect_timeout: for how many seconds a connection may take to come up; a client has its own.
        timeout: for how many seconds an answer may take; a client has its own.
        **options: `ttl`, `namespace` and `clock`, as for every store.

    Raises:
        InvalidOptionError: an option, the URL or the client cannot be used.
    """

    capabilities = Capabilities(
        swap=True,
        batch=True,
        touch=True,
        scan=True,
        purge=True,
        clear=True,
        durable=True,
        shared=True,
        max_payload_bytes=_MAX_VALUE_BYTES - MAX_HEADER_BYTES,
    )

    batches_in_flight = 2

    def __init__(
        self,
        url_or_client: str | Redis | RedisCluster = DEFAULT_URL,
        *,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        timeout: float = DEFAULT_TIMEOUT,
        **options: Unpack[StoreOptions],
    ) -> None:
        super().__init__(**options)
        self._place = parse_url(url_or_client) if isinstance(url_or_client, str) else check_client(url_or_client)
        self._timeouts = Timeouts(
            connect=check_seconds(connect_timeout, "connect_timeout"), answer=check_seconds(timeout, "timeout")
        )
        self._shown = describe(self._place)
        self._keys = Keys(self.namespace)
        self._lifecycle = Lifecycle(repr(self), self._open, Channel.close, Channel.abandon)
        self._eviction = EvictionWatch(self._shown)

    def __repr__(self) -> str:
        return f"<RedisSessionStore {self._shown}>"

    async def init(self) -> Self:
        await self._lifecycle.open()
        return self

    async def close(self) -> None:
        await self._lifecycle.close()

    async def destroy(self, session_id: str) -> None:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        key = self._keys.key(session_id)
        [answer] = await channel.change([Command(key, ("UNLINK", key))])
        channel.checked(answer)

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        wanted = list(session_ids)
        keys = list(map(self._keys.key, wanted))
        found = await read_values(channel, keys)
        now = self.clock.now()
        return [self._live(channel, session_id, found[key], now) for session_id, key in zip(wanted, keys, strict=True)]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        self.check_sizes(items)
        now = self.clock.now()
        await self._eviction.look(channel, now)
        for chunk in chunks(items, _payload_bytes):
            for answer in await channel.change([self._write(session_id, record, now) for session_id, record in chunk]):
                channel.checked(answer)

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        swaps = list(items)
        self.check_sizes(swaps)
        now = self.clock.now()
        await self._eviction.look(channel, now)
        answers: list[int] = []
        for chunk in chunks(swaps, _payload_bytes):
            answers += await channel.change_script(SWAP, now, [self._swap(*swap, now) for swap in chunk])
        return [self._is_done(answer, session_id) for answer, (session_id, _, _) in zip(answers, swaps, strict=True)]

    async def remove(self, session_id: str, expected: str) -> bool:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        call = self._keys.key(session_id), (encode_version(expected),)
        [answer] = await channel.change_script(REMOVE, self.clock.now(), [call])
        return self._is_done(answer, session_id)

    async def touch(self, session_id: str, expires_at: int | None) -> bool:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        now = self.clock.now()
        arguments = (expiry_text(expires_at), _ttl_text(time_to_live(expires_at, now)))
        [answer] = await channel.change_script(TOUCH, now, [(self._keys.key(session_id), arguments)])
        return self._is_done(answer, session_id)

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        try:
            start = prefix.encode()
        except UnicodeEncodeError:
            return  # no id begins with it
        passes = 1 + await _count_keys(channel) // _REMEMBERED
        for part in range(passes):
            # A server may name a key several times while its table shrinks.
            seen: set[bytes] = set()
            async with aclosing(self._sweep(LOOK, start)) as pages:
                async for page in pages:
                    new = {key for key in page if crc32(key) % passes == part} - seen
                    seen |= new
                    for session_id in self._live_ids(page, new):
                        yield session_id

    async def purge(self) -> int:
        """Remove what has expired, for those who cannot wait until the server does it by itself.

        It looks at every key of the server, a page at a time: each session has a key of its own, and no list of them.
        """
        return await self._remove(PURGE, EXPIRED)

    async def clear(self) -> int:
        """Remove every session of this namespace, those that are damaged included."""
        return await self._remove(CLEAR, LIVE)

    async def _open(self) -> Channel:
        with mapped_errors(self._shown, is_first=True):
            connections = connect(self._place, self._timeouts)
            try:
                await connections.open()
                await check_server(connections, self._keys)
                self._eviction = await EvictionWatch.begin(connections, self._shown, self.clock.now())
            except BaseException:
                await run_to_end(connections.close())
                raise
        return Channel(connections, self._shown, calls=_calls(self._place), timeout=self._timeouts.answer)

    def _write(self, session_id: str, record: Record, now: int) -> Command:
        """Return the command that stores a record."""
        key, ttl = self._keys.key(session_id), time_to_live(record.expires_at, now)
        if ttl == GONE_ALREADY:
            return Command(key, ("UNLINK", key))
        value = encode_record(record, encode_version(record.version))
        return Command(key, ("SET", key, value) if ttl is None else ("SET", key, value, "PX", ttl))

    def _swap(
        self, session_id: str, record: Record, expected: str | Absent, now: int
    ) -> tuple[bytes, tuple[bytes, ...]]:
        """Return the key and the arguments of a swap."""
        version = encode_version(record.version)
        ttl = _ttl_text(time_to_live(record.expires_at, now))
        return self._keys.key(session_id), (encode_version(expected), version, ttl, encode_record(record, version))

    def _live(self, channel: Channel, session_id: str, value: Answer, now: int) -> Record | None:
        if value is None:
            return None
        if isinstance(value, ResponseError):
            if not str(value).startswith("WRONGTYPE"):
                channel.checked(value)
            raise self._corrupt("its value is not a string", session_id) from value
        record = decode_record(value, session_id, self._shown)
        return None if record.is_expired(now) else record

    def _is_done(self, answer: int, session_id: str) -> bool:
        if answer == _DAMAGED:
            raise self._corrupt("its value does not begin as a session does", session_id)
        return answer == 1

    def _corrupt(self, reason: str, session_id: str) -> CorruptSessionError:
        return CorruptSessionError(reason, session_id=session_id, location=self._shown)

    async def _remove(self, script: Script, counted: bytes) -> int:
        return sum([list(page.values()).count(counted) async for page in self._sweep(script)])

    async def _sweep(self, script: Script, start: bytes = b"") -> AsyncGenerator[dict[bytes, bytes], None]:
        """Run a script over the keys of this namespace; yields keys, each with what was there."""
        pattern = self._keys.pattern(start)
        channel = self._lifecycle.here or await self._lifecycle.enter()
        for node in await channel.nodes():
            cursor = b"0"
            while True:
                cursor, keys = await self._page(node, cursor, pattern)
                yield dict(zip(keys, await self._run(script, keys), strict=True))
                if cursor == b"0":
                    break

    async def _page(self, node: Node, cursor: bytes, pattern: bytes) -> tuple[bytes, list[bytes]]:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        answer = await channel.ask_node(node, "SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE)
        return answer[0], list(dict.fromkeys(answer[1]))

    async def _run(self, script: Script, keys: list[bytes]) -> list[bytes]:
        channel = self._lifecycle.here or await self._lifecycle.enter()
        run = channel.ask_script if script is LOOK else channel.change_script
        return await run(script, self.clock.now(), [(key, ()) for key in keys])

    def _live_ids(self, page: dict[bytes, bytes], new: set[bytes]) -> list[str]:
        for key in new:
            if page[key] == DAMAGED:
                _logger.warning("%s has a damaged session at the key %r", self._shown, key)
        named = [self._keys.session_id(key) for key in new if page[key] == LIVE]
        return [session_id for session_id in named if session_id is not None]


async def _count_keys(channel: Channel) -> int:
    return sum([int(await channel.ask_node(node, "DBSIZE")) for node in await channel.nodes()])


def _payload_bytes(item: tuple[str, Record] | tuple[str, Record, str | Absent]) -> int:
    return len(item[1].payload)


def _ttl_text(ttl: int | None) -> bytes:
    return b"" if ttl is None else b"%d" % ttl


def _calls(place: Place) -> int:
    if isinstance(place, RedisCluster):
        return min(int(place.connection_kwargs["max_connections"]), DEFAULT_CALLS)
    if isinstance(place, Location):
        return place.options.get("max_connections") or DEFAULT_CALLS
    return min(place.connection_pool.max_connections, DEFAULT_CALLS)
