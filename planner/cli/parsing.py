"""Reads option values strictly: plain numbers, names, `NAME=VALUE` pairs. Standard library only.

Every function takes the option's name for its messages and raises `BadQuantity` or
`ConflictingOptions` with a hint; nothing is guessed, rounded or cut off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from planner.errors import BadQuantity, UnknownName

T = TypeVar("T")
_COUNT = re.compile(r"\d{1,15}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?(ms|s)?", re.ASCII)
_PARAMETERS = re.compile(r"\d{1,15}(?:\.\d{1,6})? ?[KMBT]?", re.ASCII | re.IGNORECASE)
_STEPS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_MOST_BYTES = 2**50
_DOLLARS = re.compile(r"\d{1,12}(?:\.\d{1,2})?", re.ASCII)


def count(option: str, text: str) -> int:
    """A whole number of at least 1: `131072`.

    Raises:
        BadQuantity: anything else: a sign, a separator, a unit, zero.
    """
    hint = f"write a whole number from 1 on, without units, e.g. {option} 8"
    return _positive(option, text, _COUNT, int, "a count", hint)


def size(option: str, text: str) -> int:
    """Bytes with a unit: `512 GiB`.

    Raises:
        BadQuantity: no unit, an unknown one, or nothing.
    """
    from planner.units import parse_size

    try:
        bytes_ = parse_size(text)
    except BadQuantity as error:
        raise BadQuantity(f"{option}: {error.message}", hint=error.hint) from error
    if not 0 < bytes_ <= _MOST_BYTES:
        raise BadQuantity(f"{option}: {text!r} is no memory", hint=f"e.g. {option} '512 GiB'")
    return bytes_


def whole(option: str, text: str) -> int:
    """A whole number, 0 too."""
    if _COUNT.fullmatch(text) is None:
        raise BadQuantity(
            f"{option}: not a count: {text!r}",
            hint=f"write a whole number without units, e.g. {option} 8",
        )
    return int(text)


def tokens(option: str, text: str) -> int:
    """A whole number of tokens, at least 1: `131072`."""
    hint = f"write the number of tokens, e.g. {option} 32768"
    return _positive(option, text, _COUNT, int, "a number of tokens", hint)


def parameters(option: str, text: str) -> int:
    """A number of parameters, at least 1: `70B`, `1.03T`, `500M`, `70553706496`.

    Raises:
        BadQuantity: anything else, and parts of a parameter.
    """
    hint = f"write e.g. {option} 70B, {option} 1.03T or the whole number"
    value = _positive(option, text, _PARAMETERS, _in_full, "a number of parameters", hint)
    if value != int(value):
        raise BadQuantity(f"{option}: {text!r} is not a whole number", hint=hint)
    return int(value)


def _in_full(text: str) -> Decimal:
    """`1.5B` without its letter."""
    digits = text.rstrip(" KMBTkmbt")
    return Decimal(digits) * _STEPS[text[len(digits) :].strip().upper()]


def dollars(option: str, text: str) -> Decimal:
    """An amount of US dollars above 0, at most two decimals: `300000`, `7.39`."""
    hint = f"write plain US dollars, e.g. {option} 300000"
    return _positive(option, text, _DOLLARS, Decimal, "an amount of US dollars", hint)


def seconds(option: str, text: str) -> float:
    """A number of seconds above 0."""
    hint = f"write a plain number of seconds, e.g. {option} 60"
    return _positive(option, text, _DECIMAL, float, "a number of seconds", hint)


def duration(option: str, text: str) -> float:
    """A time above 0 with its unit, seconds: `50ms`, `2s`, `1.5s`."""
    hint = f"write a time with its unit, e.g. {option} 50ms or {option} 2s"
    found = _DURATION.fullmatch(text)
    if found is None:
        raise BadQuantity(f"{option}: not a time: {text!r}", hint=hint)
    value = float(Decimal(found[1]) / (1000 if found[2] == "ms" else 1))
    if not value:
        raise BadQuantity(f"{option}: must be more than 0", hint=hint)
    return value


def speed(option: str, text: str) -> float:
    """Tokens per second, 0 or more."""
    if _DECIMAL.fullmatch(text) is None:
        raise BadQuantity(
            f"{option}: not a speed: {text!r}",
            hint=f"write tokens per second as a plain number, e.g. {option} 10; 0 lifts it",
        )
    return float(text)


def _positive(
    option: str,
    text: str,
    pattern: re.Pattern[str],
    convert: Callable[[str], T],
    what: str,
    hint: str,
) -> T:
    if pattern.fullmatch(text) is None:
        raise BadQuantity(f"{option}: not {what}: {text!r}", hint=hint)
    value = convert(text)
    if not value:
        raise BadQuantity(f"{option}: must be more than 0", hint=hint)
    return value


def one_of(known: Sequence[str], kind: str, option: str, text: str) -> str:
    """`text`, if it is one of the `known` names.

    Raises:
        UnknownName: it is not; the hint names the nearest or all.
    """
    if text not in known:
        raise UnknownName(kind, text, known, hint=f"{option} takes " + ", ".join(known))
    return text


def counts(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas, 0 allowed: `8,8,8,0`."""
    parts = text.split(",")
    if not all(_COUNT.fullmatch(part.strip()) for part in parts):
        raise BadQuantity(
            f"{option}: not a list of counts: {text!r}",
            hint=f"write one whole number per device, e.g. {option} 8,8,8,8",
        )
    return tuple(int(part) for part in parts)


def names(values: Sequence[str]) -> tuple[str, ...]:
    """Names given one by one or separated by commas, in order, each once."""
    parts = [part.strip() for value in values for part in value.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))


def name_counts(
    option: str, separator: str, values: Sequence[str], *, zero: bool
) -> tuple[tuple[str, int], ...]:
    """`NAME=N` or `NAME:N` pairs, given one by one or separated by commas, each name once.

    Raises:
        BadQuantity: no name, no count, a count of 0 where that makes no sense, a name twice.
    """
    example = f"write e.g. {option} dgx-spark{separator}2"
    found: dict[str, int] = {}
    for part in names(values):
        name, _, amount = part.rpartition(separator)
        if not name or _COUNT.fullmatch(amount) is None or (int(amount) == 0 and not zero):
            raise BadQuantity(f"{option}: not NODE{separator}N: {part!r}", hint=example)
        if name in found:
            raise BadQuantity(f"{option}: {name!r} is given twice", hint=example)
        found[name] = int(amount)
    return tuple(found.items())


def addresses(option: str, values: Sequence[str]) -> dict[str, str]:
    """`NAME=ADDRESS` pairs, each name once."""
    found: dict[str, str] = {}
    for value in values:
        name, _, address = value.partition("=")
        if not name or not address or any(char.isspace() for char in value):
            raise BadQuantity(
                f"{option}: not NAME=ADDRESS: {value!r}",
                hint=f"write e.g. {option} dgx-spark-1=10.0.0.11",
            )
        if name in found:
            raise BadQuantity(
                f"{option}: {name!r} is given twice", hint="give each host one address"
            )
        found[name] = address
    return found


def share(option: str, text: str) -> float:
    """A share above 0 and up to 1: `0.92`."""
    hint = f"write a share of the device, e.g. {option} 0.92"
    value = _positive(option, text, _DECIMAL, float, "a share", hint)
    if value > 1:
        raise BadQuantity(f"{option}: {text} is more than the whole device", hint=hint)
    return value
