"""Short runs of the fuzzers; `pytest -m full` runs them whole."""

from __future__ import annotations

import pytest

from tests.fuzz import fuzz_config, fuzz_safetensors

SLICE = 2_000


def test_a_slice_of_changed_safetensors_files_ends_well() -> None:
    ends = fuzz_safetensors.fuzz(SLICE, seed=1)
    assert ends.total() == SLICE
    assert set(ends) == {
        f"{what} {end}" for what in ("file", "index", "folder") for end in ("read", "refused")
    }


def test_a_slice_of_changed_configs_ends_well() -> None:
    ends = fuzz_config.fuzz(SLICE, seed=1)
    assert ends.total() == SLICE
    assert set(ends) == {"text refused", "nesting refused", "flat read", "nested read"}


@pytest.mark.full
def test_all_changed_safetensors_files_end_well() -> None:
    assert fuzz_safetensors.fuzz(fuzz_safetensors.INPUTS, seed=0).total() == 50_000


@pytest.mark.full
def test_all_changed_configs_end_well() -> None:
    assert fuzz_config.fuzz(fuzz_config.INPUTS, seed=0).total() == 50_000
