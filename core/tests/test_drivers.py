"""Discovery, with distributions on disk as an installer would leave them."""

from __future__ import annotations

import sys
import traceback
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from palaver import (
    DriverLoadError,
    DriverNotFoundError,
    DuplicateDriverError,
    InvalidOptionError,
    SessionStore,
    installed_drivers,
    open_store,
)
from palaver.discovery.drivers import driver_fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = """
    from palaver import SessionStore, hookimpl

    class Store(SessionStore):
        async def init(self): return self
        async def read(self, session_id): return None
        async def write(self, session_id, record): pass
        async def destroy(self, session_id): pass

    @hookimpl
    def palaver_open_store(url, options):
        store = Store(**options)
        store.url = url
        return store
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Install a distribution with a driver: a module and its metadata, on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(scheme: str, code: str, *, distribution: str = "someones-driver") -> str:
        # A module is imported once in a process: each test has its own.
        module = f"{distribution.replace('-', '_')}_{scheme}_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(dedent(code), encoding="utf-8")
        info = tmp_path / f"{distribution.replace('-', '_')}-1.5.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n", encoding="utf-8")
        with (info / "entry_points.txt").open("a", encoding="utf-8") as entry_points:
            entry_points.write(f"[palaver.drivers]\n{scheme} = {module}\n")
        return module

    return install


def test_a_driver_is_found_by_its_scheme(install: Callable[..., str]) -> None:
    """The driver gets the whole URL and the options, and makes the store."""
    install("parrot", GOOD)

    store = open_store("parrot://cage?x=1", namespace="n")

    assert isinstance(store, SessionStore)
    assert store.url == "parrot://cage?x=1"  # type: ignore[attr-defined]
    assert store.namespace == "n"


def test_a_scheme_with_a_plus_falls_back_to_the_scheme_before_it(install: Callable[..., str]) -> None:
    """`parrot+blue` is parrot's, unless somebody has that very scheme."""
    install("parrot", GOOD)

    assert open_store("parrot+blue://").url == "parrot+blue://"  # type: ignore[attr-defined]


def test_listing_imports_no_driver(install: Callable[..., str]) -> None:
    """What is installed is known from metadata alone."""
    module = install("parrot", "raise RuntimeError('imported')")

    listed = {(driver.scheme, driver.distribution, driver.version) for driver in installed_drivers()}

    assert ("parrot", "someones-driver", "1.5") in listed
    assert module not in sys.modules


def test_an_unknown_scheme_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a scheme of ours, and with a guess for a slip of the pen."""
    monkeypatch.setattr("palaver.discovery.drivers._entry_points", list)  # nothing is installed
    with pytest.raises(DriverNotFoundError, match="pip install palaver-mongo") as caught:
        open_store("mongodb+nothing://user:secret@host")
    assert "secret" not in str(caught.value)

    with pytest.raises(DriverNotFoundError, match="did you mean 'redis'"):
        open_store("rediz://")

    with pytest.raises(DriverNotFoundError, match=r"palaver\.drivers"):
        open_store("xyzzy://")


def test_two_distributions_with_one_scheme_are_an_error(install: Callable[..., str]) -> None:
    """Which of two is meant is not guessed: both are named."""
    install("parrot", GOOD, distribution="one-driver")
    install("parrot", GOOD, distribution="two-driver")

    with pytest.raises(DuplicateDriverError, match="one-driver, two-driver"):
        open_store("parrot://")


def test_a_distribution_that_is_on_the_path_twice_is_one(
    install: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editable install beside a built one is no duplicate."""
    install("parrot", GOOD)
    again = tmp_path / "again" / "someones_driver-1.5.dist-info"
    again.mkdir(parents=True)
    for name in ("METADATA", "entry_points.txt"):
        (again / name).write_bytes((tmp_path / "someones_driver-1.5.dist-info" / name).read_bytes())
    monkeypatch.syspath_prepend(again.parent)

    assert isinstance(open_store("parrot://"), SessionStore)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_client", "No module named 'no_such_client'"),
        ("x = 1", "does not implement the hook"),
        (GOOD.replace("return store", "return 5"), "returned int"),
        (GOOD.replace("(url, options)", "(address)"), "PluginValidationError"),
    ],
)
def test_a_broken_driver_says_what_is_broken(install: Callable[..., str], code: str, words: str) -> None:
    """The error names the distribution and the reason."""
    install("parrot", code)

    with pytest.raises(DriverLoadError, match=words) as caught:
        open_store("parrot://")
    assert caught.value.distribution == "someones-driver 1.5"


