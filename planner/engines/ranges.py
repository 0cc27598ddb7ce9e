"""A number of bytes that is known only between bounds, with a best guess. Engines layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from planner.units import GIB


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes from `low` to `high`; `best` is the likeliest."""

    low: int
    best: int
    high: int

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.best + other.best, self.high + other.high)

    def __sub__(self, other: Range) -> Range:
        return Range(self.low - other.high, self.best - other.best, self.high - other.low)

    def each(self, function: Callable[[int], int]) -> Range:
        """What `function`, which never falls, makes of each bound."""
        return Range(function(self.low), function(self.best), function(self.high))

    def scaled(self, factor: int) -> Range:
        """The range `factor` times over."""
        return self.each(lambda bound: bound * factor)


NOTHING = Range(0, 0, 0)


def least(ranges: Iterable[Range]) -> Range:
    """Bounds of the least of several; `NOTHING` where there are none."""
    known = tuple(ranges)
    return Range(
        min((each.low for each in known), default=0),
        min((each.best for each in known), default=0),
        min((each.high for each in known), default=0),
    )


def exactly(size: int) -> Range:
    """A size without doubt."""
    return Range(size, size, size)


def gibibytes(low: float, best: float, high: float) -> Range:
    """A range read from logs, which print GiB."""
    return Range(round(low * GIB), round(best * GIB), round(high * GIB))
