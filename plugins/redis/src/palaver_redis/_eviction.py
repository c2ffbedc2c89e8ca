"""What the servers do when their memory is full: looked at when a store opens, and from time to time."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, Self

from palaver.errors import StoreUnavailableError

if TYPE_CHECKING:
    from palaver_redis._channel import Channel
    from palaver_redis._connections import Connections

__all__ = ("EvictionWatch",)

_INFO: Final = ("INFO", "memory")
_POLICY: Final = re.compile(rb"^maxmemory_policy:([a-z-]+)", re.MULTILINE)
_HOUR: Final = 3_600_000

_logger = logging.getLogger(__name__)


class EvictionWatch:
    """Warns when a server removes live sessions rather than refuse new ones, once for each policy.

    Args:
        shown: where the servers are, without any credential.
    """

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._next_look: int | None = None
        self._warned_of: set[str] = set()

    @classmethod
    async def begin(cls, connections: Connections, shown: str, now: int) -> Self:
        """Look for the first time.

        Raises:
            RedisError: the connection failed.
        """
        watch = cls(shown)
        answers = [(await node.send([_INFO]))[0] for node in await connections.nodes()]
        policies = [_policy_in(answer) for answer in answers]
        if None in policies:
            _logger.info("%s does not say what it does when its memory is full (maxmemory-policy)", shown)
            return watch
        watch._judge(policies)
        watch._next_look = now + _HOUR
        return watch

    async def look(self, channel: Channel, now: int) -> None:
        """Look again once an hour: somebody may have changed it, or another server have taken over.

        Args:
            channel: the way to the servers.
            now: what time it is, in Unix milliseconds.
        """
        if self._next_look is None or now < self._next_look:
            return
        self._next_look = now + _HOUR
        try:
            self._judge([_policy_in(await channel.ask_node(node, *_INFO)) for node in await channel.nodes()])
        except StoreUnavailableError:
            return  # what is to be saved meets the same server next, and tells

    def _judge(self, policies: list[str | None]) -> None:
        for policy in sorted({name for name in policies if name is not None} - {"noeviction"} - self._warned_of):
            self._warned_of.add(policy)
            _logger.warning(
                "%s has the maxmemory-policy %s: when its memory is full, it silently removes live sessions; "
                "noeviction makes saving fail instead",
                self._shown,
                policy,
            )


def _policy_in(answer: object) -> str | None:
    policy = _POLICY.search(answer) if isinstance(answer, bytes) else None
    return None if policy is None else policy[1].decode()
