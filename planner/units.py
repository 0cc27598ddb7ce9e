"""Text with units to base units and back; the only place where units are read or written.

Lowest layer. Inside the planner everything is bytes, seconds, bytes/s and USD.
"""

from __future__ import annotations

import re
from fractions import Fraction

from planner.errors import BadQuantity

KIB = 2**10
MIB = 2**20
GIB = 2**30
GB = 10**9


def padded(count: int, step: int) -> int:
    """`count` rounded up to a multiple of `step`."""
    return -(-count // step) * step


_PREFIX = {
    "": 1,
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
}
_QUANTITY = re.compile(r"(\d[\d_]*(?:\.\d+)?)\s*([kKMGTP]?i?)(B|b|bit)(/s)?")


def _parse(text: str, *, rate: bool) -> int:
    kind = "rate" if rate else "size"
    example = "write e.g. '900 GB/s' or '400 Gb/s'" if rate else "write e.g. '80 GB' or '80 GiB'"
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in _PREFIX or bool(match[4]) != rate:
        raise BadQuantity(f"not a {kind}: {text!r}", hint=example)
    value = Fraction(match[1].replace("_", "")) * _PREFIX[match[2]] / (1 if match[3] == "B" else 8)
    if value.denominator != 1:
        raise BadQuantity(f"{text!r} is not a whole number of bytes", hint=example)
    return int(value)


def parse_size(text: str) -> int:
    """Bytes written in `text`: `80 GB` is 80e9, `80 GiB` is 80 * 2**30.

    Raises:
        BadQuantity: no unit, an unknown unit, or a fraction of a byte.
    """
    return _parse(text, rate=False)


def parse_rate(text: str) -> int:
    """Bytes per second written in `text`: `400 Gb/s` is 5e10.

    Raises:
        BadQuantity: no unit, an unknown unit, or a fraction of a byte per second.
    """
    return _parse(text, rate=True)


def gib(size: int) -> str:
    """`size` bytes in GiB, three significant digits: `75.2`."""
    return significant(size / GIB)


def gigabytes(size: int) -> str:
    """`size` bytes in decimal GB, two decimals: `620.55`."""
    return f"{size / GB:,.2f}"


def mib(size: int) -> str:
    """`size` bytes in whole MiB, rounded down as engines print them: `77,456`."""
    return f"{size // MIB:,}"


def usd(amount: float) -> str:
    """Dollars for people: `$129,800`, `$7.39`."""
    return f"${amount:,.0f}" if abs(amount) >= 1000 or amount == int(amount) else f"${amount:,.2f}"


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits and thousands separators, never in exponents."""
    if value == 0:
        return "0"
    magnitude = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:,.{max(digits - magnitude, 0)}f}"
