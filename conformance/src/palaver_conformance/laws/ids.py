"""Identity: two different ids never meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from palaver_conformance.ground.draw import draw
from palaver_conformance.ground.ids import RELATED, alphabet, long_ids
from palaver_conformance.ground.law import law
from palaver_conformance.ground.verdicts import LawBroken
from palaver_conformance.laws._ways import ways_to_put

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from palaver.contract.record import Record
    from palaver_conformance.ground.ground import Ground
    from palaver_conformance.ground.traced import TracedStore


@law("ID-01", proves=("ID-01",), catches=("id-casefold", "id-lower-ascii"))
async def case(ground: Ground) -> None:
    """Ids that differ in case never meet, in any script."""
    await _never_meet(ground, RELATED["case"])


@law("ID-02", proves=("ID-01",), catches=("id-normalise", "id-strip-accents", "id-invisible", "id-three-bytes"))
async def normal_form(ground: Ground) -> None:
    """Ids that look alike, in another normal form or with invisible characters, never meet."""
    await _never_meet(ground, RELATED["normal form"])


@law("ID-03", proves=("ID-01",), catches=("prefix-read", "prefix-destroy"))
async def prefix(ground: Ground) -> None:
    """Ids of which one is the beginning or the end of another never meet."""
    await _never_meet(ground, RELATED["prefix"])


@law("ID-04", proves=("ID-01",), catches=("id-truncate", "id-long-fail", "id-keeps-the-end", "id-one-byte-too-long"))
async def length(ground: Ground) -> None:
    """Ids up to the declared length are accepted, and never meet however much they have in common."""
    await _never_meet(ground, long_ids(ground.capabilities.max_id_bytes))


@law("ID-05", proves=("ID-01",), catches=("id-escape", "id-hash", "id-unquote"))
async def escape(ground: Ground) -> None:
    """An id never meets its escaped, encoded or hashed form."""
    await _never_meet(ground, RELATED["escape"])


@law("ID-06", proves=("ID-01",), catches=("id-separator", "id-slug"))
async def separator(ground: Ground) -> None:
    """Ids that differ in their separators never meet."""
    await _never_meet(ground, RELATED["separator"])


@law("ID-07", proves=("ID-01",), catches=("id-strip", "id-trailing-dots"))
async def white_space(ground: Ground) -> None:
    """Ids that differ in white space, control characters or dots at their end never meet."""
    await _never_meet(ground, RELATED["white space"])


@law("ID-08", proves=("ID-01",), catches=("id-path", "id-basename", "id-reserved"))
async def path(ground: Ground) -> None:
    """Ids that look like paths or names with a meaning never meet, and none is refused."""
    await _never_meet(ground, RELATED["path"])


@law("ID-09", proves=("ID-01",), catches=("id-wildcard", "id-like"))
async def wildcard(ground: Ground) -> None:
    """Nothing in an id is a wildcard."""
    await _never_meet(ground, RELATED["wildcard"])


@law("ID-10", proves=("ID-01",), catches=("id-numeric", "id-float", "id-uuid"))
async def number(ground: Ground) -> None:
    """Ids that look like the same number, date or name of nothing never meet."""
    await _never_meet(ground, RELATED["number"])


@law("ID-11", proves=("ID-01",), catches=("id-injection", "id-line-injection", "id-placeholder"))
async def injection(ground: Ground) -> None:
    """Nothing in an id reaches the medium's own language."""
    await _never_meet(ground, RELATED["injection"])


@law("ID-12", proves=("ID-01",), catches=("id-generated",), weight=2)
async def generated(ground: Ground) -> None:
    """Ids that nobody has thought of never meet, nor do those that differ from them in one character."""
    text = st.text(st.sampled_from(alphabet()), min_size=1, max_size=40)
    anything = st.lists(st.integers(1, 0x10FFFF).filter(_is_character).map(chr), min_size=1, max_size=20)
    drawn = draw(text, ground.profile.generated, ground.seed)
    drawn += map("".join, draw(anything, ground.profile.generated, ground.seed))
    await _never_meet(ground, [each for one in drawn for each in (one, *_mutations(ground, one))])


@law("ID-13", proves=("ID-01", "SCAN-02"), needs=("scan",), catches=("scan-encoded",))
async def scanned(ground: Ground) -> None:
    """A scan gives back every id exactly as it was written."""
    store = await ground.open()
    ids = [session_id for group in RELATED.values() for session_id in group[: ground.profile.generated]]
    ids = ground.acceptable([*ids, *long_ids(ground.capabilities.max_id_bytes)[:20]])
    for session_id in ids:
        await store.write(session_id, ground.record())
    seen = await store.scan_all()
    wrong = sorted(set(seen) ^ set(ids))
    ground.check(not wrong, expected="scan to show exactly the ids that were written", got=f"wrong about {wrong[:3]!a}")
    ground.equal(len(seen), len(ids), "scan to show this many ids:")


async def _never_meet(ground: Ground, session_ids: Sequence[str]) -> None:
    """Write a session under every id; each must be new, and keep its record while others come, change and go."""
    store = await ground.open()
    ways = ways_to_put(ground)
    records: dict[str, Record] = {}
    for session_id in ground.cases(ground.acceptable(session_ids), at_least=60):
        await store.expect(session_id, None)
        records[session_id] = ground.record(session_id.encode()[:100], lives=60_000)
        # Each way to put a session has its own way to find it.
        await ground.random.choice(ways)(store, session_id, records[session_id])
    await _expect_all(ground, store, records)
    removed = list(records)[::2]
    for session_id in removed:
        await store.destroy(session_id)
    await _expect_all(ground, store, records | dict.fromkeys(removed))
    if ground.capabilities.touch:
        await _touch_the_rest(ground, store, {each: records[each] for each in records if each not in removed})


async def _expect_all(ground: Ground, store: TracedStore, records: Mapping[str, Record | None]) -> None:
    for session_id, record in records.items():
        await store.expect(session_id, record)
    if ground.capabilities.batch:
        answers = await store.read_many(list(records))
        for (session_id, record), answer in zip(records.items(), answers, strict=True):
            ground.same_record(answer, record, session_id)


async def _touch_the_rest(ground: Ground, store: TracedStore, records: dict[str, Record]) -> None:
    """Move every other expiry; exactly the others are gone when their time has come."""
    for session_id in list(records)[::2]:
        if not await store.touch(session_id, None):
            raise LawBroken(expected="touch to answer True", got="False", ids=(session_id,))
    ground.advance(60_000 + ground.grace)
    for number, session_id in enumerate(records):
        there = await store.read(session_id) is not None
        fine = there is (number % 2 == 0)
        ground.check(fine, expected="touch to move this session only", got=f"there: {there}", ids=(session_id,))


def _mutations(ground: Ground, text: str) -> tuple[str, ...]:
    place = ground.random.randrange(len(text))
    other = ground.random.choice(alphabet())
    return text[:place] + other + text[place + 1 :], text + other, text[:place] + other + text[place:]


def _is_character(code: int) -> bool:
    return not 0xD800 <= code <= 0xDFFF
