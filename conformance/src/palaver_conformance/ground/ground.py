"""Where a law is tried: a location of its own, stores that are traced, a clock, chance from the seed, and a budget."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from palaver.contract.record import Record
from palaver.contract.store import Capabilities, SessionStore
from palaver_conformance.ground.clock import StandingClock
from palaver_conformance.ground.steps import describe
from palaver_conformance.ground.traced import TracedStore
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.ground.watch import Watch
from palaver_conformance.harness import Removes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palaver.contract.clock import Clock
    from palaver_conformance.harness import Harness
    from palaver_conformance.profiles import Profile

__all__ = ("MINUTE", "Ground")

T = TypeVar("T")

MINUTE: Final = 60_000


class Ground(Watch):
    """What a law needs.

    Args:
        harness: makes the stores.
        location: where this law may do what it likes; nothing is there yet.
        capabilities: what the store declares.
        profile: how much to try.
        seed: where chance begins.
        seconds: after how long a loop over cases ends.
    """

    def __init__(
        self,
        harness: Harness,
        location: str,
        *,
        capabilities: Capabilities,
        profile: Profile,
        seed: str,
        seconds: float,
    ) -> None:
        granularity = capabilities.expiry_granularity_ms
        # A granularity of 1 is that of the clock: nothing outlives its expiry.
        super().__init__(call_seconds=profile.call_seconds, grace=granularity if granularity > 1 else 0)
        self.harness = harness
        self.capabilities = capabilities
        self.profile = profile
        self.clock = StandingClock()
        self.random = Random(seed)  # noqa: S311  # it must be repeatable, not secret
        self._seed = seed
        self._location = location
        self._deadline = time.monotonic() + seconds
        self._first_location = location
        self._places = 1
        self._used: dict[str, None] = {}
        self._stores: list[TracedStore] = []
        self._names = 0

    # Stores.

    def make(self, *, namespace: str = "", clock: Clock | None = None, location: str | None = None) -> TracedStore:
        """Make a store that is not yet initialised; it is closed when the law has been tried."""
        store = self.harness.make(location or self._location, clock=clock or self.clock, namespace=namespace)
        if not isinstance(store, SessionStore):
            raise LawBroken(expected="make() to return a SessionStore", got=describe(store))
        return self.trace(store, namespace)

    def trace(self, store: SessionStore, namespace: str = "") -> TracedStore:
        """Trace a store that was made elsewhere; it is closed when the law has been tried."""
        traced = TracedStore(self, store, _letters(self._names), namespace)
        self._names += 1
        self._used.setdefault(self._location)
        self.steps.begin(f"{traced.name} = make({f'namespace={describe(namespace)}' if namespace else ''})")
        self._stores.append(traced)
        return traced

    async def open(
        self, *, namespace: str = "", clock: Clock | None = None, location: str | None = None
    ) -> TracedStore:
        """Make a store and initialise it."""
        return await self.make(namespace=namespace, clock=clock, location=location).init()

    @property
    def location(self) -> str:
        """Where the stores of this law are, unless they are made elsewhere."""
        return self._location

    def another_location(self) -> str:
        """Return a location that this law has not used yet."""
        another = f"{self._first_location}-{self._places}"
        self._places += 1
        self._used.setdefault(another)
        return another

    def move(self) -> None:
        """Go to another location: what the stores of the last one hold is out of the way."""
        self._location = self.another_location()
        self._names = 0

    def whole_namespace(self, namespace: str) -> str:
        """Return the namespace that a store has: a harness may put its location first, where a server has no place."""
        whole = getattr(self.harness, "whole_namespace", None)
        return namespace if whole is None else str(whole(self._location, namespace))

    async def close(self) -> None:
        """Close what is still open and remove what is left; more can follow."""
        for store in self._stores:
            self.beat()
            await store.inner.close()
        self._stores.clear()
        used, self._used = self._used, {}
        if isinstance(self.harness, Removes):
            for location in used:
                self.beat()
                await self.harness.remove(location)

    def forget(self, store: TracedStore) -> None:
        """Keep no reference to a store that the law has closed."""
        self._stores.remove(store)

    # Records, ids and time.

    def record(self, payload: bytes = b'{"n":1}', *, lives: int | None = None) -> Record:
        """Make a record with a new version that lives for so many milliseconds, or for ever.

        The payload is cut to what the store declares to accept.
        """
        expires_at = None if lives is None else self.clock.now() + lives
        return Record(payload[: self.capabilities.max_payload_bytes], self.version(), expires_at)

    def version(self) -> str:
        """Make a version as the core does, but from the seed."""
        return f"{self.random.getrandbits(128):032x}"

    def ids(self, count: int, prefix: str = "session:") -> list[str]:
        """Make so many ids."""
        return [f"{prefix}{number}" for number in range(count)]

    def advance(self, milliseconds: int) -> None:
        """Move the clock, backwards when it is negative."""
        self.advance_to(self.clock.now() + milliseconds)

    def advance_to(self, instant: int) -> None:
        """Move the clock to an instant."""
        moved = instant - self.clock.now()
        self.clock.set(instant)
        self.steps.begin(f"the clock moves by {moved} ms, to {instant}")

    def within_limit(self, payloads: Iterable[T], size: Any = len) -> list[T]:
        """Choose the payloads that the store declares to accept."""
        limit = self.capabilities.max_payload_bytes
        return [payload for payload in payloads if limit is None or size(payload) <= limit]

    def acceptable(self, session_ids: Iterable[str]) -> list[str]:
        """Choose the ids that the store declares to accept, each once."""
        limit = self.capabilities.max_id_bytes
        return [each for each in dict.fromkeys(session_ids) if len(each.encode()) <= limit]

    # Cases and time.

    def cases(self, items: Iterable[T], *, at_least: int) -> Iterator[T]:
        """Go through the cases for as long as there is time, but through the first ones in any case."""
        for number, item in enumerate(items):
            if number >= at_least and self.time_is_up:
                self.events["loops cut short"] += 1
                return
            self.beat()
            self.events["cases"] += 1
            yield item

    def begin_case(self) -> None:
        """Begin a case for which it does not matter what was done before, so that it need not be shown."""
        self.beat()
        self.steps.begin_case()

    @property
    def time_is_up(self) -> bool:
        """Whether the law's share of the time is used up."""
        return time.monotonic() > self._deadline

    @property
    def seed(self) -> str:
        """Where chance begins in this law."""
        return self._seed


def _letters(number: int) -> str:
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else f"{letter}{number // 26}"  # noqa: PLR2004  # the alphabet
