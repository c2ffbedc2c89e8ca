"""Where sessions are kept: servers that are started for the run, and what the run ran on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.contenders import contenders_of
from tests.benchmarks.node import BOTTENDER
from tests.benchmarks.results import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from palaver_test_servers import Server

__all__ = ("describe_machine", "medium")


@contextmanager
def medium(driver: str) -> Iterator[str | None]:
    """Start the server of a driver, if it has one, and give its URL.

    Raises:
        ServerMissingError: it is not on this computer.
    """
    make = _SERVERS.get(driver)
    if make is None:
        yield None
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = make(Path(folder)).start()
        try:
            yield server.url
        finally:
            server.stop()


def describe_machine(drivers: Iterable[str]) -> Machine:
    """Return what the versions are of all that takes part; nothing that would tell whose computer it is."""
    packages = sorted({name for driver in drivers for each in contenders_of(driver) for name in each.packages})
    versions = {name: _version(name) for name in packages} | _program_versions(drivers)
    return Machine(
        cpus=os.cpu_count() or 0,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=versions,
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _program_versions(drivers: Iterable[str]) -> dict[str, str]:
    programs = {f"{driver} server": find for driver, find in _PROGRAMS.items() if driver in drivers}
    versions = {name: _ask_version(find()) for name, find in programs.items()}
    node = shutil.which("node")
    return versions if node is None else versions | {"node": _ask_version(node), "bottender": BOTTENDER}


def _ask_version(program: str) -> str:
    told = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, timeout=30)
    found = re.search(r"\d+\.\d+(\.\d+)?(-MariaDB)?", told.stdout)
    return found[0] if found else "unknown"


def _make_redis(folder: Path) -> Server:
    from palaver_test_servers.redis import RedisServer

    return RedisServer(folder)


def _make_mongo(folder: Path) -> Server:
    from palaver_test_servers.mongo import MongoServer

    return MongoServer(folder)


def _make_postgresql(folder: Path) -> Server:
    from palaver_test_servers.postgres import PostgresServer

    return PostgresServer(folder)


def _make_mysql(folder: Path) -> Server:
    from palaver_test_servers.mariadb import MariaDBServer

    return MariaDBServer(folder)


def _find_redis() -> str:
    return _make_redis(Path()).command()[0]


def _find_mongo() -> str:
    from palaver_test_servers.mongo import find_mongod

    return find_mongod()


def _find_postgresql() -> str:
    from palaver_test_servers.postgres import find_postgres

    return find_postgres("postgres")


def _find_mysql() -> str:
    from palaver_test_servers.mariadb import find_mariadb

    return find_mariadb()


_SERVERS: dict[str, Callable[[Path], Server]] = {
    "redis": _make_redis,
    "mongo": _make_mongo,
    "postgresql": _make_postgresql,
    "mysql": _make_mysql,
}

_PROGRAMS: dict[str, Callable[[], str]] = {
    "redis": _find_redis,
    "mongo": _find_mongo,
    "postgresql": _find_postgresql,
    "mysql": _find_mysql,
}
