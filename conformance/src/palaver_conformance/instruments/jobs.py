"""What a child process does for the kit: it makes stores of the same harness in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any, Final

from palaver.contract.record import Record
from palaver_conformance.ground.clock import START, StandingClock
from palaver_conformance.harness import as_harness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from palaver.contract.store import SessionStore
    from palaver_conformance.harness import Harness

__all__ = ("EARLIER", "JOBS", "LAST_CALLS", "LATER", "TOUCHED", "main")

EARLIER: Final = Record(b"earlier", "0" * 32, None)
LATER: Final = Record(b"later", "1" * 32, None)
TOUCHED: Final = START * 2


async def look(harness: Harness, location: str, _: dict[str, Any]) -> None:
    """Tell the payload of the session `probe`, as another process sees it."""
    async with harness.make(location, clock=StandingClock()) as store:
        record = await store.read("probe")
    _tell("None" if record is None else record.payload.decode())


async def write(harness: Harness, location: str, options: dict[str, Any]) -> None:
    """Write sessions without end, and tell of each one when it begins and when it is acknowledged."""
    async with harness.make(location, clock=StandingClock()) as store:
        _tell("ready")
        for number in range(int(options["count"])):
            record = Record(payload_of(number, store.capabilities.max_payload_bytes), f"{number:032x}", None)
            _tell(f"begin {number}")
            await _change(store, number, record)
            _tell(f"done {number}")


async def finish(harness: Harness, location: str, options: dict[str, Any]) -> None:
    """Call one verb on the session `a`, and end the process the moment that it is acknowledged."""
    store = await harness.make(location, clock=StandingClock()).init()
    await LAST_CALLS[options["verb"]](store)
    # Not sys.exit: nothing may be closed, flushed or waited for any more.
    os._exit(0)


LAST_CALLS: Final[dict[str, Callable[[SessionStore], Awaitable[Any]]]] = {
    "write": lambda store: store.write("a", LATER),
    "destroy": lambda store: store.destroy("a"),
    "swap": lambda store: store.swap("a", LATER, EARLIER.version),
    "remove": lambda store: store.remove("a", EARLIER.version),
    "touch": lambda store: store.touch("a", TOUCHED),
    "write_many": lambda store: store.write_many([("a", LATER)]),
    "swap_many": lambda store: store.swap_many([("a", LATER, EARLIER.version)]),
}
"""What `finish` does last, where `EARLIER` is there before."""


async def _change(store: SessionStore, number: int, record: Any) -> None:
    session_id = session_of(number)
    if store.capabilities.batch and number % 5 == 4:  # noqa: PLR2004  # every fifth
        await store.write_many([(session_id, record)])
    elif store.capabilities.swap and number % 5 == 3:  # noqa: PLR2004
        live = await store.read(session_id)
        from palaver.contract.record import ABSENT

        await store.swap(session_id, record, ABSENT if live is None else live.version)
    else:
        await store.write(session_id, record)


def session_of(number: int) -> str:
    """Return which session the change of this number is about."""
    return f"s{number % 7}"


def payload_of(number: int, longest: int | None) -> bytes:
    """Return what the change of this number writes: a mixture with another one is seen."""
    return ((b"%d;" % number) * (1 + 997 * (number % 6)))[:longest]


async def history(harness: Harness, location: str, options: dict[str, Any]) -> None:
    """Be one client of a history among several processes."""
    from palaver_conformance.histories.history import Recorder
    from palaver_conformance.histories.workload import Client

    clock = StandingClock()
    recorder = Recorder(clock, across_processes=True)
    async with harness.make(location, clock=clock) as store:
        name = str(options["name"])
        clients = [
            Client(recorder, f"{name}.{index}", store, seed=f"{options['seed']}:{name}:{index}", expires_at=START * 2)
            for index in range(2)
        ]
        _tell("ready")
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(client.run(options["ids"], options["count"], store.capabilities) for client in clients))
    _tell(recorder.history().to_json().decode())


async def init(harness: Harness, location: str, options: dict[str, Any]) -> None:
    """Be one of several processes that open a new location at the same moment."""
    store = harness.make(location, clock=StandingClock())
    _tell("ready")
    await asyncio.to_thread(sys.stdin.readline)
    async with store:
        record = Record(b"mine", f"{options['number']:032x}", None)
        await store.write(f"of {options['number']}", record)
        found = await store.read(f"of {options['number']}")
    _tell("well" if found == record else f"{found!r}")


JOBS: Final = {"look": look, "write": write, "finish": finish, "history": history, "init": init}


def main() -> None:
    """Do the job that comes by standard input: the module path, then what to do, as two lines."""
    sys.path[:] = json.loads(sys.stdin.readline())
    order = json.loads(sys.stdin.readline())
    harness = pickle.loads(bytes.fromhex(order["harness"]))  # noqa: S301  # it comes from the kit itself
    asyncio.run(JOBS[order["job"]](as_harness(harness), order["location"], order["options"]))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
