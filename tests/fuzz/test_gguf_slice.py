"""A short run of the GGUF fuzzer; `pytest -m full` runs it whole."""

from __future__ import annotations

import pytest

from tests.fuzz import fuzz_gguf

SLICE = 500
ENDS = {"file refused", "names refused", "metadata refused", "network read"}


def test_a_slice_of_changed_gguf_files_ends_well() -> None:
    ends = fuzz_gguf.fuzz(SLICE, seed=1)
    assert ends.total() == SLICE
    assert set(ends) >= ENDS | {"split file refused", "split network read"}


@pytest.mark.full
def test_all_changed_gguf_files_end_well() -> None:
    assert fuzz_gguf.fuzz(fuzz_gguf.INPUTS, seed=0).total() == 100_000
