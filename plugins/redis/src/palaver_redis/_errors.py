"""The one place where exceptions of redis-py and of the network become Palaver's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from redis import exceptions as redis_errors

from palaver.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("explain", "mapped_errors")

_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis_errors.AuthenticationError, "it refuses the user or the password"),
    (redis_errors.AuthorizationError, "it refuses the user or the password"),
    (redis_errors.BusyLoadingError, "it is still loading its data"),
    (redis_errors.ReadOnlyError, "it is a read-only replica; use the address of the primary"),
    (redis_errors.OutOfMemoryError, "its memory is full"),
    (redis_errors.NoPermissionError, "the user may not do what is needed; allow it with ACL SETUSER"),
    (redis_errors.ClusterDownError, "the cluster is down"),
    (redis_errors.AskError, "it sends to another node of its cluster, which a URL with redis+cluster:// finds"),
    (redis_errors.TimeoutError, "it did not answer in time"),
    (TimeoutError, "it did not answer in time"),
)

# What has no class of its own; before Redis 7, any error inside a script is text inside another one.
_REASONS_BY_TEXT: Final = {
    "-OOM ": "its memory is full",
    "-READONLY ": "it is a read-only replica",
    "same slot": "it is a node of a cluster, which is used by a URL with redis+cluster://",
    "ACL failure in script": "the user may not do what is needed; allow it with ACL SETUSER",
    "can't run this command": "the user may not do what is needed; allow it with ACL SETUSER",
}

_TLS_MARKS: Final = ("[SSL", "Connection closed by server", "Connection reset", "Connection lost")


@contextmanager
def mapped_errors(shown: str) -> Iterator[None]:
    """Raise what goes wrong inside as `StoreUnavailableError`.

    Args:
        shown: where the server is, without any credential.
    """
    try:
        yield
    except (redis_errors.RedisError, redis_errors.RedisClusterException, OSError) as error:
        raise StoreUnavailableError(explain(error), store=shown) from error


def explain(error: Exception) -> str:
    """Say what is wrong, with what the server says itself, and drop from it what may be a secret or a state."""
    said = _without_arguments(error)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return f"{reason} ({said})" if said else reason
    for mark, reason in _REASONS_BY_TEXT.items():
        if mark in said:
            return f"{reason} ({said})"
    if isinstance(error, redis_errors.ConnectionError) and any(mark in said for mark in _TLS_MARKS):
        return f"{said}. Does one side want TLS and the other not? rediss:// is with TLS, redis:// without"
    return said or type(error).__name__


def _without_arguments(error: Exception) -> str:
    # A server that does not know a command repeats its arguments: a password, a payload.
    said, mark, _ = str(error).partition(", with args beginning with")
    if mark:
        error.args = (said,)
    return said
