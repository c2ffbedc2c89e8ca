"""The scripts that the server runs: what must look at a record and change it in one step.

Each looks at any number of keys, which in a cluster are all of one slot, and gives one answer for each. `ARGV[1]` is
always the time by the injected clock: a script never asks the server what time it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

__all__ = ("CLEAR", "DAMAGED", "EXPIRED", "LIVE", "LOOK", "PURGE", "REMOVE", "SWAP", "TOUCH", "Script")

LIVE: Final = b"live"
EXPIRED: Final = b"expired"
DAMAGED: Final = b"damaged"


@dataclass(frozen=True)
class Script:
    """A script and the name by which a server knows it once it has seen it."""

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest())


# `look` reads the first line of a value, and the whole value only where that line is very long: a script that reads
# large payloads would keep all other clients waiting. An empty value and a missing one look the same to GETRANGE.
# `put` takes the time to live as text: "" is for ever, "0" is gone already.
_COMMON: Final = """\
local now = tonumber(ARGV[1])

local function look(key)
  local head = redis.pcall('GETRANGE', key, 0, 255)
  if type(head) == 'table' then
    if string.find(head.err, 'WRONGTYPE', 1, true) then return 'damaged' end
    error(head.err) -- the server does not allow the look: nothing is known of the value
  end
  if head == '' then return redis.call('EXISTS', key) == 1 and 'damaged' or 'gone' end
  if #head == 256 and not string.find(head, '\\n', 1, true) then head = redis.call('GET', key) end
  local expires, version = string.match(head, '^{"palaver":1,"expires_at":([%w-]+),"version":("[^\\n]*")}\\n')
  if not expires or (expires ~= 'null' and not tonumber(expires)) then return 'damaged' end
  if expires ~= 'null' and tonumber(expires) <= now then return 'expired' end
  return 'live', version
end

local function put(key, value, ttl)
  if ttl == '0' then redis.call('UNLINK', key)
  elseif ttl == '' then redis.call('SET', key, value)
  else redis.call('SET', key, value, 'PX', ttl) end
end

local answers = {}
"""

SWAP: Final = Script(
    _COMMON
    + """\
for i, key in ipairs(KEYS) do
  local expected, new, ttl, value = ARGV[i * 4 - 2], ARGV[i * 4 - 1], ARGV[i * 4], ARGV[i * 4 + 1]
  local state, version = look(key)
  if state == 'damaged' then answers[i] = -1
  elseif version == new then answers[i] = 1
  elseif (version or '') == expected then put(key, value, ttl) answers[i] = 1
  else answers[i] = 0 end
end
return answers
"""
)
"""For each key the expected version, the new one, the time to live and the value; 1 is stored, 0 refused,
-1 damaged."""

REMOVE: Final = Script(
    _COMMON
    + """\
for i, key in ipairs(KEYS) do
  local state, version = look(key)
  if state == 'damaged' then answers[i] = -1
  elseif version == ARGV[i + 1] then redis.call('UNLINK', key) answers[i] = 1
  else answers[i] = 0 end
end
return answers
"""
)
"""For each key the expected version; 1 is removed, 0 refused, -1 damaged."""

TOUCH: Final = Script(
    _COMMON
    + """\
for i, key in ipairs(KEYS) do
  local expires, ttl = ARGV[i * 2], ARGV[i * 2 + 1]
  local state, version = look(key)
  if state == 'live' then
    local value = redis.call('GET', key)
    local payload = string.sub(value, string.find(value, '\\n', 1, true) + 1)
    put(key, '{"palaver":1,"expires_at":' .. expires .. ',"version":' .. version .. '}\\n' .. payload, ttl)
  end
  answers[i] = state == 'live' and 1 or state == 'damaged' and -1 or 0
end
return answers
"""
)
"""For each key the new expiry and the time to live; 1 is moved, 0 not there, -1 damaged."""


def _sweep(doomed: str) -> Script:
    body = f"""\
local doomed = {{{doomed}}}
for i, key in ipairs(KEYS) do
  local state = look(key)
  if doomed[state] then redis.call('UNLINK', key) end
  answers[i] = state
end
return answers
"""
    return Script(_COMMON + body)


LOOK: Final = _sweep("")
"""What is at each key: `live`, `expired`, `damaged` or `gone`."""

PURGE: Final = _sweep("expired = true")
"""The same, and what has expired is removed."""

CLEAR: Final = _sweep("live = true, expired = true, damaged = true")
"""The same, and everything is removed."""
