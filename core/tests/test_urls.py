"""Store URLs: scheme, options, and what may be shown."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest

from palaver import InvalidOptionError, SystemClock
from palaver.toolkit.options import merge_options
from palaver.toolkit.urls import check_host, redact_url, split_query, url_scheme

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("url", "scheme"),
    [("memory://", "memory"), ("file:.sessions", "file"), ("REDIS+Cluster://h", "redis+cluster"), ("a:b:c", "a")],
)
def test_the_scheme_stands_before_the_colon(url: str, scheme: str) -> None:
    """It is compared in lower case."""
    assert url_scheme(url) == scheme


@pytest.mark.parametrize("url", ["", "redis", "//host", "1a:b", ":x", None])
def test_text_without_a_scheme_is_no_url(url: Any) -> None:
    """The error shows how a store URL begins."""
    with pytest.raises(InvalidOptionError, match=r"memory://"):
        url_scheme(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost/0", "redis://localhost/0"),
        ("redis://user:secret@host:6379/0?password=secret", "redis://***@host:6379/0"),
        ("redis://:se/cr@et@host/0", "redis://***@host/0"),
        ("redis://:se?cret@host/0", "redis://***@host/0"),
        ("redis://host/0?password=se@cret", "redis://***@cret"),
        ("sqlite:////var/lib/a@b.db", "sqlite:////var/lib/a@b.db"),
        ("file:.sessions?ttl=5", "file:.sessions"),
    ],
)
def test_no_secret_of_a_url_is_shown(url: str, shown: str) -> None:
    """User, password and query are left out, even where the URL is not well formed."""
    assert redact_url(url) == shown


def test_options_come_from_the_query_and_by_keyword() -> None:
    """Keywords win; text becomes what the option is."""
    address, query = split_query("memory://x?ttl=60&namespace=a%20b&max=5")
    clock = SystemClock()

    assert address == "memory://x"
    assert merge_options(query, {"ttl": 10, "clock": clock}, {"max": int}) == {
        "ttl": 10,
        "namespace": "a b",
        "max": 5,
        "clock": clock,
    }
    assert merge_options({"ttl": "none"}, {}) == {"ttl": None}


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("memory://?nonsense=1", {}, "'nonsense': unknown; there are max, namespace, odd, share, ttl$"),
        ("memory://?tttl=3", {}, "'tttl': unknown; did you mean 'ttl'? there are max, namespace, odd, share, ttl$"),
        ("memory://?mx=3", {}, "'mx': unknown; did you mean 'max'? there are max, namespace, odd, share, ttl$"),
        (
            "memory://",
            {"clok": None},
            "'clok': unknown; did you mean 'clock'? there are clock, max, namespace, odd, share, ttl$",
        ),
        ("memory://?max=some", {}, "'max': 'some' in the URL is not a whole number"),
        ("memory://?share=some", {}, "'share': 'some' in the URL is not a number"),
        ("memory://?odd=some", {}, "'odd': 'some' in the URL has no meaning"),
        ("memory://", {"nonsense": 1}, "'nonsense': unknown"),
        ("memory://?clock=x", {}, "'clock': unknown"),
        ("memory://?ttl=soon", {}, "'ttl': 'soon' in the URL is not a number of seconds, or none"),
        ("memory://?ttl", {}, "must be options"),
        ("memory://?ttl=1&ttl=2", {}, "twice"),
    ],
)
def test_an_option_that_is_not_understood_is_an_error(url: str, options: dict[str, Any], words: str) -> None:
    """Nothing is ignored; the error names the option, and all that there are."""
    own: dict[str, Callable[[str], Any]] = {"max": int, "share": float, "odd": dict[str, int]().__getitem__}
    with pytest.raises(InvalidOptionError, match=words.replace("?", r"\?")):
        merge_options(split_query(url)[1], options, own)


def test_a_password_with_a_question_mark_is_not_in_the_traceback() -> None:
    """What stands after the ? is not quoted, in the message or in its causes."""
    with pytest.raises(InvalidOptionError) as caught:
        split_query("redis://:se?cret@host/0")

    assert "cret" not in "".join(traceback.format_exception(caught.value)).replace('"redis://:se?cret@host/0"', "")


@pytest.mark.parametrize("host", ["db..svc", "a" * 64, ".db"])
def test_a_host_that_no_name_server_could_know_is_refused(host: str) -> None:
    """Without the name in the message, of which a part may be a password."""
    with pytest.raises(InvalidOptionError, match="no host name") as caught:
        check_host(host)

    assert host not in str(caught.value)


@pytest.mark.parametrize("host", ["", "localhost", "db.svc.", "bücher.example", "::1", "127.0.0.1", "/run/db.sock"])
def test_other_hosts_pass(host: str) -> None:
    """Names, addresses, and the paths of sockets."""
    check_host(host)
