"""Trying the laws on a store, one after another, each on a location of its own and within its time."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import platform
import secrets
import time
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from palaver.contract.store import Capabilities, SessionStore
from palaver.errors import PalaverError, StoreUnavailableError
from palaver_conformance.ground.clock import StandingClock
from palaver_conformance.ground.ground import Ground
from palaver_conformance.ground.steps import describe
from palaver_conformance.ground.verdicts import Inconclusive, LawBroken, NotRun
from palaver_conformance.harness import Harness, Removes, as_harness, missing_hooks, present_hooks
from palaver_conformance.instruments.guard import Hung, run_guarded, run_guarded_for
from palaver_conformance.laws import all_laws
from palaver_conformance.profiles import PROFILES, Profile
from palaver_conformance.report.findings import Failure, Result, Verdict
from palaver_conformance.report.report import Report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from palaver_conformance.ground.law import Law
    from palaver_conformance.harness import HarnessLike

__all__ = ("CannotRun", "Run", "run_laws")

_HUNG_LAWS: Final = 3
"""After so many laws that hung the rest is not tried: it would take for ever."""


_SHORTEST_IDS: Final = 16


class CannotRun(Exception):  # noqa: N818  # it is a verdict
    """Raised when no law can be tried: there is no store to try them on."""


class Run:
    """One run of laws on one store.

    Args:
        target: a harness, or a function that makes stores.
        profile: how much to try: `smoke`, `ci` or `full`.
        seed: where chance begins.

    Raises:
        CannotRun: no store can be made.
    """

    def __init__(self, target: HarnessLike, *, profile: str = "ci", seed: int = 0) -> None:
        self.harness: Harness = as_harness(target)
        self.profile: Profile = PROFILES[profile]
        self.seed = seed
        self._name = f"palaver-{secrets.token_hex(4)}"
        self._count = 0
        self._hung = 0
        self._blocked: str | None = None
        self.store, self.capabilities = self._look()

    def try_law(self, law: Law, seconds: float) -> Result:
        """Try one law."""
        reason = self._gap(law)
        if reason is not None:
            return Result(law=law, verdict=reason[0], reason=reason[1])
        began = time.monotonic()
        ground = self._ground(law, seconds)
        verdict, reason_text, failure = self._judge(law, ground)
        self._hung += ground.has_hung
        return Result(
            law=law,
            verdict=verdict,
            reason=reason_text,
            failure=failure,
            seconds=time.monotonic() - began,
            events=dict(ground.events),
        )

    def _gap(self, law: Law) -> tuple[Verdict, str] | None:
        if self._blocked is not None:
            return Verdict.NOT_RUN, self._blocked
        if self._hung >= _HUNG_LAWS:
            return Verdict.NOT_RUN, f"{self._hung} laws hung before"
        undeclared = [need for need in law.needs if not getattr(self.capabilities, need)]
        if undeclared:
            return Verdict.NOT_DECLARED, f"the store does not declare {' and '.join(undeclared)}"
        missing = [hook for hook in law.hooks if hook in missing_hooks(self.harness)]
        if missing:
            return Verdict.NOT_RUN, f"hook missing: {', '.join(missing)}"
        return None

    def _ground(self, law: Law, seconds: float) -> Ground:
        self._count += 1
        return Ground(
            self.harness,
            self._place(),
            capabilities=self.capabilities,
            profile=self.profile,
            seed=f"{self.seed}:{law.id}",
            seconds=seconds,
        )

    def _judge(self, law: Law, ground: Ground) -> tuple[Verdict, str | None, Failure | None]:
        patience = 2 * self.profile.call_seconds + 5
        try:
            run_guarded(lambda: _try(law, ground), lambda: ground.last_beat, patience)
        except NotRun as gap:
            return Verdict.NOT_RUN, str(gap), None
        except Inconclusive as doubt:
            return Verdict.INCONCLUSIVE, str(doubt), None
        except Hung as hung:
            self._blocked = f"{law.id} never ended"
            got = f"nothing came for {patience:g} seconds; it stands {hung.where}"
            return Verdict.BROKEN, None, _failure(ground, LawBroken(expected="every call to end", got=got))
        except LawBroken as broken:
            return Verdict.BROKEN, None, _failure(ground, broken)
        except BaseException as error:  # noqa: BLE001  # whatever a store under trial does
            return Verdict.BROKEN, None, _failure(ground, _unexpected(error, ground.last_ids))
        return Verdict.PASSED, None, None

    def _look(self) -> tuple[str, Capabilities]:
        try:
            return run_guarded_for(self._look_unguarded, self.profile.call_seconds)
        except Hung as hung:
            patience = f"{self.profile.call_seconds:g} seconds"
            raise CannotRun(
                f"make(), init() or close() hangs: it did not end within {patience}, it stands {hung.where}"
            ) from hung

    def _look_unguarded(self) -> tuple[str, Capabilities]:
        store = self._made()
        if not isinstance(store.capabilities, Capabilities):
            raise CannotRun(f"the store's capabilities are {describe(store.capabilities)}, not Capabilities")
        if store.capabilities.max_id_bytes < _SHORTEST_IDS:
            raise CannotRun(f"the laws use ids of up to {_SHORTEST_IDS} bytes, which the store does not accept")
        asyncio.run(self._reach(store))
        return repr(store), store.capabilities

    def _made(self) -> SessionStore:
        try:
            store = self.harness.make(self._place(), clock=StandingClock())
        except PalaverError as error:
            raise CannotRun(str(error)) from error
        except BaseException as error:
            raise CannotRun(f"make() raised {describe(error)}") from error
        if inspect.iscoroutine(store):
            store.close()
            raise CannotRun("make() is a coroutine function; it must be an ordinary one that returns a SessionStore")
        if not isinstance(store, SessionStore):
            raise CannotRun(f"make() returned {describe(store)} of type {type(store).__name__}, not a SessionStore")
        return store

    async def _reach(self, store: SessionStore) -> None:
        """See that there is a medium; whatever else is wrong, the laws will tell."""
        try:
            await store.init()
        except StoreUnavailableError as error:
            raise CannotRun(f"the store is not available: {error}") from error
        except Exception:  # noqa: BLE001  # a law's business
            return
        await store.close()
        if isinstance(self.harness, Removes):
            await self.harness.remove(self._place())

    def _place(self) -> str:
        """Return the location of the present law; before the first, of the look at the store."""
        return f"{self._name}-{self._count}"


def run_laws(
    target: HarnessLike,
    *,
    profile: str = "ci",
    seed: int | None = None,
    laws: Sequence[str] | None = None,
    exclude: Mapping[str, str] | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Report:
    """Try the laws on a store and report.

    Args:
        target: a harness, or a function that makes stores.
        profile: how much to try: `smoke`, `ci` or `full`.
        seed: where chance begins: 0, unless it is given or the profile is `full`, which takes another one each time.
        laws: the ids of the laws to try, or None for all.
        exclude: laws not to try, each with the reason, which is reported.
        on_result: called after each law.

    Raises:
        CannotRun: no store can be made, or an id or the profile is unknown.
    """
    if profile not in PROFILES:
        raise CannotRun(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")
    exclusions = dict(exclude or {})
    chosen = _chosen(laws, exclusions)
    started, began = datetime.now(UTC), time.monotonic()
    run = Run(target, profile=profile, seed=_seed(profile) if seed is None else seed)
    results = []
    for result in _results(run, chosen, exclusions):
        results.append(result)
        if on_result is not None:
            on_result(result)
    return make_report(run, results, exclusions, started, time.monotonic() - began)


def make_report(
    run: Run, results: Sequence[Result], exclusions: Mapping[str, str], started: datetime, seconds: float
) -> Report:
    """Put the results of a run together."""
    return Report(
        store=run.store,
        kit_version=metadata.version("palaver-conformance"),
        profile=run.profile.name,
        seed=run.seed,
        capabilities=dataclasses.asdict(run.capabilities),
        hooks=present_hooks(run.harness),
        missing_hooks=missing_hooks(run.harness),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        started=started.isoformat(timespec="seconds"),
        seconds=seconds,
        results=tuple(results),
        exclusions=exclusions,
        is_selection=len(results) < len(all_laws()),
    )


def _seed(profile: str) -> int:
    return secrets.randbelow(1_000_000) if profile == "full" else 0


def _chosen(laws: Sequence[str] | None, exclusions: Mapping[str, str]) -> list[Law]:
    known = {law.id: law for law in all_laws()}
    unknown = [law_id for law_id in (*(laws or ()), *exclusions) if law_id not in known]
    if unknown:
        raise CannotRun(f"there is no law {', '.join(unknown)}")
    without_reason = [law_id for law_id, reason in exclusions.items() if not reason.strip()]
    if without_reason:
        raise CannotRun(f"a law is excluded without a reason: {', '.join(without_reason)}")
    return [law for law in known.values() if laws is None or law.id in laws]


def _results(run: Run, laws: Sequence[Law], exclusions: Mapping[str, str]) -> Any:
    """Try each law with its share of the time that is left: what one does not use is there for the others."""
    deadline = time.monotonic() + run.profile.seconds
    weight_left = sum(law.weight for law in laws)
    for law in laws:
        share = max(0.0, deadline - time.monotonic()) * law.weight / weight_left
        weight_left -= law.weight
        if law.id in exclusions:
            yield Result(law=law, verdict=Verdict.NOT_RUN, reason=f"excluded: {exclusions[law.id]}")
        else:
            yield run.try_law(law, share)


def _try(law: Law, ground: Ground) -> None:
    # A law that owns its loops is an ordinary function.
    trial = law.trial(ground)
    if trial is not None:
        asyncio.run(_try_and_close(trial, ground))


async def _try_and_close(trial: Awaitable[None], ground: Ground) -> None:
    try:
        await trial
    except BaseException:
        await _close_anyhow(ground)
        raise
    await ground.close()


async def _close_anyhow(ground: Ground) -> None:
    """The law is broken already: what a broken store does when it is closed is not another failure."""
    try:
        async with asyncio.timeout(ground.profile.call_seconds):
            await ground.close()
    except Exception:  # noqa: BLE001
        return


def _failure(ground: Ground, broken: LawBroken) -> Failure:
    steps = ground.steps.about(broken.ids) if broken.steps is None else broken.steps
    return Failure(
        expected=broken.expected, got=broken.got, steps=steps, timeline=broken.timeline, picture=broken.picture
    )


def _unexpected(error: BaseException, ids: tuple[str, ...]) -> LawBroken:
    if isinstance(error, PalaverError):
        return LawBroken(expected="an answer", got=f"{type(error).__name__}: {error}", ids=ids)
    return LawBroken(expected="an answer", got=f"{type(error).__module__}.{describe(error)}", ids=ids)
