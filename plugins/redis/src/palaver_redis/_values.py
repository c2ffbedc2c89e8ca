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
    answers = await channel.ask([_read(group) for group in groups])
    found: dict[bytes, Answer] = {}
    for group, answer in zip(groups, answers, strict=True):
        found.update({group[0]: answer} if len(group) == 1 else zip(group, channel.checked(answer), strict=True))
    missing = [key for group in groups if len(group) > 1 for key in group if found[key] is None]
    if missing and await _any_is_there(channel, missing):
        found.update(zip(missing, await channel.ask([_get(key) for key in missing]), strict=True))
    return found


async def _any_is_there(channel: Channel, missing: list[bytes]) -> bool:
    """Tell whether there is something at keys for which MGET gave nothing, as it does for what is not a string."""
    counts = await channel.ask([Command(group[0], ("EXISTS", *group)) for group in _groups(channel, missing)])
    return any(map(channel.checked, counts))


def _groups(channel: Channel, keys: list[bytes]) -> list[list[bytes]]:
    slots = [[keys[place] for place in places] for places in channel.by_slot(keys)]
    return [slot[at : at + _KEYS_AT_ONCE] for slot in slots for at in range(0, len(slot), _KEYS_AT_ONCE)]


def _read(group: list[bytes]) -> Command:
    return _get(group[0]) if len(group) == 1 else Command(group[0], ("MGET", *group))


def _get(key: bytes) -> Command:
    return Command(key, ("GET", key))
