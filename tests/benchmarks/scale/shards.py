"""How sessions spread over several machines, by the keys that the stores use: counted, not guessed."""

from __future__ import annotations

import random
from collections import Counter
from hashlib import md5
from statistics import mean
from typing import TYPE_CHECKING, Final

import msgspec
from redis.crc import key_slot

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Spread", "spreads")

SESSIONS: Final = 1_000_000
NODES: Final = (3, 10, 30)
BATCH: Final = 100
BATCHES: Final = 200

_SLOTS: Final = 16384


class Spread(msgspec.Struct, frozen=True):
    """How a way to share sessions among nodes spreads them."""

    way: str
    nodes: int
    fullest: float
    """How many times as many sessions as the mean the fullest node has."""
    newest: float
    """The share of the newest 10,000 sessions that is on the node that has most of them."""
    nodes_of_a_batch: float
    """To how many nodes a batch of 100 goes."""


def spreads() -> list[Spread]:
    """Spread a million sessions in each way, over each number of nodes."""
    ids = [f"telegram:{number}" for number in range(5_000_000_000, 5_000_000_000 + SESSIONS)]
    return [_spread(way, place, ids, nodes) for way, place in _WAYS.items() for nodes in NODES]


def _spread(way: str, place: Callable[[str, int], int], ids: list[str], nodes: int) -> Spread:
    places = [place(session_id, nodes) for session_id in ids]
    chance = random.Random(0)  # no secret
    batches = [{places[chance.randrange(SESSIONS)] for _ in range(BATCH)} for _ in range(BATCHES)]
    newest = Counter(places[-10_000:]).most_common(1)[0][1] / 10_000
    fullest = Counter(places).most_common(1)[0][1] / (SESSIONS / nodes)
    return Spread(way, nodes, fullest, newest, mean(map(len, batches)))


def _by_slot(session_id: str, nodes: int) -> int:
    """Redis Cluster: the CRC-16 of the key is its slot; each node has a range of slots."""
    return key_slot(f"palaver:shop:{session_id}".encode()) * nodes // _SLOTS


def _by_hash(session_id: str, nodes: int) -> int:
    """MongoDB with a hashed shard key, PostgreSQL with partitions by hash: some hash that spreads well."""
    digest = md5(session_id.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "little") % nodes


def _by_range(session_id: str, nodes: int) -> int:
    """Ranges of ids, drawn when the first half of all sessions was there; what comes later is in the last one."""
    number = int(session_id.partition(":")[2]) - 5_000_000_000
    return min(number * nodes // (SESSIONS // 2), nodes - 1)


_WAYS: Final = {"slot of the key": _by_slot, "hash of the id": _by_hash, "range of ids": _by_range}
