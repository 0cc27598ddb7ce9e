"""A number of bytes that is known only between bounds, with a best guess. Engines layer."""

from __future__ import annotations

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

    def scaled(self, factor: int) -> Range:
        """The range `factor` times over."""
        return Range(self.low * factor, self.best * factor, self.high * factor)


NOTHING = Range(0, 0, 0)


def exactly(size: int) -> Range:
    """A size without doubt."""
    return Range(size, size, size)


def gibibytes(low: float, best: float, high: float) -> Range:
    """A range read from logs, which print GiB."""
    return Range(round(low * GIB), round(best * GIB), round(high * GIB))
