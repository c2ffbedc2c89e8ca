"""Reading the values of many keys in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from palaver_redis._connections import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaver_redis._channel import Channel
    from palaver_redis._connections import Answer

__all__ = ("read_values",)

_KEYS_AT_ONCE: Final = 256


async def read_values(channel: Channel, keys: Sequence[bytes]) -> dict[bytes, Answer]:
    """Return what is at each key: bytes, None, or the error of the server where the value is not a string."""
    groups = _groups(channel, list(dict.fromkeys(keys)))
    answers = iter(await channel.ask([command for group in groups for command in _commands(group)]))
    found: dict[bytes, Answer] = {}
    doubtful: list[bytes] = []
    for group in groups:
        if len(group) == 1:
            found[group[0]] = next(answers)
            continue
        values, present = channel.checked(next(answers)), channel.checked(next(answers))
        found.update(zip(group, values, strict=True))
        missing = [key for key, value in zip(group, values, strict=True) if value is None]
        if len(missing) != len(group) - present:
            doubtful += missing
    if doubtful:
        found.update(zip(doubtful, await channel.ask([_get(key) for key in doubtful]), strict=True))
    return found


def _groups(channel: Channel, keys: list[bytes]) -> list[list[bytes]]:
    slots = [[keys[place] for place in places] for places in channel.by_slot(keys)]
    return [slot[at : at + _KEYS_AT_ONCE] for slot in slots for at in range(0, len(slot), _KEYS_AT_ONCE)]


def _commands(group: list[bytes]) -> list[Command]:
    if len(group) == 1:
        return [_get(group[0])]
    # MGET says of a value that is not a string that it is not there; EXISTS counts it.
    return [Command(group[0], ("MGET", *group)), Command(group[0], ("EXISTS", *group))]


def _get(key: bytes) -> Command:
    return Command(key, ("GET", key))
