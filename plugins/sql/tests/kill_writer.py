"""A process that makes writers, each of which saves until it is killed.

A writer starts at once, because it is a fork of a process that has imported everything. For each line on its input
this process makes a writer, whose output it shares: the writer's process id, then one line for each save that the
store has acknowledged; then, when the writer has ended, this process says `ended`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys

from palaver.contract.record import Record, new_version
from palaver_sql import SQLSessionStore

CONVERSATIONS = 5


def payload(number: int) -> bytes:
    """Return bytes that show whether they are whole: their own digest, and more than a page of the database."""
    body = b"%d " % number * (1 + number % 2000)
    return hashlib.sha256(body).hexdigest().encode() + b" " + body


async def talk(store: SQLSessionStore, session_id: str) -> None:
    """Save one number after the other, and say so once each is acknowledged."""
    old = await store.read(session_id)
    number = 0 if old is None else int(old.payload.split()[1])
    while True:
        number += 1
        await store.write(session_id, Record(payload(number), new_version(), None))
        os.write(1, b"%s %d\n" % (session_id.encode(), number))


async def main(url: str) -> None:
    """Have several conversations at once, for ever."""
    async with SQLSessionStore(url) as store:
        await asyncio.gather(*(talk(store, f"id{number}") for number in range(CONVERSATIONS)))


if __name__ == "__main__":
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            os.write(1, b"writer %d\n" % os.getpid())
            asyncio.run(main(sys.argv[1]))
        os.waitpid(child, 0)
        os.write(1, b"ended\n")
