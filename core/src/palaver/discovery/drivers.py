"""Finding drivers: from a store URL to a store."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pluggy

from palaver.contract.store import SessionStore
from palaver.discovery import hookspecs
from palaver.errors import (
    DriverLoadError,
    DriverNotFoundError,
    DuplicateDriverError,
    InvalidOptionError,
    PalaverError,
)
from palaver.toolkit.options import STORE_OPTIONS, guess
from palaver.toolkit.urls import url_scheme

__all__ = ("DRIVER_GROUP", "Driver", "driver_fault", "installed_drivers", "open_store")

DRIVER_GROUP: Final = "palaver.drivers"

_OFFICIAL: Final = {
    "memory": "palaver-memory",
    "file": "palaver-file",
    "sqlite": "palaver-sql",
    "postgresql": "palaver-sql",
    "postgres": "palaver-sql",
    "mysql": "palaver-sql",
    "mariadb": "palaver-sql",
    "mongodb": "palaver-mongo",
    "redis": "palaver-redis",
    "rediss": "palaver-redis",
    "unix": "palaver-redis",
    "valkey": "palaver-redis",
    "valkeys": "palaver-redis",
}


@dataclass(frozen=True)
class Driver:
    """An installed driver: what its distribution says of it, without importing it."""

    scheme: str
    distribution: str
    version: str


def installed_drivers() -> list[Driver]:
    """List the installed drivers in order of their schemes, without importing any of them."""
    return sorted(map(_describe, _entry_points()), key=lambda driver: (driver.scheme, driver.distribution))


def open_store(url: str, **options: Any) -> SessionStore:
    """Make the store of a URL, not yet initialised: use it inside `async with`, or await its `init()`.

    Args:
        url: where the sessions are, as in `memory://`, `file:.sessions` or `sqlite:///bot.db`.
        **options: `ttl` (seconds, a timedelta, or None), `namespace`, and what the driver knows besides.

    Raises:
        InvalidOptionError: the URL or an option cannot be used.
        DriverNotFoundError: no installed driver has the URL's scheme.
        DuplicateDriverError: several distributions have one.
        DriverLoadError: the driver is there but is broken, or lacks what it needs.
    """
    entry_point = _find(url_scheme(url))
    driver = _describe(entry_point)
    hook = _load(entry_point, driver)
    store = _make(hook, driver, url, options)
    if not isinstance(store, SessionStore):
        raise _broken(driver, f"its hook returned {type(store).__name__}, which is not a SessionStore")
    return store


def driver_fault(driver: Driver) -> str | None:
    """Say why a driver cannot be used, for example because its client library is not installed; None if it can be.

    It makes a store and does not open it, so that no server is needed.
    """
    try:
        open_store(f"{driver.scheme}://localhost/palaver")
    except InvalidOptionError as error:
        # An address of another form would do; only what is not installed keeps all of them from it.
        return error.reason if isinstance(error.__cause__, ImportError) else None
    except DriverLoadError as error:
        return error.reason
    except PalaverError as error:
        return str(error)
    return None


def _make(hook: pluggy.HookCaller, driver: Driver, url: str, options: dict[str, Any]) -> object:
    try:
        return hook(url=url, options=options)
    except InvalidOptionError as error:
        _add_store_options(error)
        raise
    except PalaverError:
        raise
    except ImportError as error:
        raise _broken(driver, f"{type(error).__name__}: {error}") from error
    except Exception as error:  # noqa: BLE001  # whatever a foreign driver does with a URL
        # Neither its text nor the error itself: both may quote a password.
        raise _broken(driver, f"{type(error).__name__} {_place(error)} when it read the URL and the options") from None


def _add_store_options(error: InvalidOptionError) -> None:
    """Let a driver that hands unknown options to its client library name those of every store, too."""
    if error.option is None or not error.reason.startswith("unknown") or "ttl" in error.reason:
        return
    error.reason = f"{error.reason}; {guess(error.option, STORE_OPTIONS)}every store has {', '.join(STORE_OPTIONS)}"


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"in {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno},"


def _entry_points() -> list[metadata.EntryPoint]:
    """Return each driver once, although a distribution may be on the path twice (as built and as editable)."""
    found = reversed(tuple(metadata.entry_points(group=DRIVER_GROUP)))
    return list({(point.name, _distribution_name(point)): point for point in found}.values())


def _find(scheme: str) -> metadata.EntryPoint:
    """Find the driver of `redis+cluster`, or, where none has that very scheme, the driver of `redis`."""
    points = _entry_points()
    points = _named(scheme, points) or _named(scheme.partition("+")[0], points)
    if not points:
        raise DriverNotFoundError(scheme, remedy=_remedy(scheme))
    if len(points) > 1:
        raise DuplicateDriverError(scheme, distributions=tuple(sorted(map(_distribution_name, points))))
    return points[0]


def _named(name: str, points: list[metadata.EntryPoint]) -> list[metadata.EntryPoint]:
    return [point for point in points if point.name == name]


def _load(entry_point: metadata.EntryPoint, driver: Driver) -> pluggy.HookCaller:
    manager = pluggy.PluginManager("palaver")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(entry_point.load(), name=driver.scheme)
    except Exception as error:  # whatever a foreign module does when it is imported
        raise _broken(driver, f"{type(error).__name__}: {error}") from error
    caller: pluggy.HookCaller = manager.hook.palaver_open_store
    if not caller.get_hookimpls():
        raise _broken(driver, f"{entry_point.value} does not implement the hook palaver_open_store")
    return caller


def _remedy(scheme: str) -> str:
    package = _OFFICIAL.get(scheme.partition("+")[0])
    if package is not None:
        return f"pip install {package}"
    known = sorted({*_OFFICIAL, *(driver.scheme for driver in installed_drivers())})
    return (
        guess(scheme, known).strip()
        or f"install a package with an entry point of that name in the group {DRIVER_GROUP!r}"
    )


def _describe(entry_point: metadata.EntryPoint) -> Driver:
    version = "unknown" if entry_point.dist is None else entry_point.dist.version
    return Driver(entry_point.name, _distribution_name(entry_point), version)


def _distribution_name(entry_point: metadata.EntryPoint) -> str:
    return "unknown" if entry_point.dist is None else entry_point.dist.name


def _broken(driver: Driver, reason: str) -> DriverLoadError:
    return DriverLoadError(driver.scheme, distribution=f"{driver.distribution} {driver.version}", reason=reason)
