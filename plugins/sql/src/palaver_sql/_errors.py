"""The one place where exceptions of SQLAlchemy and of database drivers become Palaver's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from palaver.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from palaver_sql._dialects import Dialect

__all__ = ("mapped_errors",)

T = TypeVar("T")


async def mapped_errors(work: Awaitable[T], dialect: Dialect) -> T:
    """Await `work`, and raise what goes wrong as `StoreUnavailableError`."""
    try:
        return await work
    except OSError as error:
        raise StoreUnavailableError(dialect.explain(error), store=dialect.location) from error
    except DBAPIError as error:
        failure = StoreUnavailableError(dialect.explain(error.orig), store=dialect.location)
        if not dialect.quotes_data:
            raise failure from error
    except dialect.errors as error:
        failure = StoreUnavailableError(dialect.explain(error), store=dialect.location)
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"{type(error).__name__} of SQLAlchemy", store=dialect.location) from error
    # Outside of `except`, so that an error that may quote what is stored is not attached to it.
    raise failure
