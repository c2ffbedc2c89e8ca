"""The one place where exceptions of redis-py and of the network become Palaver's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from redis import exceptions as redis_errors

from palaver.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("explain", "is_cut", "is_lasting", "mapped_errors")

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

_TLS_MARK: Final = "[SSL"
# What a side that wants TLS does to one that does not, and a server that ends to anybody.
_ENDED: Final = ("Connection closed by server", "Connection reset", "Connection lost")


_NOT_CUT: Final = (
    redis_errors.AuthenticationError,
    redis_errors.AuthorizationError,
    redis_errors.BusyLoadingError,
    redis_errors.MaxConnectionsError,
    redis_errors.TimeoutError,
    TimeoutError,
)
"""Errors of a connection that another one would have, too, or that have taken their time already."""

_LASTING: Final = (redis_errors.AuthenticationError, redis_errors.AuthorizationError, redis_errors.NoPermissionError)
_LASTING_MARKS: Final = (
    *("ACL failure in script", "can't run this command", "same slot", "unknown command", "DB index is out of range"),
    "certificate verify failed",
)


def is_lasting(error: Exception) -> bool:
    """Tell whether an error does not pass by itself, as a wrong password, so that nobody needs to try again."""
    return isinstance(error, _LASTING) or any(mark in str(error) for mark in _LASTING_MARKS)


def is_cut(error: Exception) -> bool:
    """Tell whether a connection has ended, so that another one may work."""
    return isinstance(error, redis_errors.ConnectionError | OSError) and not isinstance(error, _NOT_CUT)


@contextmanager
def mapped_errors(shown: str, *, is_first: bool = False) -> Iterator[None]:
    """Raise what goes wrong inside as `StoreUnavailableError`.

    Args:
        shown: where the server is, without any credential.
        is_first: whether nothing has ever come from there: perhaps it does not speak the same.
    """
    try:
        yield
    except (redis_errors.RedisError, redis_errors.RedisClusterException, OSError) as error:
        reason, retryable = explain(error, is_first=is_first), not is_lasting(error)
        raise StoreUnavailableError(reason, store=shown, retryable=retryable) from error


def explain(error: Exception, *, is_first: bool = False) -> str:
    """Say what is wrong, with what the server says itself, and drop from it what may be a secret or a state."""
    said = _without_arguments(error)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return f"{reason} ({said})" if said else reason
    for mark, reason in _REASONS_BY_TEXT.items():
        if mark in said:
            return f"{reason} ({said})"
    if isinstance(error, redis_errors.ConnectionError) and any(mark in said for mark in _tls_marks(is_first=is_first)):
        return f"{said}. Does one side want TLS and the other not? rediss:// is with TLS, redis:// without"
    return said or type(error).__name__


def _tls_marks(*, is_first: bool) -> tuple[str, ...]:
    return (_TLS_MARK, *_ENDED) if is_first else (_TLS_MARK,)


def _without_arguments(error: Exception) -> str:
    # A server that does not know a command repeats its arguments: a password, a payload.
    said, mark, _ = str(error).partition(", with args beginning with")
    if mark:
        error.args = (said,)
    return said
