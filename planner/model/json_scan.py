"""Walks one large JSON object member by member in its bytes, building nothing it is not asked for.

Model layer; for headers and indexes of checkpoints, whose whole parse would take up to 45 times
their bytes. Every function takes the text and a position and returns the position after what it
read; what is no JSON raises ValueError.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

from planner.units import KIB, MIB

_SPACE = re.compile(rb"[ \t\n\r]*")
_KEY = re.compile(
    rb'[ \t\n\r]*"([^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"[ \t\n\r]*:[ \t\n\r]*', re.DOTALL
)
_STRING = re.compile(rb'"([^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"', re.DOTALL)

_KEY_LIMIT = 8 * KIB
_STRING_LIMIT = MIB
"""Bytes of the longest key and string read; beyond, matching would take 60 times their bytes."""

Member = Callable[[str, int], int]
"""Called with a key and where its value begins; returns where the value ends."""


def scan_object(raw: bytes, start: int, member: Member) -> int:
    """Reads the object at `start`, calling `member` for each key in order."""
    if raw[start : start + 1] != b"{":
        raise ValueError(f"no object at byte {start}")
    position = scan_space(raw, start + 1)
    if raw[position : position + 1] == b"}":
        return position + 1
    while True:
        key = _KEY.match(raw, position, position + _KEY_LIMIT)
        if key is None:
            raise ValueError(f"no key at byte {position}")
        position = member(_text(key[1]), key.end())
        mark = raw[position : position + 1]
        if mark not in (b",", b"}"):
            position = scan_space(raw, position)
            mark = raw[position : position + 1]
        position += 1
        if mark == b"}":
            return position
        if mark != b",":
            raise ValueError(f"no comma or brace at byte {position - 1}")


def scan_string(raw: bytes, start: int) -> tuple[str, int]:
    """The string at `start`, and where it ends."""
    found = _STRING.match(raw, start, start + _STRING_LIMIT)
    if found is None:
        raise ValueError(f"no string at byte {start}")
    return _text(found[1]), found.end()


def scan_flat(raw: bytes, start: int, limit: int) -> tuple[Any, int]:
    """The object at `start` that ends at the first closing brace, at most `limit` bytes on."""
    end = raw.find(b"}", start, start + limit) + 1
    if end == 0 or raw[start : start + 1] != b"{":
        raise ValueError(f"no object of at most {limit} bytes at byte {start}")
    try:
        return _DECODER.decode(raw[start:end].decode("ascii")), end
    except RecursionError as error:
        raise ValueError(f"nested too deep at byte {start}") from error


def scan_space(raw: bytes, position: int) -> int:
    """Skips white space from `position` on."""
    found = _SPACE.match(raw, position)
    return position if found is None else found.end()


def scan_end(raw: bytes, start: int) -> None:
    """Checks that nothing but space follows `start`."""
    if scan_space(raw, start) != len(raw):
        raise ValueError(f"more text at byte {start}")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dict; a key that is there twice is an error."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {twice[:60]!r} is there twice")
    return found


def no_constant(name: str) -> NoReturn:
    """Refuses NaN and Infinity, which `json` would read."""
    raise ValueError(f"{name} is no JSON number")


def _text(raw: bytes) -> str:
    if b"\\" not in raw:
        return raw.decode("utf-8")
    text: str = json.loads(b'"' + raw + b'"')
    text.encode()  # half a surrogate pair is an error
    return text


_DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_constant=no_constant)
