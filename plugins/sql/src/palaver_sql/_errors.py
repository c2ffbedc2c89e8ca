"""The one place where exceptions of SQLAlchemy and of database drivers become Palaver's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from palaver.errors import PalaverError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from palaver_sql._dialects import Dialect

__all__ = ("mapped_errors",)

T = TypeVar("T")


async def mapped_errors(work: Awaitable[T], dialect: Dialect) -> T:
    """Await `work`, and raise what goes wrong as `StoreUnavailableError`."""
    try:
        return await work
    except (PalaverError, MemoryError, RecursionError):
        raise
    except DBAPIError as error:
        failure = _failure(dialect, error.orig)
        if not dialect.quotes_data:
            raise failure from error
    except dialect.errors as error:
        failure = _failure(dialect, error)
    except OSError as error:
        raise _failure(dialect, error) from error
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"{type(error).__name__} of SQLAlchemy", store=dialect.location) from error
    except Exception as error:  # noqa: BLE001  # what a client library raises is on no list
        failure = StoreUnavailableError(_explain_other(error), store=dialect.location)
    # Outside of `except`, so that an error that may quote what is stored is not attached to it.
    raise failure


def _failure(dialect: Dialect, error: BaseException | None) -> StoreUnavailableError:
    retryable = not dialect.is_lasting(error)
    return StoreUnavailableError(dialect.explain(error), store=dialect.location, retryable=retryable)


def _explain_other(error: Exception) -> str:
    """Say what is wrong, without the text of an error that may quote what is stored."""
    if type(error) is UnicodeError:  # which the lookup of a host such as `db..svc` raises; those about data are others
        return f"the name of its host cannot be used: {error}"
    return f"its client library failed with {type(error).__name__}"
