"""What the kit needs to know of a store: how to make one, and whatever more its author can offer."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from palaver.contract.clock import Clock
    from palaver.contract.store import SessionStore

__all__ = (
    "HOOKS",
    "Corrupts",
    "Cuts",
    "Fails",
    "Harness",
    "MakeStore",
    "Proxied",
    "ReadsRaw",
    "Removes",
    "Secrets",
    "Unusable",
    "as_harness",
    "missing_hooks",
)


class MakeStore(Protocol):
    """A function, or a class, that makes a store which is not yet initialised."""

    def __call__(self, location: str, /, *, clock: Clock, namespace: str = "") -> SessionStore:
        """Make a store: same location, same data; another location or namespace, none of it."""
        ...


@runtime_checkable
class Harness(Protocol):
    """A store's author gives `make`, and by further methods of the protocols below more that can be proven."""

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        """Make a store that is not yet initialised: same location, same data; otherwise none of it.

        Args:
            location: a short name of ASCII letters, digits and hyphens; nothing is there yet when it is new.
            clock: what the store must take for the time.
            namespace: the store's namespace.
        """
        ...


@runtime_checkable
class Removes(Protocol):
    """Hook `remove`: cleans up, so that a run leaves nothing behind."""

    async def remove(self, location: str) -> None:
        """Remove whatever is at a location; its stores are closed."""
        ...


@runtime_checkable
class Corrupts(Protocol):
    """Hook `corrupt`: damages what is stored, past the store."""

    async def corrupt(self, location: str, namespace: str, session_id: str) -> None:
        """Damage the stored record of one session so that it cannot be understood."""
        ...


@runtime_checkable
class ReadsRaw(Protocol):
    """Hook `read_raw`: looks at the medium, past the store."""

    async def read_raw(self, location: str, namespace: str, session_id: str) -> bytes:
        """Return what the medium holds for a session, in the store's own form."""
        ...


@runtime_checkable
class Fails(Protocol):
    """Hook `fail`: makes a medium fail under an open store, and mends it."""

    async def fail(self, location: str) -> None:
        """Make every use of the medium fail from now on: take its rights away, stop the server."""
        ...

    async def mend(self, location: str) -> None:
        """Make the medium work again, with what was in it."""
        ...


@runtime_checkable
class Unusable(Protocol):
    """Hook `make_unusable`: a store whose medium cannot be used at all."""

    def make_unusable(self, *, clock: Clock) -> SessionStore:
        """Make a store on a medium that does not exist or refuses all use."""
        ...


@runtime_checkable
class Cuts(Protocol):
    """Hook `cut`: cuts the store's connections once."""

    async def cut(self, location: str) -> None:
        """Close every open connection of a location's stores from the server's side."""
        ...


@runtime_checkable
class Proxied(Protocol):
    """Hook `address`: the store speaks to a server over TCP, and can be made to speak to a proxy in between."""

    address: tuple[str, int]
    """Where the server is."""

    def make_at(self, address: tuple[str, int], location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        """Do what `make` does, with the server at another address."""
        ...


@runtime_checkable
class Secrets(Protocol):
    """Hook `secrets`: texts, such as the password in a URL, that must never be shown."""

    secrets: tuple[str, ...]


HOOKS: Final[dict[str, Any]] = {
    "remove": Removes,
    "corrupt": Corrupts,
    "read_raw": ReadsRaw,
    "fail": Fails,
    "make_unusable": Unusable,
    "cut": Cuts,
    "address": Proxied,
    "secrets": Secrets,
}
"""Every hook by its name; `spawn` is there besides when the harness can be pickled."""


class _FunctionHarness:
    """A harness of a function that has no hook."""

    def __init__(self, make: Callable[..., SessionStore]) -> None:
        self._make = make

    def make(self, location: str, *, clock: Clock, namespace: str = "") -> SessionStore:
        return self._make(location, clock=clock, namespace=namespace)

    def __repr__(self) -> str:
        return getattr(self._make, "__qualname__", repr(self._make))


HarnessLike: TypeAlias = "Harness | type[Harness] | Callable[..., SessionStore]"


def as_harness(target: HarnessLike) -> Harness:
    """Make a harness of whatever an author gives: a harness, its class, or a function that makes stores.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(target, type) and isinstance(target, Harness):
        # A class with a method `make` has it as an attribute, too.
        return target()  # type: ignore[no-any-return]
    if isinstance(target, Harness):
        return target
    if callable(target):
        return _FunctionHarness(target)
    raise TypeError(f"{target!r} is neither a harness nor a function that makes stores")


def present_hooks(harness: Harness) -> tuple[str, ...]:
    """Name the hooks that a harness has."""
    found = [name for name, protocol in HOOKS.items() if isinstance(harness, protocol)]
    return (*found, "spawn") if _can_spawn(harness) else tuple(found)


def missing_hooks(harness: Harness) -> tuple[str, ...]:
    """Name the hooks that a harness lacks."""
    present = present_hooks(harness)
    return tuple(name for name in (*HOOKS, "spawn") if name not in present)


def _can_spawn(harness: Harness) -> bool:
    """Tell whether another process can make the same stores: whether the harness can be sent there."""
    try:
        pickle.dumps(harness)
    except Exception:  # noqa: BLE001  # whatever a foreign object does when it is pickled
        return False
    return True
