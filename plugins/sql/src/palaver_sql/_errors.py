"""The one place where exceptions of SQLAlchemy and of database drivers become Palaver's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from palaver.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palaver_sql._dialects import Dialect

__all__ = ("mapped_errors",)


@contextmanager
def mapped_errors(dialect: Dialect) -> Iterator[None]:
    """Raise what goes wrong inside as `StoreUnavailableError`."""
    try:
        yield
    except DBAPIError as error:
        raise StoreUnavailableError(dialect.explain(error), store=dialect.location) from error
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"{type(error).__name__} of SQLAlchemy", store=dialect.location) from error
