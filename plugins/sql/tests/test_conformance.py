"""The proof: every law of the contract, tried on this store."""

from __future__ import annotations

import pytest
from plugins.sql.tests.harness import MySQLHarness, PostgreSQLHarness, SQLiteHarness

from palaver_conformance import SessionStoreSuite


class TestSQLSessionStoreOnSQLite(SessionStoreSuite):
    """All laws, by inheritance."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> SQLiteHarness:
        return SQLiteHarness(tmp_path_factory.mktemp("conformance"))


class TestSQLSessionStoreOnPostgreSQLWithAsyncpg(SessionStoreSuite):
    """The same on a PostgreSQL server."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, postgresql_database: str) -> PostgreSQLHarness:
        return PostgreSQLHarness(postgresql_database)


class TestSQLSessionStoreOnPostgreSQLWithPsycopg(SessionStoreSuite):
    """The same with another client library."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, postgresql_database: str) -> PostgreSQLHarness:
        return PostgreSQLHarness(postgresql_database.replace("postgresql:", "postgresql+psycopg:"))


class TestSQLSessionStoreOnMySQL(SessionStoreSuite):
    """The same on a MySQL or MariaDB server."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, mysql_database: str) -> MySQLHarness:
        return MySQLHarness(mysql_database)
