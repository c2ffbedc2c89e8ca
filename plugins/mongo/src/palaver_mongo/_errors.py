"""The one place where exceptions of pymongo become Palaver's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from bson.errors import InvalidBSON
from pymongo.errors import (
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from palaver.errors import CorruptSessionError, PalaverError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

__all__ = ("LOCKED", "explain_code", "is_lasting", "mapped_errors")

T = TypeVar("T")

LOCKED: Final = "somebody's transaction has kept it locked for too long"

# https://www.mongodb.com/docs/manual/reference/error-codes/
_TIME_IS_UP: Final = 50

_EXPLANATIONS: Final = {
    13: "the user may not do this; the role readWrite on the database allows it",
    18: "the user or the password is wrong",
    26: "the collection is not there any more",
    _TIME_IS_UP: "the server had no time for it, or somebody's transaction has kept it locked",
    64: "not enough members of the replica set confirmed the write in time",
    91: "the server is shutting down",
    100: "the replica set has too few members for this write concern",
    121: "a validator of the collection refuses what Palaver stores",
    189: "the primary stepped down",
    8000: "the user or the password is wrong",
    10107: "the server is not the primary",
    11000: "a unique index of the collection, besides that of _id, refuses what Palaver stores",
    11600: "the server is shutting down",
    11602: "the primary stepped down",
    13435: "the server is not the primary",
    14031: "the disk of the server is full",
}

_LASTING: Final = {13, 18, 26, 121, 8000, 11000}
"""What does not pass by itself."""


async def mapped_errors(work: Awaitable[T], location: str, session_id: str | None = None) -> T:
    """Await `work`, which may be about one session, and raise what goes wrong as Palaver's errors.

    What the server says of a command that failed may quote the command, and with it somebody's conversation: of those
    errors only the number and its meaning are passed on.
    """
    try:
        return await work
    except NotPrimaryError as error:
        hidden: PalaverError = StoreUnavailableError(explain_code(_code(error)), store=location)
    except OperationFailure as error:
        # A server that tells that the time is up is there: it is this session alone that has to wait.
        alone = session_id if error.code == _TIME_IS_UP else None
        code = _code(error)
        retryable = not is_lasting(code)
        hidden = StoreUnavailableError(explain_code(code), store=location, session_id=alone, retryable=retryable)
    except InvalidBSON:
        hidden = CorruptSessionError("a document is not valid BSON", location=location)
    except ServerSelectionTimeoutError as error:
        raise StoreUnavailableError(str(error).partition(", Timeout:")[0], store=location) from error
    except NetworkTimeout as error:
        raise StoreUnavailableError("there was no answer in time", store=location) from error
    except PyMongoError as error:
        raise StoreUnavailableError(f"{type(error).__name__}: {error}", store=location) from error
    # Outside of `except`, so that the error of pymongo is not attached to it.
    raise hidden


def explain_code(code: int | None) -> str:
    """Say what an error number of the server means."""
    explanation = _EXPLANATIONS.get(code or 0, "the server refused the command")
    return f"{explanation} (error {code})"


def is_lasting(code: int | None) -> bool:
    """Tell whether what an error number means does not pass by itself, so that nobody needs to try again."""
    return code in _LASTING


def _code(error: OperationFailure | NotPrimaryError) -> int | None:
    details: Mapping[str, Any] = dict(error.details or {})
    # A batch has no number of its own, but one for each write concern that was not met.
    concerns: Sequence[Mapping[str, Any]] = details.get("writeConcernErrors") or [details]
    return concerns[0].get("code")
