"""Checkpoint formats that code weights over a whole matrix: bitsandbytes, EXL2 and EXL3.

Quantization layer. EXL2 and EXL3 files are made to an average of bits per weight; which matrix gets
how many is in the file, so single matrices are at the average here and the total is what was asked.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction

from planner.quantization.checkpoint_formats import (
    Affine,
    Awq,
    Gptq,
    Microscaled,
    MicroscaledWords,
    Packed,
    Plain,
    Scaled,
    Stored,
)

_TILE = 16
"""EXL3 codes tiles of 16 x 16 weights."""
_OFFSET_DIGITS = 0.0123456789012345678
"""Stands for the offset of nested scales: its digits depend on the weights, 17 to 21 of them."""


@dataclass(frozen=True, slots=True)
class NormalFloat:
    """4-bit codes and a scale per block of weights (bitsandbytes NF4 and FP4).

    Blocks run over the whole matrix. Nested scales are 8-bit, with a scale per 256 of them. A JSON
    text of the settings is stored beside each matrix; of nested scales it holds a number whose
    digits depend on the weights, so a matrix is off by a few bytes there.
    """

    nested: bool = False
    code: str = "nf4"
    block: int = 64
    dtype: str = "bfloat16"
    """Type the weights had."""

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Codes, scales, tables and settings."""
        blocks = -(-rows * columns // self.block)
        settings: dict[str, object] = {
            "quant_type": self.code,
            "blocksize": self.block,
            "dtype": self.dtype,
            "shape": [rows, columns],
        }
        tables = [Stored("weight.quant_map", "F32", (16,))]
        if self.nested:
            settings |= {
                "nested_blocksize": 256,
                "nested_dtype": "float32",
                "nested_offset": _OFFSET_DIGITS,
            }
            tables += [
                Stored("weight.nested_absmax", "F32", (-(-blocks // 256),)),
                Stored("weight.nested_quant_map", "F32", (256,)),
            ]
        text = len(json.dumps(settings))
        return (
            Stored("weight", "U8", (-(-rows * columns // 2), 1)),
            Stored("weight.absmax", "U8" if self.nested else "F32", (blocks,)),
            *tables,
            Stored(f"weight.quant_state.bitsandbytes__{self.code}", "U8", (text,)),
        )


@dataclass(frozen=True, slots=True)
class Int8Rows:
    """8-bit integers with an F32 scale per row (bitsandbytes LLM.int8)."""

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Weight, scales and the number of the layout."""
        return (
            Stored("weight", "I8", (rows, columns)),
            Stored("SCB", "F32", (rows,)),
            Stored("weight_format", "U8", ()),
        )


@dataclass(frozen=True, slots=True)
class Exl2:
    """An average of bits per weight, scales and permutation included (ExLlamaV2)."""

    bits: Fraction

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """All tensors of the matrix in one."""
        return (Stored("q_weight", "U8", (math.ceil(rows * columns * self.bits / 8),)),)


@dataclass(frozen=True, slots=True)
class Exl3:
    """A trellis of 16 x 16 tiles and two sign-scale vectors (ExLlamaV3).

    Bits of the trellis are whole for one matrix and averaged over several; sides are padded to
    whole tiles.
    """

    bits: Fraction

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Trellis and vectors."""
        padded = [-(-side // _TILE) * _TILE for side in (rows, columns)]
        return (
            Stored("trellis", "U8", (math.ceil(math.prod(padded) * self.bits / 8),)),
            Stored("suh", "F16", (padded[1],)),
            Stored("svh", "F16", (padded[0],)),
        )


Format = (
    Plain
    | Scaled
    | Packed
    | Awq
    | Gptq
    | Microscaled
    | Affine
    | MicroscaledWords
    | NormalFloat
    | Int8Rows
    | Exl2
    | Exl3
)
"""How a matrix is stored."""
