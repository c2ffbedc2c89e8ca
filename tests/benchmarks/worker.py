"""One contender in a process of its own, so that its memory is its own: `python -m tests.benchmarks.worker`."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
from tests.benchmarks.measure import Conversations, peak_memory
from tests.benchmarks.protocol import Answer, Job, Order

if TYPE_CHECKING:
    from tests.benchmarks.contenders import Opener

__all__ = ()

_decode_order = msgspec.json.Decoder(Order).decode


async def serve() -> None:
    """Do a job and the orders that come with it; what goes wrong is the last answer."""
    job = msgspec.json.decode(await _line(), type=Job)
    try:
        async with _opener(job.opener)(job) as turn:
            _say(Answer())
            await _obey(Conversations(turn, job.session_ids))
    except Exception as error:  # noqa: BLE001  # the run names it, and goes on with the others
        _say(Answer(error=f"{type(error).__name__}: {error}"))


async def _obey(conversations: Conversations) -> None:
    while (order := _decode_order(await _line())).seconds is not None:
        _say(Answer(round=await conversations.run(order.seconds)))
    peak = peak_memory()
    _say(Answer(turns=await conversations.check(), peak_bytes=peak))


def _opener(name: str) -> Opener:
    module, _, function = name.partition(":")
    opener: Any = getattr(import_module(module), function)
    made: Opener = opener
    return made


async def _line() -> str:
    # In a thread: clients go on to look after their connections meanwhile.
    return await asyncio.to_thread(sys.stdin.readline)


def _say(answer: Answer) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve())
