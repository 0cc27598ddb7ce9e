"""Option values are read strictly."""

from __future__ import annotations

from decimal import Decimal

import pytest

from planner.cli import parsing
from planner.errors import BadQuantity, UnknownName

BAD_NUMBERS = [
    "",
    "-1",
    "+1",
    "1e5",
    "300k",
    "300,000",
    "300_000",
    "1.",
    ".5",
    " 1",
    "0x10",
    "²",
    "٣",
]


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "1.5", "8" * 16])
@pytest.mark.parametrize("read", [parsing.count, parsing.tokens])
def test_a_count_is_a_plain_whole_number(read, text):
    with pytest.raises(BadQuantity, match="--option: not a") as caught:
        read("--option", text)
    assert "--option" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "$5", "7.391"])
def test_dollars_are_plain(text):
    with pytest.raises(BadQuantity, match="not an amount of US dollars"):
        parsing.dollars("--budget", text)


@pytest.mark.parametrize("read", [parsing.count, parsing.tokens, parsing.dollars, parsing.seconds])
def test_nothing_is_not_an_amount(read):
    with pytest.raises(BadQuantity, match="--option: must be more than 0"):
        read("--option", "0")


def test_good_values_are_read_exactly():
    assert parsing.count("-n", "8") == 8
    assert parsing.tokens("-c", "131072") == 131_072
    assert parsing.dollars("-b", "7.39") == Decimal("7.39")
    assert parsing.seconds("-t", "0.5") == 0.5
    assert parsing.speed("-s", "0") == 0
    assert parsing.counts("-s", "8, 8,0") == (8, 8, 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70B", 70 * 10**9),
        ("70b", 70 * 10**9),
        ("1.03T", 1_030_000_000_000),
        ("500 M", 500 * 10**6),
        ("32k", 32_000),
        ("70553706496", 70_553_706_496),
    ],
)
def test_parameters_are_counted_in_thousands_to_trillions(text, value):
    assert parsing.parameters("--min-params", text) == value


@pytest.mark.parametrize("text", ["", "B", "-1B", "1e9", "70BB", "70G", "1,000", "7.B", ".5B", "x"])
def test_other_words_are_no_parameters(text):
    with pytest.raises(BadQuantity, match="--min-params: not a number of parameters"):
        parsing.parameters("--min-params", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("0", "must be more than 0"), ("0.0B", "more than 0"), ("1.5", "not a whole")],
)
def test_parameters_are_whole_and_some(text, said):
    with pytest.raises(BadQuantity, match=said):
        parsing.parameters("--max-params", text)


@pytest.mark.parametrize("text", ["-1", "x", "", "nan", "inf"])
def test_a_speed_is_a_plain_number(text):
    with pytest.raises(BadQuantity, match="--min-speed: not a speed"):
        parsing.speed("--min-speed", text)


@pytest.mark.parametrize("text", ["", "8,", ",8", "8;8", "8,-1", "8,x"])
def test_a_split_is_a_list_of_counts(text):
    with pytest.raises(BadQuantity, match="not a list of counts"):
        parsing.counts("--split", text)


def test_an_unknown_choice_gets_the_nearest_or_all():
    known = ("f16", "q8_0")
    assert parsing.one_of(known, "K/V type", "--kv-type", "q8_0") == "q8_0"
    with pytest.raises(UnknownName) as near:
        parsing.one_of(known, "K/V type", "--kv-type", "q8-0")
    assert near.value.hint == "did you mean 'q8_0'?"
    with pytest.raises(UnknownName) as far:
        parsing.one_of(known, "K/V type", "--kv-type", "zzz")
    assert far.value.hint == "--kv-type takes f16, q8_0"


def test_names_come_one_by_one_or_with_commas_each_once():
    assert parsing.names(["a,b", " c ", "a", ""]) == ("a", "b", "c")


def test_names_with_counts_keep_their_order():
    pairs = parsing.name_counts("--node", ":", ["spark:2,mac:1", "box:3"], zero=False)
    assert pairs == (("spark", 2), ("mac", 1), ("box", 3))
    assert parsing.name_counts("--stock", "=", ["spark=0"], zero=True) == (("spark", 0),)


@pytest.mark.parametrize(
    "text", ["spark", "spark:", ":2", "spark:x", "spark:-1", "spark:0", "a:1,a:2"]
)
def test_a_bad_pair_is_refused(text):
    with pytest.raises(BadQuantity) as caught:
        parsing.name_counts("--node", ":", [text], zero=False)
    assert caught.value.hint == "write e.g. --node dgx-spark:2"


def test_addresses_by_name():
    assert parsing.addresses("--host", ["a=10.0.0.1", "b=fe80::1"]) == {
        "a": "10.0.0.1",
        "b": "fe80::1",
    }


@pytest.mark.parametrize("values", [["a"], ["=x"], ["a="], ["a=x y"], ["a=x", "a=y"]])
def test_a_bad_address_is_refused(values):
    with pytest.raises(BadQuantity):
        parsing.addresses("--host", values)
