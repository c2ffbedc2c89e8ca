"""What a child process does for the kit: it makes stores of the same harness in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
import warnings
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


async def fork(harness: Harness, location: str, _: dict[str, Any]) -> None:
    """Fork while a store is open, use it in parent and child at the same time, and tell what went wrong, or "well"."""
    async with harness.make(location, clock=StandingClock()) as store:
        await asyncio.gather(*(store.write(f"before:{number}", EARLIER) for number in range(8)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there may be threads: that is what is tried
            pid = os.fork()
        if pid == 0:
            os._exit(_in_the_child(store))
        parent = await _use(store, "parent")
        child = await _end_of(pid)
        seen = [await store.read(f"child:{number}") for number in range(_FORKED_CALLS)]
        # What is in memory only, the child has changed in a memory of its own.
        is_lost = store.capabilities.durable and seen != [LATER] * _FORKED_CALLS
    _tell(parent or child or ("what the child wrote is not there" if is_lost else "well"))


_FORKED_CALLS: Final = 40
_LONGEST_CHILD: Final = 5.0


def _in_the_child(store: SessionStore) -> int:
    """Return the exit code."""
    asyncio.events._set_running_loop(None)  # noqa: SLF001  # the parent's, where Python does not do it by itself
    loop = asyncio.new_event_loop()
    try:
        return 1 if loop.run_until_complete(asyncio.wait_for(_use(store, "child"), _LONGEST_CHILD)) else 0
    except BaseException:  # noqa: BLE001  # whatever a store under trial does
        return 2


async def _use(store: SessionStore, name: str) -> str:
    """Write and read back; return what was wrong, or nothing."""
    for number in range(_FORKED_CALLS):
        session_id = f"{name}:{number}"
        await store.write(session_id, LATER)
        found = await store.read(session_id), await store.read(f"before:{number % 8}")
        if found != (LATER, EARLIER):
            return f"the {name} read {found!r} after call {number}"
    return ""


async def _end_of(pid: int) -> str:
    """Wait for the child; return what was wrong, or nothing."""
    for _ in range(int(_LONGEST_CHILD * 100)):
        ended, status = os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222  # it does not wait
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return {0: "", 1: "the child did not read what it wrote", 2: "the child failed"}.get(code, f"code {code}")
        await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, pid, 0)
    return "the child hangs"


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


JOBS: Final = {"look": look, "write": write, "finish": finish, "fork": fork, "history": history, "init": init}


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
