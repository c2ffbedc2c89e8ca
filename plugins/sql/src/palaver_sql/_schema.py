"""The tables: one with the sessions, and one that says in which version of the schema they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    inspect,
    select,
)
from sqlalchemy.dialects import mysql

from palaver.errors import InvalidOptionError, StoreUnavailableError
from palaver.session_ids import MAX_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

__all__ = ("SCHEMA_TABLE", "SCHEMA_VERSION", "create_tables", "has_tables", "sessions_table")

SCHEMA_TABLE: Final = "palaver_schema"

# Lower case, because databases disagree about the case of names; short enough for the name of its index.
_TABLE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_TABLE_NAME_BYTES: Final = 48

# Names, because of MySQL: other engines than InnoDB have no transactions, and other row formats no room for the key.
_OPTIONS: Final = {"engine": "InnoDB", "row_format": "DYNAMIC"}
_MYSQL: Final[dict[str, Any]] = {
    f"{name}_{option}": value for name in ("mysql", "mariadb") for option, value in _OPTIONS.items()
}


class _BinaryText(TypeDecorator[str]):
    """Text as its UTF-8 bytes, for databases that compare text by rules of their own."""

    impl = mysql.VARBINARY
    cache_ok = True

    def process_bind_param(self, value: str | bytes | None, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        """Return the bytes, those of damaged text as they came."""
        return value if value is None or isinstance(value, bytes) else value.encode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        """Return the text; bytes that are none, put in by hand, as they are."""
        try:
            return value.decode()
        except (AttributeError, UnicodeDecodeError):
            return value


def _text(size: int) -> TypeEngine[str]:
    """Return text that is compared byte by byte, and can be read by people, in every database."""
    return Text().with_variant(Text(collation="C"), "postgresql").with_variant(_BinaryText(size), "mysql", "mariadb")


_versions: Final = Table(
    SCHEMA_TABLE,
    MetaData(),
    Column("table_name", _text(_TABLE_NAME_BYTES), primary_key=True),
    Column("version", Integer, nullable=False),
    **_MYSQL,
)


def sessions_table(name: str) -> Table:
    """Return the table that keeps the sessions.

    Raises:
        InvalidOptionError: no table can have that name.
    """
    if not isinstance(name, str) or not _TABLE_NAME.fullmatch(name) or name.startswith(("sqlite_", "pg_")):
        raise InvalidOptionError("a name has 1 to 48 of a-z, 0-9 and _, and no digit first", option="table")
    if name == SCHEMA_TABLE:
        raise InvalidOptionError("this name is taken for the versions of the tables", option="table")
    return Table(
        name,
        MetaData(),
        Column("namespace", _text(MAX_ID_BYTES), primary_key=True),
        Column("session_id", _text(MAX_ID_BYTES), primary_key=True),
        Column("payload", LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb"), nullable=False),
        Column("version", _text(MAX_ID_BYTES), nullable=False),
        Column("expires_at", BigInteger),
        Column("due_at", BigInteger),
        Index(f"{name}_due", "namespace", "due_at"),
        **_MYSQL,
    )


def has_tables(connection: Connection, table: Table, location: str) -> bool:
    """Tell whether the tables are there, in the version that this package knows.

    Raises:
        StoreUnavailableError: they are in a later version.
    """
    version = _version(connection, table)
    if version is None or version < SCHEMA_VERSION:
        return False
    if version > SCHEMA_VERSION:
        raise StoreUnavailableError(
            f"its table {table.name!r} has version {version}, but this palaver-sql knows version {SCHEMA_VERSION} only;"
            " install a newer palaver-sql",
            store=location,
        )
    connection.execute(select(table).limit(0)).all()
    return True


def create_tables(connection: Connection, table: Table, location: str) -> None:
    """Bring the tables to the present version, under the lock of the schema, unless somebody else has just done so.

    Raises:
        StoreUnavailableError: a table of that name is there already, and is not Palaver's.
    """
    if has_tables(connection, table, location):
        return
    _versions.create(connection, checkfirst=True)
    version = _version(connection, table)
    if version is None:
        _begin_with(connection, table, location)
    for number, step in enumerate(_STEPS[version or 0 :], start=(version or 0) + 1):
        step(connection, table)
        row = _versions.c.table_name == table.name
        connection.execute(_versions.update().where(row).values(version=number))


def _begin_with(connection: Connection, table: Table, location: str) -> None:
    """Claim the name with version 0: what is interrupted then, where tables know no rollback, goes on from there."""
    if inspect(connection).has_table(table.name):
        raise StoreUnavailableError(
            f"its table {table.name!r} is not Palaver's; choose another name with the option table", store=location
        )
    connection.execute(_versions.insert().values(table_name=table.name, version=0))


def _version(connection: Connection, table: Table) -> int | None:
    if not inspect(connection).has_table(SCHEMA_TABLE):
        return None
    return connection.scalar(select(_versions.c.version).where(_versions.c.table_name == table.name))


def _create(connection: Connection, table: Table) -> None:
    table.create(connection, checkfirst=True)


# What leads from each version to the next, beginning at 0, where there is nothing yet. A step may be done again.
_STEPS: Final[tuple[Callable[[Connection, Table], None], ...]] = (_create,)
SCHEMA_VERSION: Final = len(_STEPS)
