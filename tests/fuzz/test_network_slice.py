"""A short run of the fuzzer of whole networks; `pytest -m full` runs it whole."""

from __future__ import annotations

import pytest

from tests.fuzz import fuzz_network
from tests.fuzz.all import FUZZERS

SLICE = 1_000


def test_a_slice_of_changed_configs_becomes_networks_or_errors() -> None:
    ends = fuzz_network.fuzz(SLICE, seed=1)
    assert ends.total() == SLICE
    assert set(ends) == {"config refused", "network read", "network read, its file not known"}


def test_two_hundred_thousand_inputs_are_the_least_of_a_whole_run() -> None:
    assert sum(fuzzer.INPUTS for fuzzer in FUZZERS) >= 200_000


@pytest.mark.full
def test_all_changed_configs_become_networks_or_errors() -> None:
    assert fuzz_network.fuzz(fuzz_network.INPUTS, seed=0).total() == 50_000
