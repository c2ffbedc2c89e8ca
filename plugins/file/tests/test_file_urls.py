"""The URLs of the file store."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from palaver import InvalidOptionError, open_store
from palaver_file import FileSessionStore


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:", ".sessions"),
        ("file://", ".sessions"),
        ("file:.sessions", ".sessions"),
        ("file:relative/dir", "relative/dir"),
        ("file:../up", "../up"),
        ("file:with%20space/100%25", "with space/100%"),
        ("file:what%3F?ttl=1", "what?"),
        ("FILE:.sessions", ".sessions"),
    ],
)
def test_relative_folder(url: str, path: str) -> None:
    """A path without a leading slash is relative; what is percent-encoded is decoded."""
    store = open_store(url)
    assert isinstance(store, FileSessionStore)
    assert repr(store) == f"<FileSessionStore {path!r}>"


@pytest.mark.skipif(os.name == "nt", reason="on Windows such a path has backslashes")
@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///var/lib/bot/sessions", "/var/lib/bot/sessions"),
        ("file:/var/lib/bot", "/var/lib/bot"),
        ("file:///with%20space/b%C3%B6t", "/with space/böt"),
    ],
)
def test_absolute_folder(url: str, path: str) -> None:
    """A path with a leading slash is absolute."""
    assert repr(open_store(url)) == f"<FileSessionStore {path!r}>"


@pytest.mark.skipif(os.name != "nt", reason="only Windows has drives")
def test_folder_on_a_drive() -> None:
    """A drive stands in a URL as its first part, or before a relative path."""
    path = "C:\\bot\\sessions"
    assert repr(open_store("file:///C:/bot/sessions")) == f"<FileSessionStore {path!r}>"


@pytest.mark.parametrize("url", ["file://host/x", "file://.sessions", "file://localhost/x", "file://C:/x"])
def test_host(url: str) -> None:
    """A URL with a host is refused, and the message says how to write it."""
    with pytest.raises(InvalidOptionError, match=r"write file:folder .* file:///folder"):
        open_store(url)


def test_options() -> None:
    """Options come from the query, and those given by keyword win."""
    store = open_store("file:x?ttl=60&namespace=bot%20one&lock_timeout=2.5", namespace="two")
    assert store.ttl == timedelta(seconds=60)
    assert store.namespace == "two"
    assert open_store("file:x?ttl=none").ttl is None


@pytest.mark.parametrize("query", ["ttl=soon", "ttl=0", "lock_timeout=long", "lock_timeout=0", "color=red", "ttl"])
def test_useless_options(query: str) -> None:
    """An option that is unknown or has no meaning is refused."""
    with pytest.raises(InvalidOptionError):
        open_store(f"file:x?{query}")


def test_nul_in_url() -> None:
    """A path that no system can have is refused."""
    with pytest.raises(InvalidOptionError):
        open_store("file:a%00b")
