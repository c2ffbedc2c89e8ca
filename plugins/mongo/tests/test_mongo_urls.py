"""MongoDB URLs and the options in them."""

from __future__ import annotations

import traceback
from datetime import timedelta

import pytest
from pymongo import AsyncMongoClient

from palaver import InvalidOptionError, SessionStore, UnsupportedError, open_store
from palaver_mongo import MongoSessionStore


def test_as_in_the_seed() -> None:
    """A store is made from an address, the name of a collection, and a ttl in seconds."""
    store = MongoSessionStore("mongodb://localhost:27017/", collection_name="session", ttl=10)
    assert repr(store) == "<MongoSessionStore mongodb://localhost:27017/ collection 'session'>"
    assert store.ttl == timedelta(seconds=10)
    assert repr(MongoSessionStore()) == "<MongoSessionStore mongodb://localhost:27017 collection 'sessions'>"


def test_options_in_the_url() -> None:
    """Palaver's options in a URL are the store's, pymongo's are left to it, and keywords take precedence."""
    store = open_store(
        "mongodb://h1,h2:27018/shop?ttl=60&replicaSet=rs&namespace=a%26b&collection_name=c&connect_timeout=2&timeout=3&tls=true",
        namespace="other",
    )
    assert isinstance(store, MongoSessionStore)
    assert repr(store) == "<MongoSessionStore mongodb://h1,h2:27018/shop collection 'c'>"
    assert (store.ttl, store.namespace) == (timedelta(seconds=60), "other")
    assert open_store("mongodb://h/?namespace=a%26b").namespace == "a&b"
    assert isinstance(open_store("mongodb+srv://bot:secret@cluster.example.com/shop?w=majority"), SessionStore)


PASSWORD = "hush/hush"

BAD_URLS = [
    "http://localhost",
    "mongodb://",
    "mongodb:localhost",
    "mongodb://localhost/?ttll=60",
    "mongodb://localhost/?ttl=soon",
    "mongodb://localhost/?ttl=60&ttl=70",
    "mongodb://localhost/?connect_timeout=0",
    "mongodb://localhost/?connect_timeout=inf",
    "mongodb://localhost/?timeout=0",
    "mongodb://localhost/?collection_name=",
    "mongodb://localhost/?w=0",
    "mongodb://localhost/?w=-1",
    "mongodb://localhost/?maxPoolSize=many",
    "mongodb://localhost/?nonsense",
    "mongodb://localhost/shop.sessions",
    f"mongodb://bot:{PASSWORD}@localhost/shop",
    f"mongodb://bot:{PASSWORD}%@localhost:x",
    f"mongodb+srv://bot:{PASSWORD}@cluster.example.com/",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_bad_url(url: str) -> None:
    """A URL that cannot be used is refused at once, and no part of its password is shown."""
    with pytest.raises(InvalidOptionError) as caught:
        open_store(url) if url.startswith("mongodb") and "://" in url else MongoSessionStore(url)
    assert "hush" not in "".join(traceback.format_exception(caught.value)).replace(repr(url), "").replace(url, "")


@pytest.mark.parametrize("name", ["", "a$b", "a\0", "system.users", None, b"sessions"])
def test_bad_collection_name(name: str) -> None:
    """A name that no collection can have is refused at once."""
    with pytest.raises(InvalidOptionError, match="collection_name"):
        MongoSessionStore(collection_name=name)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "5", None])
def test_bad_connect_timeout(seconds: float) -> None:
    """A time that is not a positive number of seconds is refused at once."""
    with pytest.raises(InvalidOptionError, match="connect_timeout"):
        MongoSessionStore(connect_timeout=seconds)
    with pytest.raises(InvalidOptionError, match="timeout"):
        MongoSessionStore(timeout=seconds)


def test_neither_url_nor_client() -> None:
    """What is neither a URL nor a client is refused at once."""
    with pytest.raises(InvalidOptionError, match="not str or AsyncMongoClient"):
        MongoSessionStore(27017)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "durable"),
    [("", True), ("?w=majority", True), ("?w=1", False), ("?journal=false", False), ("?w=2&journal=true", False)],
)
async def test_durable_unless_the_url_says_otherwise(query: str, durable: bool) -> None:
    """Writes are confirmed by a majority that has them on disk, and a store that asks for less does not claim it."""
    assert MongoSessionStore(f"mongodb://localhost/{query}").capabilities.durable is durable


async def test_password_is_never_shown() -> None:
    """A password is neither in the repr of a store nor in its errors."""
    store = MongoSessionStore("mongodb://bot:hush@127.0.0.1:1/shop?authSource=admin", connect_timeout=0.1)
    assert repr(store) == "<MongoSessionStore mongodb://***@127.0.0.1:1/shop collection 'sessions'>"
    assert "hush" not in str(UnsupportedError("x", store=repr(store)))


def test_client_that_does_not_wait_for_answers() -> None:
    """A client that was made with w=0 is refused: it could not say what was stored."""
    with pytest.raises(InvalidOptionError, match="w=0"):
        MongoSessionStore(AsyncMongoClient("mongodb://localhost/?w=0"))


def test_an_option_that_there_is_not() -> None:
    """Ours are named, and the one that was meant; the others are those of every MongoDB URL."""
    with pytest.raises(InvalidOptionError, match="option 'tll': unknown; did you mean 'ttl'") as caught:
        open_store("mongodb://localhost/?tll=5&maxPoolSize=3")
    assert "collection_name" in str(caught.value)
    with pytest.raises(InvalidOptionError, match="did you mean 'maxPoolSize'"):
        open_store("mongodb://localhost/?maxPolSize=3")
    with pytest.raises(InvalidOptionError, match="must be an integer"):
        open_store("mongodb://localhost/?maxPoolSize=many")
