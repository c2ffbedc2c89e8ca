"""The tables: one with the sessions, and one that says in which version of the schema they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, inspect, select

from palaver.errors import InvalidOptionError, StoreUnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ("SCHEMA_TABLE", "SCHEMA_VERSION", "create_tables", "has_tables", "sessions_table")

SCHEMA_TABLE: Final = "palaver_schema"
SCHEMA_VERSION: Final = 1

# Lower case, because databases disagree about the case of names; short enough for the name of its index.
_TABLE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")

_versions: Final = Table(
    SCHEMA_TABLE,
    MetaData(),
    Column("table_name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)


def sessions_table(name: str) -> Table:
    """Return the table that keeps the sessions.

    Raises:
        InvalidOptionError: no table can have that name.
    """
    if not isinstance(name, str) or not _TABLE_NAME.fullmatch(name) or name.startswith("sqlite_"):
        raise InvalidOptionError("a name has 1 to 48 of a-z, 0-9 and _, and no digit first", option="table")
    if name == SCHEMA_TABLE:
        raise InvalidOptionError("this name is taken for the versions of the tables", option="table")
    return Table(
        name,
        MetaData(),
        Column("namespace", Text, primary_key=True),
        Column("session_id", Text, primary_key=True),
        Column("payload", LargeBinary, nullable=False),
        Column("version", Text, nullable=False),
        Column("expires_at", BigInteger),
        Index(f"{name}_expiry", "namespace", "expires_at"),
    )


def has_tables(connection: Connection, table: Table, location: str) -> bool:
    """Tell whether the tables are there, in the version that this package knows.

    Raises:
        StoreUnavailableError: they are in another version.
    """
    if not inspect(connection).has_table(SCHEMA_TABLE):
        return False
    version = connection.scalar(select(_versions.c.version).where(_versions.c.table_name == table.name))
    if version is None:
        return False
    _check_version(version, table, location)
    connection.execute(select(table).limit(0))
    return True


def create_tables(connection: Connection, table: Table, location: str) -> None:
    """Create the tables, inside a transaction, unless somebody else has just done so.

    Raises:
        StoreUnavailableError: a table of that name is there already, and is not Palaver's.
    """
    if has_tables(connection, table, location):
        return
    if inspect(connection).has_table(table.name):
        raise StoreUnavailableError(
            f"its table {table.name!r} is not Palaver's; choose another name with the option table", store=location
        )
    _versions.create(connection, checkfirst=True)
    table.create(connection, checkfirst=False)
    connection.execute(_versions.insert().values(table_name=table.name, version=SCHEMA_VERSION))


def _check_version(version: Any, table: Table, location: str) -> None:
    if version != SCHEMA_VERSION:
        raise StoreUnavailableError(
            f"its table {table.name!r} has version {version}, but this palaver-sql knows version {SCHEMA_VERSION} only;"
            " install a newer palaver-sql",
            store=location,
        )
