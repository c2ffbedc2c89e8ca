"""From a TARGET on the command line to a harness: a store URL, or `module:make`."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from palaver.discovery.drivers import installed_drivers, open_store
from palaver.toolkit.urls import redact_url, url_scheme
from palaver_conformance.harness import Harness, as_harness
from palaver_conformance.runner import CannotRun

if TYPE_CHECKING:
    from palaver.contract.clock import Clock
    from palaver.contract.store import SessionStore

__all__ = ("LeavesBehind", "NamedTarget", "harness_from", "store_url")

_PORTS: Final = {"redis": 6379, "postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mongodb": 27017}
_NAME_OTHERS: Final = ("+cluster", "+sentinel", "+srv")
_LONGEST_NAMESPACE: Final = 512


def harness_from(target: str) -> Harness | NamedTarget:
    """Make the harness of a TARGET, or what loads it: an import may take for ever.

    Raises:
        CannotRun: it names neither a store nor something in a module that makes stores.
    """
    scheme, colon, name = target.partition(":")
    if "://" in target or (colon and scheme in {driver.scheme for driver in installed_drivers()}):
        return store_url(target)
    if not (scheme and colon and name):
        raise CannotRun(f"{target!r} is neither a store URL, as in memory://, nor module:make, as in my_store:make")
    return NamedTarget(scheme, name)


def store_url(url: str) -> Harness:
    """Make the harness of a store URL; what is at the URL already is neither touched nor cleared.

    A location is a name of its own in memory, a folder in a folder of files, a file beside the file of an embedded
    database, and the beginning of every namespace on a server.
    """
    scheme = url_scheme(url)
    if scheme == "memory":
        return _MemoryUrl(url)
    if scheme == "file":
        return _FolderUrl(url)
    if scheme.startswith("sqlite"):
        return _FileUrl(url)
    parts = urlsplit(url)
    # Behind TLS, with several hosts, or where a server names others, the address cannot be exchanged for a proxy's.
    is_one_server = "," not in parts.netloc and not scheme.endswith(_NAME_OTHERS)
    has_address = parts.hostname and is_one_server and scheme.partition("+")[0] in _PORTS
    return _ProxiedServerUrl(url) if has_address else _ServerUrl(url)


@runtime_checkable
class LeavesBehind(Protocol):
    """A harness that cannot always clean up, and knows it."""

    left_behind: tuple[str, ...]
    """The namespaces that could not be emptied."""


class _Url:
    """A harness that opens stores by URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.address_part, _, self.query = url.partition("?")
        password = urlsplit(url).password
        self.secrets = () if not password else tuple({password, unquote(password)})

    def __repr__(self) -> str:
        return redact_url(self.url)

    def with_address(self, address: str) -> str:
        """Return the URL with another address and the same options."""
        return f"{address}?{self.query}" if self.query else address


class _MemoryUrl(_Url):
    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        return open_store(self.with_address(f"memory://{location}"), clock=clock, namespace=namespace)


class _FolderUrl(_Url):
    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        address = f"{self.address_part.rstrip('/')}/{location}"
        return open_store(self.with_address(address), clock=clock, namespace=namespace)

    async def remove(self, location: str) -> None:
        folder = _path(self.address_part) / location
        shutil.rmtree(folder, ignore_errors=True)


class _FileUrl(_Url):
    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        return open_store(self.with_address(self._at(location)), clock=clock, namespace=namespace)

    def _at(self, location: str) -> str:
        is_in_memory = self.address_part.endswith(("://", ":memory:"))
        return self.address_part if is_in_memory else f"{self.address_part}.{location}"

    async def remove(self, location: str) -> None:
        path = Path(self.address_part.partition(":///")[2])
        for file in path.parent.glob(f"{path.name}.{location}*"):
            file.unlink(missing_ok=True)


class _ServerUrl(_Url):
    """A location is the beginning of a namespace: a server's data has no other place that the kit could make."""

    max_namespace_bytes = _LONGEST_NAMESPACE - 64

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.left_behind: tuple[str, ...] = ()
        self._used: dict[str, set[str]] = {}

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        return self._open(self.url, location, clock, namespace)

    async def remove(self, location: str) -> None:
        from palaver_conformance.ground.clock import StandingClock

        for namespace in sorted(self._used.pop(location, ())):
            store = open_store(self.url, clock=StandingClock(), namespace=namespace)
            if not (store.capabilities.clear or store.capabilities.scan):
                self.left_behind += (namespace,)
                continue
            async with store:
                await _empty(store)

    def whole_namespace(self, location: str, namespace: str) -> str:
        """Return the namespace of a store of a location."""
        return f"{location}/{namespace}"

    def _open(self, url: str, location: str, clock: Clock, namespace: str) -> SessionStore:
        whole = self.whole_namespace(location, namespace)
        self._used.setdefault(location, set()).add(whole)
        return open_store(url, clock=clock, namespace=whole)


class _ProxiedServerUrl(_ServerUrl):
    """A server with one address: the kit can put a proxy in between."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or _PORTS[url_scheme(url).partition("+")[0]])

    def make_at(self, address: tuple[str, int], location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        parts = urlsplit(self.url)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        url = parts._replace(netloc=f"{user}{address[0]}:{address[1]}").geturl()
        return self._open(url, location, clock, namespace)


class NamedTarget:
    """A harness, or a function that makes stores, by its name in a module."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def load(self) -> Harness:
        """Import it.

        Raises:
            CannotRun: there is no such module or name, it cannot be imported, or it makes no stores.
        """
        # As `python -m` does: what is tried is usually in the folder where the command is given.
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        target = f"{self._module}:{self._name}"
        try:
            found = importlib.import_module(self._module)
            for part in self._name.split("."):
                found = getattr(found, part)
        except AttributeError as error:
            raise CannotRun(f"{target!r} cannot be used: {error}") from error
        except BaseException as error:
            raise CannotRun(f"{self._module!r} cannot be imported: {type(error).__name__}: {error}") from error
        try:
            return as_harness(found)
        except TypeError as error:
            raise CannotRun(str(error)) from error


async def _empty(store: SessionStore) -> None:
    if store.capabilities.clear:
        await store.clear()
        return
    for session_id in [session_id async for session_id in store.scan()]:
        await store.destroy(session_id)


def _path(address: str) -> Path:
    """Return the path of a `file:` URL without its query."""
    rest = address.partition(":")[2]
    return Path(unquote(urlsplit(address).path)) if rest.startswith("//") else Path(unquote(rest))
