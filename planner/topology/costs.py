"""Seconds of one operation by its size: values that add, scale and compare. Topology layer."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """Straight lines between known sizes, and on from the last one."""

    sizes: tuple[float, ...]
    """Bytes, ascending, the first 0."""
    times: tuple[float, ...]
    """Seconds at each size."""
    per_byte: float
    """Seconds per byte beyond the last size."""

    def seconds(self, size: float) -> float:
        """Seconds of `size` bytes."""
        sizes = self.sizes
        if size >= sizes[-1]:
            return self.times[-1] + (size - sizes[-1]) * self.per_byte
        after = bisect.bisect_right(sizes, size)
        low, high = sizes[after - 1], sizes[after]
        start = self.times[after - 1]
        return start + (self.times[after] - start) * (size - low) / (high - low)

    @property
    def start(self) -> float:
        """Seconds of an empty message."""
        return self.times[0]

    def sized(self, factor: float) -> Curve:
        """The curve whose messages are `factor` times the size asked for."""
        return Curve(tuple(x / factor for x in self.sizes), self.times, self.per_byte * factor)

    def scaled(self, factor: float) -> Curve:
        """Every time times `factor`."""
        return Curve(self.sizes, tuple(t * factor for t in self.times), self.per_byte * factor)


NOTHING = Curve((0.0,), (0.0,), 0.0)
"""No operation."""


def line(alpha: float, per_byte: float) -> Curve:
    """The line alpha + size * per_byte."""
    return Curve((0.0,), (alpha,), per_byte)


def through(sizes: Sequence[float], times: Sequence[float]) -> Curve:
    """The curve through known times, at least two; beyond, the last message's rate goes on."""
    return Curve(tuple(sizes), tuple(times), times[-1] / sizes[-1])


def one_after_another(curves: Iterable[Curve]) -> Curve:
    """All of them, each with the same size."""
    every = tuple(curves)
    sizes = sorted({size for curve in every for size in curve.sizes})
    times = tuple(sum(curve.seconds(size) for curve in every) for size in sizes)
    return Curve(tuple(sizes), times, sum(curve.per_byte for curve in every))


def cheapest(curves: Iterable[Curve]) -> Curve:
    """At every size the fastest of them."""
    best, *others = curves
    for other in others:
        best = _cheaper(best, other)
    return best


def mean(curves: Iterable[Curve]) -> Curve:
    """Geometric mean at the sizes of all, which start above nothing."""
    every = tuple(curves)
    sizes = sorted({size for curve in every for size in curve.sizes})

    def middle(values: Iterable[float]) -> float:
        return math.exp(sum(math.log(value) for value in values) / len(every))

    times = tuple(middle(curve.seconds(size) for curve in every) for size in sizes)
    return Curve(tuple(sizes), times, middle(curve.per_byte for curve in every))


def _cheaper(one: Curve, other: Curve) -> Curve:
    sizes = sorted({*one.sizes, *other.sizes})
    crossed = set(sizes)
    for low, high in zip(sizes, (*sizes[1:], math.inf), strict=True):
        before = one.seconds(low) - other.seconds(low)
        if math.isinf(high):
            change = one.per_byte - other.per_byte
        else:
            change = (one.seconds(high) - other.seconds(high) - before) / (high - low)
        if change and 0 < -before / change < high - low:
            crossed.add(low - before / change)
    sizes = sorted(crossed)
    times = tuple(min(one.seconds(size), other.seconds(size)) for size in sizes)
    beyond = 2 * sizes[-1] + 1
    last = one if one.seconds(beyond) <= other.seconds(beyond) else other
    return Curve(tuple(sizes), times, last.per_byte)
