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
    quoted_name,
    select,
)
from sqlalchemy.dialects import mysql

from palaver.contract.session_ids import MAX_ID_BYTES
from palaver.errors import InvalidOptionError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.types import TypeEngine

__all__ = (
    "SCHEMA_TABLE",
    "SCHEMA_VERSION",
    "choose_schema",
    "create_tables",
    "has_tables",
    "name_in_sql",
    "sessions_table",
)

SCHEMA_TABLE: Final = "palaver_schema"

# Lower case, because databases disagree about the case of names; short enough for the name of its index.
_TABLE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_TABLE_NAME_BYTES: Final = 48

# Somebody else has made it: its name is quoted, and may have capital letters.
_SCHEMA_NAME: Final = re.compile(r"[A-Za-z0-9_$-]{1,63}")

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


def choose_schema(schema: str | None, engine: AsyncEngine | None) -> str | None:
    """Return the schema of the tables, which the engine's `schema_translate_map` may have under another name.

    Args:
        schema: the schema that is given; None is that of the connection.
        engine: the engine that is given, if there is one.

    Raises:
        InvalidOptionError: the tables can be in no schema of that name.
    """
    translated = {} if engine is None else engine.get_execution_options().get("schema_translate_map") or {}
    name = translated.get(schema, schema)
    if name is not None and (not isinstance(name, str) or not _SCHEMA_NAME.fullmatch(name)):
        raise InvalidOptionError("a name has 1 to 63 of A-Z, a-z, 0-9, _, $ and -", option="schema")
    return name


def sessions_table(name: str, schema: str | None) -> Table:
    """Return the table that keeps the sessions, in a schema that `choose_schema` has returned.

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
        schema=_quoted(schema),
        **_MYSQL,
    )


def name_in_sql(table: Table, quote: str) -> str:
    """Return the name of a table with its schema, for a statement that is written as text."""
    # Both are checked: they have no quotes.
    return ".".join(f"{quote}{name}{quote}" for name in (table.schema, table.name) if name is not None)


def _versions_table(sessions: Table) -> Table:
    """Return the table with the versions, which is in the same schema."""
    return Table(
        SCHEMA_TABLE,
        MetaData(),
        Column("table_name", _text(_TABLE_NAME_BYTES), primary_key=True),
        Column("version", Integer, nullable=False),
        schema=sessions.schema,
        **_MYSQL,
    )


def _quoted(schema: str | None) -> quoted_name | None:
    return None if schema is None else quoted_name(schema, quote=True)


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
            retryable=False,
        )
    if not inspect(connection).has_table(table.name, schema=table.schema):
        return False  # somebody has dropped it
    connection.execute(select(table).limit(0)).all()
    return True


def create_tables(connection: Connection, table: Table, location: str) -> None:
    """Bring the tables to the present version, under the lock of the schema, unless somebody else has just done so.

    Raises:
        StoreUnavailableError: a table of that name is there already, and is not Palaver's.
    """
    if has_tables(connection, table, location):
        return
    versions = _versions_table(table)
    versions.create(connection, checkfirst=True)
    version = _version(connection, table)
    if version is None:
        _begin_with(connection, table, location)
    elif not inspect(connection).has_table(table.name, schema=table.schema):
        version = 0
    for number, step in enumerate(_STEPS[version or 0 :], start=(version or 0) + 1):
        step(connection, table)
        row = versions.c.table_name == table.name
        connection.execute(versions.update().where(row).values(version=number))


def _begin_with(connection: Connection, table: Table, location: str) -> None:
    """Claim the name with version 0: what is interrupted then, where tables know no rollback, goes on from there."""
    if inspect(connection).has_table(table.name, schema=table.schema):
        raise StoreUnavailableError(
            f"its table {table.name!r} is not Palaver's; choose another name with the option table",
            store=location,
            retryable=False,
        )
    connection.execute(_versions_table(table).insert().values(table_name=table.name, version=0))


def _version(connection: Connection, table: Table) -> int | None:
    versions = _versions_table(table)
    if not inspect(connection).has_table(SCHEMA_TABLE, schema=table.schema):
        return None
    return connection.scalar(select(versions.c.version).where(versions.c.table_name == table.name))


def _create(connection: Connection, table: Table) -> None:
    table.create(connection, checkfirst=True)


# What leads from each version to the next, beginning at 0, where there is nothing yet. A step may be done again.
_STEPS: Final[tuple[Callable[[Connection, Table], None], ...]] = (_create,)
SCHEMA_VERSION: Final = len(_STEPS)