def test_a_broken_driver_disturbs_no_other(install: Callable[..., str]) -> None:
    """Another driver, even of the same distribution, opens as ever."""
    install("dodo", "raise RuntimeError('extinct')")
    install("parrot", GOOD)

    assert isinstance(open_store("parrot://"), SessionStore)
    with pytest.raises(DriverLoadError, match="extinct"):
        open_store("dodo://")


def test_bad_options_are_the_drivers_to_refuse(install: Callable[..., str]) -> None:
    """What the driver raises comes through as it is."""
    install("parrot", GOOD)

    with pytest.raises(InvalidOptionError, match="ttl"):
        open_store("parrot://", ttl=-1)


@pytest.mark.parametrize("error", ["ValueError(url)", "KeyError(url)", "AttributeError(url)", "RecursionError(url)"])
def test_whatever_a_driver_does_with_a_url_names_the_driver(install: Callable[..., str], error: str) -> None:
    """And where it happened, without its text: that may quote the password."""
    module = install("parrot", GOOD.replace("store = Store(**options)", f"raise {error}"))

    with pytest.raises(DriverLoadError) as caught:
        open_store("parrot://user:secret@cage")

    kind = error.partition("(")[0]
    assert str(caught.value) == (
        f"the driver for 'parrot' stores, from someones-driver 1.5, is broken: {kind} in {module}.py, line 12, "
        "when it read the URL and the options"
    )
    shown = "".join(traceback.format_exception(caught.value)).replace('"parrot://user:secret@cage"', "")
    assert "secret" not in shown


def test_a_driver_that_lacks_its_client_library_says_so(install: Callable[..., str]) -> None:
    """Drivers import it when they make a store."""
    install("parrot", GOOD.replace("store = Store(**options)", "import no_such_client"))

    with pytest.raises(DriverLoadError, match=r"from someones-driver.*No module named 'no_such_client'"):
        open_store("parrot://")


def test_an_unknown_option_names_those_of_every_store(install: Callable[..., str]) -> None:
    """Even where the driver leaves unknown options to its client library, which knows only its own."""
    refusal = "from palaver import InvalidOptionError; raise InvalidOptionError({}, option={!r})"
    install("parrot", GOOD.replace("store = Store(**options)", refusal.format("'unknown to parrots'", "tttl")))
    install("dodo", GOOD.replace("store = Store(**options)", refusal.format("'no number'", "port")))

    with pytest.raises(InvalidOptionError, match=r"did you mean 'ttl'\? every store has namespace, ttl"):
        open_store("parrot://?tttl=3")
    with pytest.raises(InvalidOptionError, match=r"'port': no number$"):
        open_store("dodo://?port=abc")


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (GOOD, None),
        (
            GOOD.replace(
                "store = Store(**options)",
                "from palaver import InvalidOptionError; raise InvalidOptionError('needs a path', option='url')",
            ),
            None,
        ),
        (
            GOOD.replace(
                "store = Store(**options)",
                """
        from palaver import InvalidOptionError
        try:
            import no_such_client
        except ImportError as error:
            raise InvalidOptionError('pip install no-such-client', option='url') from error
        """,
            ),
            "pip install no-such-client",
        ),
        ("import no_such_client", "ModuleNotFoundError: No module named 'no_such_client'"),
    ],
)
def test_a_driver_says_what_it_lacks(install: Callable[..., str], code: str, fault: str | None) -> None:
    """Without a server, and although its addresses may have another form than the one that is tried."""
    install("parrot", code)
    (driver,) = (driver for driver in installed_drivers() if driver.scheme == "parrot")

    assert driver_fault(driver) == fault
