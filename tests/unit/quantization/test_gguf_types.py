"""Bytes of blocks, rows and tensors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import FactsError
from planner.quantization.gguf_types import BLOCKS, bits_per_weight, row_bytes, tensor_bytes


@pytest.mark.parametrize("name", list(BLOCKS))
def test_blocks_are_those_of_the_gguf_package(name: str) -> None:
    import gguf

    assert tuple(BLOCKS[name]) == gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]


@pytest.mark.parametrize(
    ("name", "bits"), [("Q4_K", 4.5), ("Q6_K", 6.5625), ("q8_0", 8.5), ("MXFP4", 4.25)]
)
def test_bits_per_weight_include_the_scales(name: str, bits: float) -> None:
    assert bits_per_weight(name) == bits


def test_row_and_tensor_bytes_by_hand() -> None:
    """576 latent elements of Kimi K2's cache, and its routers: 7168 x 384 in 32 bits."""
    assert row_bytes("f16", 576) == 1152
    assert row_bytes("q8_0", 576) == 18 * 34
    assert tensor_bytes("F32", (7168, 384)) == 7168 * 384 * 4
    assert tensor_bytes("Q4_K", (7168, 2048, 384)) == 28 * 144 * 2048 * 384


@given(st.sampled_from(list(BLOCKS)), st.integers(1, 64), st.integers(1, 64))
def test_rows_add_up(name: str, first: int, second: int) -> None:
    block = BLOCKS[name].weights
    joined = row_bytes(name, (first + second) * block)
    assert joined == row_bytes(name, first * block) + row_bytes(name, second * block)
    assert tensor_bytes(name, (first * block, second)) == second * row_bytes(name, first * block)


def test_a_row_of_part_of_a_block_is_refused() -> None:
    with pytest.raises(FactsError, match="2880 weights are no whole number of Q4_K blocks"):
        row_bytes("Q4_K", 2880)


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(FactsError, match="unknown GGUF storage type 'Q9_K'") as error:
        row_bytes("Q9_K", 256)
    assert "Q4_K" in error.value.hint
