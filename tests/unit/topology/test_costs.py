"""Curves of seconds by size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.topology.costs import (
    NOTHING,
    Curve,
    cheapest,
    line,
    mean,
    one_after_another,
    through,
)

SIZES = st.floats(0, 1e10)
LINES = st.builds(line, st.floats(1e-7, 1e-3), st.floats(1e-13, 1e-8))


def test_known_times_are_met_and_lie_on_straight_lines_between() -> None:
    curve = through((0.0, 100.0, 300.0), (1.0, 2.0, 6.0))
    assert [curve.seconds(size) for size in (0, 50, 100, 200, 300)] == [1.0, 1.5, 2.0, 4.0, 6.0]
    assert curve.seconds(400) == pytest.approx(8.0), "beyond, the rate of the largest goes on"
    assert curve.start == 1.0


def test_a_message_counted_otherwise() -> None:
    curve = through((0.0, 100.0), (1.0, 2.0))
    assert curve.sized(2.0).seconds(50) == curve.seconds(100)
    assert curve.sized(2.0).seconds(500) == pytest.approx(curve.seconds(1000))


@given(LINES, LINES, SIZES)
def test_the_cheapest_is_the_least_everywhere(one: Curve, other: Curve, size: float) -> None:
    expected = min(one.seconds(size), other.seconds(size))
    assert cheapest((one, other)).seconds(size) == pytest.approx(expected, rel=1e-6)


@given(LINES, LINES, LINES, SIZES)
def test_sums_and_cheapest_of_several(one: Curve, two: Curve, three: Curve, size: float) -> None:
    best = cheapest((one, two, three))
    total = one_after_another((best, one, NOTHING))
    assert total.seconds(size) == pytest.approx(best.seconds(size) + one.seconds(size), rel=1e-6)


@given(LINES, LINES)
def test_a_mean_lies_between(one: Curve, other: Curve) -> None:
    middle = mean((one, other))
    assert middle.start == pytest.approx((one.start * other.start) ** 0.5)
    assert middle.per_byte == pytest.approx((one.per_byte * other.per_byte) ** 0.5)
