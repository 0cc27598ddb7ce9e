"""Quantities as people write them, and as they are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import BadQuantity, near_names
from planner.units import GIB, gib, gigabytes, mib, parse_rate, parse_size, significant, usd


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("80 GB", 80 * 10**9),
        ("80GB", 80 * 10**9),
        ("80 GiB", 80 * 2**30),
        ("81559 MiB", 81559 * 2**20),
        ("1.5 TB", 1_500_000_000_000),
        ("8 Gbit", 10**9),
    ],
)
def test_a_size_is_read_exactly(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("900 GB/s", 900 * 10**9),
        ("400 Gb/s", 50 * 10**9),
        ("400 Gbit/s", 50 * 10**9),
        ("3.35 TB/s", 3_350_000_000_000),
    ],
)
def test_a_rate_tells_bits_from_bytes(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["80G", "80gb", "-1 GB", "900 GB/s", "1 iB", "", "1 b", "1e3 GB"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(BadQuantity) as refused:
        parse_size(text)
    assert "80 GiB" in refused.value.hint


def test_a_size_is_no_rate():
    with pytest.raises(BadQuantity):
        parse_rate("900 GB")


@given(st.integers(min_value=1, max_value=2**50))
def test_whole_mebibytes_come_back(count):
    assert parse_size(f"{count} MiB") == count * 2**20


def test_what_people_see():
    assert gib(81_080 * 2**20) == "79.2"
    assert gib(3 * GIB // 2) == "1.50"
    assert gigabytes(620_550_916_096) == "620.55"
    assert mib(2**21 - 1) == "1"
    assert usd(129_800) == "$129,800"
    assert usd(7.387) == "$7.39"
    assert significant(0) == "0"
    assert significant(0.0427) == "0.043"


def test_a_near_name_ignores_case_and_signs():
    assert near_names("Q4KM", ["Q4_K_M", "Q8_0"])[0] == "Q4_K_M"
    assert near_names("zebra", ["kimi-k2"]) == []
