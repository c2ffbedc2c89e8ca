"""Stores in which a batch is not what its items are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.contract.record import ABSENT, Record
from palaver.errors import CorruptSessionError, StoreUnavailableError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver.contract.record import Absent


# Reading.


@saboteur("batch-order", law="BATCH-01", words="which was written to 'session:")
class BatchOrder(HonestStore):
    """Answers come in the order in which the medium has the sessions."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        await self.begin()
        found = [record for each in self.own_ids() if each in session_ids and (record := self.live(each))]
        return [*found, *[None] * (len(session_ids) - len(found))]


@saboteur("batch-skips-missing", law="BATCH-01", words="a list of 30 results, one for each item")
class BatchSkipsMissing(HonestStore):
    """There is no answer for an id that is not there."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        return [record for record in await super().read_many(session_ids) if record is not None]


@saboteur("batch-dedup", law="BATCH-02", words="a list of 7 results, one for each item")
class BatchDedup(HonestStore):
    """An id that is asked for twice is answered once."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        return await super().read_many(list(dict.fromkeys(session_ids)))


@saboteur("batch-repeat-missing", law="BATCH-02", words="got:      None (no live record)")
class BatchRepeatMissing(HonestStore):
    """An id that is asked for again is not there."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        answers = await super().read_many(session_ids)
        return [
            None if session_ids[number] in session_ids[:number] else answer for number, answer in enumerate(answers)
        ]


@saboteur("batch-empty", law="BATCH-05", words="builtins.ValueError: no items")
class BatchEmpty(HonestStore):
    """To read nothing is an error."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        if not session_ids:
            raise ValueError("no items")
        return await super().read_many(session_ids)


@saboteur("batch-empty-reads-all", law="BATCH-05", words="got:      1 results")
class BatchEmptyReadsAll(HonestStore):
    """To read nothing reads everything."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        return await super().read_many(session_ids or self.own_ids())


@saboteur("batch-cache", law="BATCH-10", words="which was written to 'session:")
class BatchCache(HonestStore):
    """What was written or read in a batch is kept, and single writes do not replace it."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        kept = self.medium.notes["kept"]
        for session_id, answer in zip(session_ids, await super().read_many(session_ids), strict=True):
            kept[session_id] = answer and kept.get(session_id, answer)
        return [kept[session_id] for session_id in session_ids]

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await super().write_many(items)
        self.medium.notes["kept"].update(items)


@saboteur("batch-not-seen", law="BATCH-10", words="which was written to 'session:")
class BatchNotSeen(HonestStore):
    """What was written in a batch is not seen by read where a single write was."""

    async def write(self, session_id: str, record: Record) -> None:
        await super().write(session_id, record)
        self.medium.notes["single"][session_id] = record

    async def read(self, session_id: str) -> Record | None:
        record = await super().read(session_id)
        return record and self.medium.notes["single"].get(session_id, record)


# Writing.


@saboteur("batch-first-wins", law="BATCH-02", words="1 bytes b'1'")
class BatchFirstWins(HonestStore):
    """Of several records for one id the first one is written."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await super().write_many(items[::-1])


@saboteur("batch-partial", law="BATCH-06", words="got:      None (no live record)")
class BatchPartial(HonestStore):
    """Of a batch the first hundred records are written."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await super().write_many(items[:100])


@saboteur("batch-limit", law="BATCH-06", words="StoreUnavailableError: too many SQL variables")
class BatchLimit(HonestStore):
    """A batch of more than 128 ids is refused."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        if len(session_ids) > 128:
            raise StoreUnavailableError("too many SQL variables")
        return await super().read_many(session_ids)


@saboteur("batch-drops-ttl", law="BATCH-07", words="expires_at None")
class BatchDropsTtl(HonestStore):
    """What is written in a batch lives for ever."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await super().write_many([(session_id, replace(record, expires_at=None)) for session_id, record in items])


@saboteur("batch-one-ttl", law="BATCH-07", words="expires_at 1700000001000")
class BatchOneTtl(HonestStore):
    """All records of a batch get the expiry of the first one."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await super().write_many([(each, replace(record, expires_at=items[0][1].expires_at)) for each, record in items])


@saboteur("batch-mangles", law="BATCH-08", words="the payloads differ from byte 1")
class BatchMangles(HonestStore):
    """What is written in a batch goes through as lines of text."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        lines = [(each, replace(record, payload=record.payload.replace(b"\r\n", b"\n"))) for each, record in items]
        await super().write_many(lines)


@saboteur("batch-list-only", law="BATCH-09", words="builtins.TypeError")
class BatchListOnly(HonestStore):
    """A batch must be a list."""

    async def write_many(self, items: Sequence[tuple[str, Record]]) -> None:
        await super().write_many([] + items)  # type: ignore[operator]  # noqa: RUF005


# Swapping.


@saboteur("batch-swap-snapshot", law="BATCH-03", words="got:      [True, False")
class BatchSwapSnapshot(HonestStore):
    """Every swap is decided by what was there before the batch."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self.begin()
        before = {session_id: self.live(session_id) for session_id, _, _ in items}
        answers = []
        for session_id, record, expected in items:
            live = before[session_id]
            answers.append((ABSENT if live is None else live.version) == expected)
            if answers[-1]:
                self.put(session_id, record)
        return answers


@saboteur("batch-swap-dedup", law="BATCH-03", words="got:      [False, False")
class BatchSwapDedup(HonestStore):
    """Of several swaps of one id only the last one is tried."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self.begin()
        last = {session_id: number for number, (session_id, _, _) in enumerate(items)}
        return [last[item[0]] == number and self.decide(*item) for number, item in enumerate(items)]


@saboteur("batch-swap-all-or-nothing", law="BATCH-04", words="swap_many to answer")
class BatchSwapAllOrNothing(HonestStore):
    """When one swap is refused, all of the batch are."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self.begin()
        before = dict(self.medium.records)
        answers = [self.decide(*item) for item in items]
        if all(answers):
            return answers
        self.medium.records = before
        return [False] * len(items)


@saboteur("batch-swap-order", law="BATCH-04", words="swap_many to answer")
class BatchSwapOrder(HonestStore):
    """Answers come in the order of the ids."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        await self.begin()
        return [self.decide(*item) for item in sorted(items, key=lambda item: item[0])]


@saboteur("batch-swap-refused-writes", law="BATCH-04", words="got:      Record")
class BatchSwapRefusedWrites(HonestStore):
    """A swap that is refused within a batch changes the session all the same."""

    async def swap_many(self, items: Sequence[tuple[str, Record, str | Absent]]) -> list[bool]:
        answers = await super().swap_many(items)
        for (session_id, record, _), wins in zip(items, answers, strict=True):
            if not wins and len(set(answers)) > 1 and self.live(session_id) is not None:
                self.put(session_id, record)
        return answers


@saboteur("batch-blames-nobody", law="BATCH-11", words="the error of read_many to name the session")
class BlamesNobody(HonestStore):
    """The error of a batch does not say which session is damaged."""

    async def read_many(self, session_ids: Sequence[str]) -> list[Record | None]:
        try:
            return await super().read_many(session_ids)
        except CorruptSessionError as error:
            raise CorruptSessionError(error.reason) from error
