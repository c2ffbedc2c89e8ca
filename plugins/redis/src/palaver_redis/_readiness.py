"""Is the server fit to keep sessions? Asked once, when a store is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from redis.exceptions import ClusterDownError, ResponseError

from palaver_redis._connections import Command
from palaver_redis._scripts import LOOK

if TYPE_CHECKING:
    from palaver_redis._connections import Connections
    from palaver_redis._keys import Keys

__all__ = ("check_server",)

_NOT_SERVED: Final = "Hash slot not served"


async def check_server(connections: Connections, keys: Keys) -> None:
    """Do once what sessions need, alone and many at a time, on a key that no session has.

    Raises:
        RedisError: the server cannot be used.
    """
    for node in await connections.nodes():
        _raise_error(await node.send([("PING",)]))
    nobody = keys.nobody
    # No session has the second key either. A node of a cluster refuses both in one command, unless asked as a cluster.
    pair = [nobody, nobody + b"\0"]
    answers = await connections.run(
        [
            *(Command(pair[group[0]], ("MGET", *(pair[at] for at in group))) for group in connections.by_slot(pair)),
            Command(nobody, ("SET", nobody, "", "PX", 1000)),
            Command(nobody, ("UNLINK", nobody)),
            Command(nobody, ("GET", nobody)),
            Command(nobody, ("EXISTS", nobody)),
            # What a script may do is checked when it does it: a look at what is not there is GETRANGE and EXISTS.
            Command(nobody, ("EVAL", LOOK.source, 1, nobody, 0)),
            Command(nobody, ("EVALSHA", LOOK.sha, 1, nobody, 0)),
        ]
    )
    _raise_error([answer for answer in answers if not _is_gap(answer)])


def _raise_error(answers: list[object]) -> None:
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer


def _is_gap(answer: object) -> bool:
    """Tell whether a cluster says that no node has the slot, which does not keep it from serving the others."""
    return isinstance(answer, ClusterDownError) and _NOT_SERVED in str(answer)
