"""What checkpoint formats store of one matrix: every tensor with its type and shape.

Quantization layer. A matrix is rows (outputs) x columns (inputs). Layouts are those the writers of
each format produce: compressed-tensors 0.13, AutoAWQ 0.2, GPTQModel 5, ModelOpt 0.37,
bitsandbytes 0.48, MLX 0.29, and the published checkpoints named in tests/reality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

from planner.errors import FactsError

DTYPE_BYTES = MappingProxyType(
    {
        "F64": 8,
        "F32": 4,
        "F16": 2,
        "BF16": 2,
        "F8_E4M3": 1,
        "F8_E5M2": 1,
        "F8_E8M0": 1,
        "I64": 8,
        "I32": 4,
        "I16": 2,
        "I8": 1,
        "U8": 1,
        "U32": 4,
        "BOOL": 1,
    }
)
"""Safetensors type to bytes per element."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a checkpoint, named after the module it belongs to."""

    name: str
    """What follows the module's name: `weight`, `weight_scale_inv`, `qzeros`."""
    dtype: str
    """Safetensors type."""
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Elements of that type; packed ones count once."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the tensor."""
        return self.elements * DTYPE_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class Plain:
    """Not quantized."""

    dtype: str = "BF16"

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """The weight alone."""
        return (Stored("weight", self.dtype, (rows, columns)),)


@dataclass(frozen=True, slots=True)
class Scaled:
    """One byte per weight and one scale per block: FP8 and INT8 of all kinds, MXFP8.

    Scales: ceil(rows / block_rows) x ceil(columns / block_columns).
    """

    block_rows: int | None
    """Rows that share a scale; None is all of them."""
    block_columns: int | None
    dtype: str = "F8_E4M3"
    scale: str = "F32"
    """Type of the scales."""
    name: str = "weight_scale"
    input_scale: bool = False
    """One scale for the inputs, fixed beforehand (static activations)."""

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Weight, scales, and the scale of the inputs where it is fixed."""
        if self.block_rows is None and self.block_columns is None:
            shape: tuple[int, ...] = ()
        else:
            shape = (
                _ceil(rows, self.block_rows or rows),
                _ceil(columns, self.block_columns or columns),
            )
        stored = (
            Stored("weight", self.dtype, (rows, columns)),
            Stored(self.name, self.scale, shape),
        )
        return (*stored, Stored("input_scale", self.scale, ())) if self.input_scale else stored


@dataclass(frozen=True, slots=True)
class Packed:
    """Integers of 2 to 8 bits in 32-bit words along each row (compressed-tensors, W4A16)."""

    group: int | None
    """Columns that share a scale; None is a whole row."""
    bits: int = 4
    scale: str = "BF16"
    symmetric: bool = True
    group_index: bool = False
    """The group of each column, where groups follow activations (act-order)."""

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Words, scales, zero points packed along the column, and the shape before packing."""
        per_word = 32 // self.bits
        groups = _groups(rows, columns, self.group, "INT" + str(self.bits))
        stored = [
            Stored("weight_packed", "I32", (rows, _ceil(columns, per_word))),
            Stored("weight_scale", self.scale, (rows, groups)),
            Stored("weight_shape", "I32", (2,)),
        ]
        if not self.symmetric:
            stored.append(Stored("weight_zero_point", "I32", (_ceil(rows, per_word), groups)))
        if self.group_index:
            stored.append(Stored("weight_g_idx", "I32", (columns,)))
        return tuple(stored)


@dataclass(frozen=True, slots=True)
class Awq:
    """4-bit integers in 32-bit words along the outputs, transposed (AutoAWQ, GEMM version)."""

    group: int | None = 128
    bits: int = 4
    scale: str = "F16"

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Words, zero points of each group, scales."""
        groups = _groups(rows, columns, self.group, "AWQ")
        words = _whole(rows, columns, 32 // self.bits, rows, "AWQ")
        return (
            Stored("qweight", "I32", (columns, words)),
            Stored("qzeros", "I32", (groups, words)),
            Stored("scales", self.scale, (groups, rows)),
        )


@dataclass(frozen=True, slots=True)
class Gptq:
    """Integers of 2 to 8 bits in 32-bit words along the inputs, transposed (GPTQModel).

    Zero points and the group of every column are written also where quantization is symmetric
    and groups are in order.
    """

    group: int | None = 128
    bits: int = 4
    scale: str = "F16"

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Words, zero points, scales and group index."""
        groups = _groups(rows, columns, self.group, "GPTQ", partial=True)
        return (
            Stored("qweight", "I32", (_words(columns, self.bits), rows)),
            Stored("qzeros", "I32", (groups, _words(rows, self.bits))),
            Stored("scales", self.scale, (groups, rows)),
            Stored("g_idx", "I32", (columns,)),
        )


@dataclass(frozen=True, slots=True)
class Microscaled:
    """4-bit floats, two to a byte, with a scale per group of columns: NVFP4 and MXFP4."""

    group: int
    scale: str
    scalars: tuple[str, ...] = ()
    """Names of single F32 scales: of the whole matrix, and of its inputs."""

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Bytes, scales and single scales."""
        groups = _groups(rows, columns, self.group, "FP4")
        return (
            Stored("weight", "U8", (rows, columns // 2)),
            Stored("weight_scale", self.scale, (rows, groups)),
            *(Stored(name, "F32", ()) for name in self.scalars),
        )


@dataclass(frozen=True, slots=True)
class Affine:
    """Integers of 2 to 8 bits in 32-bit words, a scale and a bias per group (MLX)."""

    bits: int
    group: int = 64
    scale: str = "BF16"

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Words, scales, biases."""
        groups = _groups(rows, columns, self.group, "MLX")
        return (
            Stored("weight", "U32", (rows, columns * self.bits // 32)),
            Stored("scales", self.scale, (rows, groups)),
            Stored("biases", self.scale, (rows, groups)),
        )


@dataclass(frozen=True, slots=True)
class MicroscaledWords:
    """4- or 8-bit floats in 32-bit words with a one-byte scale per group (MLX mxfp4, nvfp4)."""

    bits: int
    group: int

    def tensors(self, rows: int, columns: int) -> tuple[Stored, ...]:
        """Words and scales."""
        groups = _groups(rows, columns, self.group, "MLX")
        return (
            Stored("weight", "U32", (rows, columns * self.bits // 32)),
            Stored("scales", "U8", (rows, groups)),
        )


def _ceil(count: int, size: int) -> int:
    return -(-count // size)


def _words(count: int, bits: int) -> int:
    """32-bit words for `count` numbers in rounds of 32."""
    return _ceil(count, 32) * bits


def _groups(rows: int, columns: int, group: int | None, name: str, *, partial: bool = False) -> int:
    """Groups along a row; a last one that is not full only where `partial`."""
    if group is None:
        return 1
    return _ceil(columns, group) if partial else _whole(rows, columns, group, columns, name)


def _whole(rows: int, columns: int, size: int, count: int, name: str) -> int:
    if count % size:
        raise FactsError(
            f"{name} cannot store a matrix of {rows} x {columns}: {count} is no multiple of {size}",
            hint="keep that module out of it, or pad the network as publishers do",
        )
    return count // size
