"""Where the model and the stores are asked the same, operation by operation."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from palaver.contract.record import ABSENT, Absent, Record
from palaver.errors import UnsupportedError
from palaver_conformance.ground.steps import describe
from palaver_conformance.model.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore

__all__ = ("NAMESPACES", "Action", "Stage", "WriteItem")

NAMESPACES: Final = ("one", "two")


@dataclass(frozen=True)
class WriteItem:
    """What is to be written to a session, without a version: the stage makes one."""

    session_id: str
    payload: bytes
    lives: int | None
    expected: str = "live"
    """For a swap: `live`, `absent`, `former`, `wrong`, or `again` to repeat the record that is live."""


@dataclass(frozen=True)
class Action:
    """One thing to do; plain data, so that a shorter list of them can be tried again."""

    verb: str
    store: int = 0
    ids: tuple[str, ...] = ()
    items: tuple[WriteItem, ...] = ()
    lives: int | None = None
    """For touch: how long the session lives from then on. For clock: by how much it moves."""
    text: str = ""
    """For scan: the prefix."""


class Stage:
    """Two namespaces, in each of them two stores if they are shared, and a model of each."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.declared = ground.capabilities
        self._stores: list[TracedStore] = []
        self._models = {namespace: Model(ground.grace) for namespace in NAMESPACES}
        self._former: dict[tuple[str, str], deque[str]] = {}
        self._last_store: dict[tuple[str, str], int] = {}

    async def open(self) -> None:
        """Open the stores."""
        for namespace in NAMESPACES:
            for _ in range(2 if self.declared.shared else 1):
                self._stores.append(await self.ground.open(namespace=namespace))

    async def perform(self, operation: Action) -> None:
        """Do one operation on a store and on the model, and compare."""
        self.ground.beat()
        await getattr(self, f"_{operation.verb}")(self._stores[operation.store % len(self._stores)], operation)

    async def compare_all(self) -> None:
        """Compare every session in every namespace with the model."""
        for store in self._stores:
            for session_id in sorted({session_id for session_id, _ in self._former_ids(store)}):
                await self._compare(store, session_id)
            if self.declared.scan:
                await self._scan(store, Action("scan"))

    # The verbs.

    async def _read(self, store: TracedStore, operation: Action) -> None:
        for session_id in operation.ids[:1]:
            await self._compare(store, session_id)

    async def _write(self, store: TracedStore, operation: Action) -> None:
        item = operation.items[0]
        record = self._record(item)
        await store.write(item.session_id, record)
        self._put(store, item.session_id, record)

    async def _destroy(self, store: TracedStore, operation: Action) -> None:
        session_id = operation.ids[0]
        if self._live(store, session_id) is None:
            self._count("destroyed nothing")
        await store.destroy(session_id)
        self._model(store).drop(session_id)
        await self._compare(store, session_id)

    async def _swap(self, store: TracedStore, operation: Action) -> None:
        item = operation.items[0]
        if not self.declared.swap:
            await self._refused(store, "swap", item.session_id, self._record(item), ABSENT)
            return
        await self._settle(store, item.session_id)
        swap = self._swap_of(store, item)
        wins = self._decide(store, *swap)
        self.ground.equal(await store.swap(*swap), wins, "swap to answer", item.session_id)

    async def _remove(self, store: TracedStore, operation: Action) -> None:
        item = operation.items[0]
        session_id = item.session_id
        if not self.declared.swap:
            await self._refused(store, "remove", session_id, self.ground.version())
            return
        await self._settle(store, session_id)
        expected = self._expected(store, item)
        version = self.ground.version() if expected is ABSENT else expected
        live = self._live(store, session_id)
        is_removed = live is not None and live.version == version
        self.ground.equal(await store.remove(session_id, version), is_removed, "remove to answer", session_id)
        if is_removed:
            self._model(store).drop(session_id)

    async def _touch(self, store: TracedStore, operation: Action) -> None:
        session_id = operation.ids[0]
        expires_at = self._expiry(operation.lives)
        if not self.declared.touch:
            await self._refused(store, "touch", session_id, expires_at)
            return
        await self._settle(store, session_id)
        live = self._live(store, session_id)
        self.ground.equal(await store.touch(session_id, expires_at), live is not None, "touch to answer", session_id)
        if live is not None:
            self._put(store, session_id, Record(live.payload, live.version, expires_at))

    async def _read_many(self, store: TracedStore, operation: Action) -> None:
        if not self.declared.batch:
            await self._refused(store, "read_many", list(operation.ids))
            return
        answers = await store.read_many(list(operation.ids))
        for session_id, answer in zip(operation.ids, answers, strict=True):
            self._compare_answer(store, session_id, answer)

    async def _write_many(self, store: TracedStore, operation: Action) -> None:
        items = [(item.session_id, self._record(item)) for item in operation.items]
        if not self.declared.batch:
            await self._refused(store, "write_many", items)
            return
        await store.write_many(items)
        for session_id, record in items:
            self._put(store, session_id, record)
        self._count("batches")

    async def _swap_many(self, store: TracedStore, operation: Action) -> None:
        if not (self.declared.batch and self.declared.swap):
            items = [(item.session_id, self._record(item), ABSENT) for item in operation.items]
            await self._refused(store, "swap_many", items)
            return
        for item in operation.items:
            await self._settle(store, item.session_id)
        swaps, answers = [], []
        for item in operation.items:
            swaps.append(self._swap_of(store, item))
            answers.append(self._decide(store, *swaps[-1]))
        got = await store.swap_many(swaps)
        self.ground.equal(got, answers, "swap_many to answer", *(item.session_id for item in operation.items))
        self._count("batches")

    async def _scan(self, store: TracedStore, operation: Action) -> None:
        if not self.declared.scan:
            await self._refused(store, "scan")
            return
        self._compare_scan(store, await store.scan_all(operation.text), operation.text)

    async def _scan_and_change(self, store: TracedStore, operation: Action) -> None:
        """Scan, and meanwhile write or destroy what the operation names."""
        if not self.declared.scan:
            return
        changing = {*operation.ids, *(item.session_id for item in operation.items)}
        stable = {each for each in self._model(store).all_live(self._now) if each not in changing}
        changes = [Action("destroy", operation.store, ids=(session_id,)) for session_id in operation.ids]
        changes += [Action("write", operation.store, items=(item,)) for item in operation.items]
        seen = []
        async for session_id in store.scan():
            seen.append(session_id)
            if changes:
                await self.perform(changes.pop(0))
        for change in changes:
            await self.perform(change)
        self._count("scans with changes")
        for session_id in stable:
            self.ground.equal(seen.count(session_id), 1, f"scan to show {session_id!a} this many times:", session_id)
        self.ground.equal(len(seen), len(set(seen)), "scan to show each id once:")

    async def _purge(self, store: TracedStore, _: Action) -> None:
        if not self.declared.purge:
            await self._refused(store, "purge")
            return
        model = self._model(store)
        dead = model.dead(self._now)
        count = await store.purge()
        most = len(dead) + len(model.doubtful(self._now))
        # What has expired may have been collected before.
        self.ground.check(0 <= count <= most, expected=f"purge to remove at most {most}", got=count)
        for session_id in dead:
            model.drop(session_id)

    async def _clear(self, store: TracedStore, _: Action) -> None:
        if not self.declared.clear:
            await self._refused(store, "clear")
            return
        model = self._model(store)
        least = len(model.all_live(self._now))
        count = await store.clear()
        most = least + len(model.doubtful(self._now))
        fine = least <= count <= most
        self.ground.check(fine, expected=f"clear to count the live sessions, {least}", got=count)
        model.drop_all()
        self._count("clears")

    async def _clock(self, _: TracedStore, operation: Action) -> None:
        before = self._all_live()
        self.ground.advance(operation.lives or 0)
        for model in self._models.values():
            model.see(self._now)
        self.ground.events["expiries"] += before - self._all_live()

    async def _deadline(self, store: TracedStore, operation: Action) -> None:
        """Move the clock to the next expiry (of these sessions, if some are named), or a little before or after it."""
        live = self._model(store).all_live(self._now)
        named = [record for each, record in live.items() if not operation.ids or each in operation.ids]
        instants = [record.expires_at for record in named if record.expires_at is not None]
        if instants:
            await self._clock(store, Action("clock", lives=min(instants) - self._now + (operation.lives or 0)))

    async def _reopen(self, store: TracedStore, _: Action) -> None:
        await store.close()
        await store.init()
        self._count("reopened")

    # Comparing.

    async def _compare(self, store: TracedStore, session_id: str) -> None:
        self._compare_answer(store, session_id, await store.read(session_id))

    def _compare_answer(self, store: TracedStore, session_id: str, got: Record | None) -> None:
        model = self._model(store)
        key = (store.namespace, session_id)
        if self._last_store.get(key, id(store)) != id(store):
            self._count("cross-instance reads")
        if model.is_known(session_id) and self._live(store, session_id) is None:
            self._count("reads of expired")
        if model.is_certain(session_id, self._now):
            self.ground.same_record(got, self._live(store, session_id), session_id)

    def _compare_scan(self, store: TracedStore, seen: Sequence[str], prefix: str) -> None:
        model = self._model(store)
        expected = {each for each in model.all_live(self._now) if each.startswith(prefix)}
        doubtful = model.doubtful(self._now)
        missing, foreign = sorted(expected - set(seen)), sorted(set(seen) - expected - doubtful)
        got = f"{describe(list(seen))}; missing: {missing[:3]!a}; too many: {foreign[:3]!a}"
        fine = not missing and not foreign and len(seen) == len(set(seen))
        ids = (*missing[:3], *foreign[:3])
        self.ground.check(fine, expected=f"scan({prefix!a}) to show {len(expected)} ids once", got=got, ids=ids)
        self._count("scans")

    async def _refused(self, store: TracedStore, verb: str, *arguments: Any) -> None:
        await store.refuses(UnsupportedError, verb, *arguments)
        self._count("refused as undeclared")

    async def _settle(self, store: TracedStore, session_id: str) -> None:
        """Make certain what is there, before an operation whose answer depends on it."""
        if not self._model(store).is_certain(session_id, self._now):
            await store.destroy(session_id)
            self._model(store).drop(session_id)

    def _decide(self, store: TracedStore, session_id: str, record: Record, expected: str | Absent) -> bool:
        live = self._live(store, session_id)
        if live is not None and live.version == record.version:
            self._count("repeated swaps")
            return True
        wins = expected is ABSENT if live is None else expected == live.version
        if wins:
            self._put(store, session_id, record)
        else:
            self._count("conflicts")
        return wins

    # Records and versions.

    def _swap_of(self, store: TracedStore, item: WriteItem) -> tuple[str, Record, str | Absent]:
        live = self._live(store, item.session_id)
        if item.expected == "again" and live is not None:
            return item.session_id, live, ABSENT
        return item.session_id, self._record(item), self._expected(store, item)

    def _expected(self, store: TracedStore, item: WriteItem) -> str | Absent:
        live = self._live(store, item.session_id)
        if item.expected == "absent" or (live is None and item.expected == "live"):
            return ABSENT
        if item.expected == "live" and live is not None:
            return live.version
        former = self._former.get((store.namespace, item.session_id), ())
        if item.expected != "former" or not former:
            return self.ground.version()
        # Where nothing is live, what was there last may still lie in the medium, expired or marked as destroyed.
        return former[-1] if live is None else former[0]

    def _record(self, item: WriteItem) -> Record:
        return Record(item.payload, self.ground.version(), self._expiry(item.lives))

    def _expiry(self, lives: int | None) -> int | None:
        if lives is None:
            return None
        # What has expired shall be gone for certain, also in a coarse store.
        return self._now + lives - (self.ground.grace if lives <= 0 else 0)

    def _put(self, store: TracedStore, session_id: str, record: Record) -> None:
        key = (store.namespace, session_id)
        if self._live(store, session_id) is not None:
            self._count("overwrites")
        self._model(store).put(session_id, record, self._now)
        self._former.setdefault(key, deque(maxlen=4)).append(record.version)
        self._last_store[key] = id(store)

    def _former_ids(self, store: TracedStore) -> list[tuple[str, str]]:
        return [(session_id, name) for name, session_id in self._former if name == store.namespace]

    def _model(self, store: TracedStore) -> Model:
        return self._models[store.namespace]

    def _live(self, store: TracedStore, session_id: str) -> Record | None:
        return self._model(store).live(session_id, self._now)

    def _all_live(self) -> int:
        return sum(len(model.all_live(self._now)) for model in self._models.values())

    @property
    def _now(self) -> int:
        return self.ground.clock.now()

    def _count(self, event: str) -> None:
        self.ground.events[event] += 1
