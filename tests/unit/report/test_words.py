"""Amounts as people read them."""

from __future__ import annotations

import datetime

import pytest

from planner.report import words
from planner.units import GIB, MIB
from planner.values import Range
from tests.unit.report import example


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.42, "0.4"), (9.94, "9.9"), (9.95, "10"), (34.4, "34"), (1234.5, "1,234")],
)
def test_rates_keep_two_digits(value, said):
    assert words.rate(value) == said


def test_a_span_runs_from_the_smaller_to_the_larger_number_whatever_the_unit():
    assert words.span(Range(low=25, best=34, high=45)) == "34 (25-45)"
    assert words.wait_span(Range(low=20, best=12, high=8)) == "12 s (8.0 s to 20 s)"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0294, "29 ms"), (3.14, "3.1 s"), (119, "119 s"), (700, "12 min"), (18_000, "5.0 h")],
)
def test_waits_take_the_unit_people_count_in(value, said):
    assert words.seconds(value) == said


def test_headroom_never_looks_larger_and_a_shortage_never_smaller_than_it_is():
    assert words.mib(2 * MIB - 1) == "1"
    assert words.mib(-1) == "-1"
    assert words.mib_short(-1) == "1"
    assert words.mib_short(-123 * MIB) == "123"


@pytest.mark.parametrize(
    ("size", "said"), [(0, "-"), (GIB // 2, "0.50"), (78 * GIB, "78.0"), (2000 * GIB, "2,000.0")]
)
def test_memory_is_in_gib(size, said):
    assert words.gib(size) == said


def test_layers_name_the_output_and_the_devices_without_any():
    device = example.CHEAPEST.devices[-1]
    assert words.layers(device) == "54-60 +out"
    alone = device.model_copy(update={"first_layer": None, "last_layer": None})
    assert words.layers(alone) == "out"
    assert words.layers(alone.model_copy(update={"output": False})) == "-"
    assert words.layers(device.model_copy(update={"first_layer": 60, "output": False})) == "60"


def test_equal_gpus_are_counted_together():
    assert words.devices((example.SERVER, example.SERVER, example.SPARKS)) == (
        "16x rtx-pro-6000-server + 6x gb10"
    )


@pytest.mark.parametrize(
    ("date", "said", "tone"),
    [
        ("2026-11-24", "2026-11-24, 1 day old", "dim"),
        ("2026-08-27", "2026-08-27, 90 days old", "dim"),
        ("2026-08-26", "2026-08-26, 91 days old", "warn"),
        ("2026-12-01", "2026-12-01, in the future", "warn"),
        ("2026-09", "2026-09", "dim"),
        (None, "undated", "warn"),
    ],
)
def test_prices_older_than_ninety_days_are_a_warning(date, said, tone):
    cell = words.age(date, datetime.date(2026, 11, 25))
    assert (cell.text, cell.tone) == (said, tone)
