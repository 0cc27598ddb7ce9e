"""How many bytes a GGUF tensor takes: weights and bytes per block of each ggml storage type.

Quantization layer. Shapes are in ggml order: the row length first. A row is a whole number of
blocks, and types are named as ggml names them, in any case (`Q4_K`, `f16`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from planner.errors import FactsError

K_BLOCK = 256
"""Weights per super-block of the K and most I quantizations (QK_K of ggml)."""


class Block(NamedTuple):
    """One block of a storage type."""

    weights: int
    bytes: int


BLOCKS: Mapping[str, Block] = MappingProxyType(
    {
        "F32": Block(1, 4),
        "F16": Block(1, 2),
        "BF16": Block(1, 2),
        "Q8_0": Block(32, 34),
        "Q5_1": Block(32, 24),
        "Q5_0": Block(32, 22),
        "Q4_1": Block(32, 20),
        "Q4_0": Block(32, 18),
        "IQ4_NL": Block(32, 18),
        "MXFP4": Block(32, 17),
        "NVFP4": Block(64, 36),
        "Q6_K": Block(K_BLOCK, 210),
        "Q5_K": Block(K_BLOCK, 176),
        "Q4_K": Block(K_BLOCK, 144),
        "Q3_K": Block(K_BLOCK, 110),
        "Q2_K": Block(K_BLOCK, 84),
        "IQ4_XS": Block(K_BLOCK, 136),
        "IQ3_S": Block(K_BLOCK, 110),
        "IQ3_XXS": Block(K_BLOCK, 98),
        "IQ2_S": Block(K_BLOCK, 82),
        "IQ2_XS": Block(K_BLOCK, 74),
        "IQ2_XXS": Block(K_BLOCK, 66),
        "IQ1_M": Block(K_BLOCK, 56),
        "IQ1_S": Block(K_BLOCK, 50),
        "TQ2_0": Block(K_BLOCK, 66),
        "TQ1_0": Block(K_BLOCK, 54),
    }
)
"""Storage type to its block. Source: GGML_QUANT_SIZES of the PyPI package gguf 0.19.0."""


def block_of(type_name: str) -> Block:
    """The block of a storage type, whatever the case of its name.

    Raises:
        FactsError: no such storage type.
    """
    block = BLOCKS.get(type_name) or BLOCKS.get(type_name.upper())
    if block is None:
        raise FactsError(
            f"unknown GGUF storage type '{type_name}'",
            hint="storage types are " + ", ".join(sorted(BLOCKS)),
        )
    return block


def row_bytes(type_name: str, elements: int) -> int:
    """Bytes of `elements` consecutive weights of one type.

    elements / weights per block * bytes per block.

    Raises:
        FactsError: no such type, or `elements` is no whole number of its blocks.
    """
    block = block_of(type_name)
    blocks, rest = divmod(elements, block.weights)
    if rest:
        raise FactsError(
            f"{elements} weights are no whole number of {type_name} blocks of {block.weights}",
            hint=f"a row of this type is a multiple of {block.weights} weights",
        )
    return blocks * block.bytes


def tensor_bytes(type_name: str, shape: Sequence[int]) -> int:
    """Bytes of a tensor of `shape` (row length first), without the padding of a file.

    Raises:
        FactsError: as `row_bytes`, for the row length.
    """
    return row_bytes(type_name, shape[0]) * math.prod(shape[1:])


def bits_per_weight(type_name: str) -> float:
    """Bits one weight takes on average, scales included: `Q4_K` is 4.5."""
    block = block_of(type_name)
    return block.bytes * 8 / block.weights
