"""URLs and options."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

from palaver import open_store
from palaver.errors import InvalidOptionError
from palaver_sql import SQLSessionStore

if TYPE_CHECKING:
    from pathlib import Path


def test_url_opens_the_store(url: str) -> None:
    """The scheme sqlite is discovered, and the options of the URL are the store's."""
    store = open_store(f"{url}?ttl=60&namespace=shop&table=bots&timeout=5")
    assert isinstance(store, SQLSessionStore)
    assert store.ttl == timedelta(seconds=60)
    assert store.namespace == "shop"
    assert repr(store) == f"<SQLSessionStore {url} table 'bots'>"


def test_keywords_win_over_the_url(url: str) -> None:
    """An option that is given twice is that of the call."""
    store = open_store(f"{url}?ttl=60&table=bots", ttl=None, table="others")
    assert store.ttl is None
    assert repr(store) == f"<SQLSessionStore {url} table 'others'>"


@pytest.mark.parametrize("scheme", ["sqlite", "SQLite", "sqlite+aiosqlite", "sqlite+pysqlite"])
def test_schemes_of_sqlalchemy_are_understood(tmp_path: Path, scheme: str) -> None:
    """A URL that other programs use for the database works here, too."""
    assert repr(open_store(f"{scheme}:///{tmp_path}/bot.db")) == repr(open_store(f"sqlite:///{tmp_path}/bot.db"))


def test_url_may_be_an_object_of_sqlalchemy(url: str) -> None:
    """Where SQLAlchemy is in use already, its URL is enough."""
    assert repr(SQLSessionStore(make_url(url))) == repr(SQLSessionStore(url))


def test_uri_of_sqlite_is_understood(tmp_path: Path) -> None:
    """The form in which SQLAlchemy's documentation writes modes names the same file."""
    store = SQLSessionStore(f"sqlite:///file:{tmp_path}/a%20b.db?mode=ro&uri=true")
    assert repr(store) == repr(SQLSessionStore(f"sqlite:///{tmp_path}/a b.db"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("?foo=1", "foo"),
        ("?timeout=5&check_same_thread=1", "check_same_thread"),
        ("?isolation_level=DEFERRED", "isolation_level"),
        ("?timeout=soon", "timeout"),
        ("?timeout=-1", "timeout"),
        ("?timeout=nan", "timeout"),
        ("?mode=memory", "mode"),
        ("?ttl=soon", "ttl"),
        ("?table=a-b", "table"),
        ("?timeout=1&timeout=2", "url"),
    ],
)
def test_unknown_options_and_values_are_named(url: str, options: str, name: str) -> None:
    """An option that nobody knows, or whose value means nothing, is refused by name before anything is opened."""
    with pytest.raises(InvalidOptionError) as caught:
        open_store(url + options)
    assert caught.value.option == name


@pytest.mark.parametrize(
    ("option", "guess"), [("tlt", "ttl"), ("name_space", "namespace"), ("time_out", "timeout"), ("mod", "mode")]
)
def test_unknown_option_names_those_that_there_are(url: str, option: str, guess: str) -> None:
    """The error names every option that the URL can have, and guesses which one was meant."""
    with pytest.raises(InvalidOptionError, match=f"did you mean '{guess}'.* mode, namespace, table, timeout, ttl"):
        open_store(f"{url}?{option}=1")


@pytest.mark.parametrize("timeout", [-1, "soon", float("nan"), 3601, b"1"])
def test_timeout_that_means_nothing(url: str, timeout: Any) -> None:
    """It is refused when it is given by keyword, too."""
    with pytest.raises(InvalidOptionError) as caught:
        SQLSessionStore(url, timeout=timeout)
    assert caught.value.option == "timeout"


@pytest.mark.parametrize("query", ["timeout=1&timeout=2", "ttl=60", "foo=1"])
def test_direct_construction_checks_the_url_as_well(url: str, query: str) -> None:
    """Options that are not SQLite's are keywords of the class, and do not go unnoticed in its URL."""
    with pytest.raises(InvalidOptionError):
        SQLSessionStore(f"{url}?{query}")


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///file:?uri=1"],
)
def test_database_in_memory_is_refused(url: str) -> None:
    """A database that ends with the store keeps nothing; the error names what to use instead."""
    with pytest.raises(InvalidOptionError, match="memory://"):
        open_store(url)


def test_unsupported_database_says_what_is_supported() -> None:
    """The error names the databases that there are, and not the password."""
    with pytest.raises(InvalidOptionError, match="'oracle' is not supported; there is mariadb, mysql") as caught:
        SQLSessionStore("oracle://scott:tiger@host/db")
    assert "tiger" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["sqlite:bot.db", "sqlite+sqlcipher:///bot.db", "sqlite://host/bot.db", "sqlite://u:tiger@/b", "tiger", ""],
)
def test_url_that_cannot_be_used(url: str) -> None:
    """It is an invalid option, and its text is not in the error."""
    with pytest.raises(InvalidOptionError) as caught:
        SQLSessionStore(url)
    assert caught.value.option == "url"
    assert "tiger" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "table", ["", "1a", "a b", "a.b", "A", "ä", "a;", "x" * 49, "palaver_schema", "sqlite_x", "a\n"]
)
def test_name_that_no_table_can_have(url: str, table: str) -> None:
    """Names that mean different things to different databases are refused."""
    with pytest.raises(InvalidOptionError) as caught:
        SQLSessionStore(url, table=table)
    assert caught.value.option == "table"
