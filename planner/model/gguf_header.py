"""The header of one GGUF file: its metadata and the list of its tensors. Model layer.

A file is `GGUF`, version, counts, metadata, tensor list, and the data, each tensor at a multiple
of the alignment. No data is read. Format: https://github.com/ggml-org/ggml docs/gguf.md
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from planner.errors import FactsError, FileError
from planner.model.gguf_cursor import Budget, Cursor, MetadataValue
from planner.model.local_file import open_regular, refuse_pointer
from planner.model.tensors import Shape
from planner.quantization.gguf_types import tensor_bytes
from planner.units import padded

VERSIONS = (2, 3)
"""Versions that are read; 3 differs in allowing big-endian files only."""

TYPE_NAMES: Mapping[int, str] = MappingProxyType(
    {
        0: "F32",
        1: "F16",
        2: "Q4_0",
        3: "Q4_1",
        6: "Q5_0",
        7: "Q5_1",
        8: "Q8_0",
        10: "Q2_K",
        11: "Q3_K",
        12: "Q4_K",
        13: "Q5_K",
        14: "Q6_K",
        16: "IQ2_XXS",
        17: "IQ2_XS",
        18: "IQ3_XXS",
        19: "IQ1_S",
        20: "IQ4_NL",
        21: "IQ3_S",
        22: "IQ2_S",
        23: "IQ4_XS",
        29: "IQ1_M",
        30: "BF16",
        34: "TQ1_0",
        35: "TQ2_0",
        39: "MXFP4",
        40: "NVFP4",
    }
)
"""Type number to the name in `planner.quantization.gguf_types`. Source: GGMLQuantizationType of
the PyPI package gguf 0.19.0."""

_KEY_BYTES = 65_535  # docs/gguf.md
_NAME_BYTES = 127  # of a tensor; ggml itself takes 63, forks of it more
_DIMENSIONS = 4  # GGML_MAX_DIMS
_INTEGER_LIMIT = 2**63
_DEFAULT_ALIGNMENT = 32
_LARGEST_ALIGNMENT = 2**20
_MAGIC, _SWAPPED_MAGIC = b"GGUF", b"FUGG"
_LEAST_KEY_BYTES = 8 + 1 + 4 + 1  # length, name, type, value
_LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8  # length, name, dimensions, one, type, offset


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor as the header lists it."""

    name: str
    shape: Shape
    """Row length first, as ggml has it."""
    type: str
    """Storage type, e.g. `Q4_K`."""
    bytes: int
    offset: int
    """First byte within its file."""
    file: str
    """Name of the file it lies in."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What one file says of itself."""

    version: int
    metadata: Mapping[str, MetadataValue]
    tensors: tuple[GgufTensor, ...]
    """In the order of their data."""
    data_complete: bool
    """Whether the file reaches the last byte of the last tensor."""


def read_header(path: Path, budget: Budget) -> GgufHeader:
    """The header of the GGUF file at `path`; of a split, of this part alone.

    Args:
        path: the file.
        budget: what may still be read of the model.

    Raises:
        FileError: no regular file in its folder, or no whole GGUF header.
        FactsError: a tensor of a storage type or size we do not understand.
    """
    with open_regular(path) as (file, size):
        return parse_header(Cursor(file, size, str(path), budget), path.name)


def parse_header(cursor: Cursor, file: str) -> GgufHeader:
    """The header `cursor` stands before; `file` is the name kept in each tensor.

    Raises:
        FileError: no whole GGUF header.
        FactsError: as `read_header`.
    """
    version = _version(cursor)
    tensor_count, key_count = cursor.uint64s(2, "the counts")
    _check_count(cursor, tensor_count, "tensors", _LEAST_TENSOR_BYTES)
    _check_count(cursor, key_count, "metadata keys", _LEAST_KEY_BYTES)
    metadata = _metadata(cursor, key_count)
    alignment = _alignment(cursor, metadata)
    listed = [_listed(cursor) for _ in range(tensor_count)]
    tensors = _placed(cursor, listed, alignment, file)
    end = tensors[-1].offset + tensors[-1].bytes if tensors else 0
    return GgufHeader(version, MappingProxyType(metadata), tensors, end <= cursor.size)


def _version(cursor: Cursor) -> int:
    """Checks the first eight bytes, and returns the version."""
    start = cursor.take(min(8, cursor.size), "the first eight bytes")
    refuse_pointer(start, cursor.where)
    magic, version = start[:4], int.from_bytes(start[4:], "little")
    swapped = len(start) == 8 and magic == _MAGIC and version & 0xFFFF == 0 and version > 0
    if swapped or magic == _SWAPPED_MAGIC:
        raise FileError(
            f"{cursor.where} is a big-endian GGUF file; little-endian ones are read",
            hint="convert it with gguf_convert_endian of the PyPI package gguf",
        )
    if magic != _MAGIC:
        raise FileError(
            f"{cursor.where} is no GGUF file: it begins with {start[:4]!r}",
            hint="check that this is the file you meant",
        )
    if len(start) < 8:
        raise cursor.bad(f"it ends at byte {cursor.size}")
    if version not in VERSIONS:
        raise FileError(
            f"{cursor.where} is of GGUF version {version}; versions 2 and 3 are read",
            hint="convert the model again with a current llama.cpp",
        )
    return version


def _check_count(cursor: Cursor, count: int, what: str, least: int) -> None:
    if count * least > cursor.size - cursor.position:
        raise cursor.bad(f"it claims {count:,} {what} in {cursor.size:,} bytes")
    cursor.spend(what, count)


def _metadata(cursor: Cursor, count: int) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for _ in range(count):
        key = cursor.name(_KEY_BYTES, "a metadata key")
        if key in metadata:
            raise cursor.bad(f"metadata key {key[:60]!r} is there twice")
        metadata[key] = cursor.value(key[:60])
    return metadata


def _alignment(cursor: Cursor, metadata: Mapping[str, MetadataValue]) -> int:
    value = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if type(value) is not int or not 0 < value <= _LARGEST_ALIGNMENT or value & (value - 1):
        raise cursor.bad(f"'general.alignment' is {str(value)[:60]}, no power of two")
    return value


@dataclass(frozen=True, slots=True)
class _Listed:
    """An entry of the tensor list; the offset counts from the start of the data."""

    name: str
    shape: Shape
    type: str
    bytes: int
    offset: int


def _listed(cursor: Cursor) -> _Listed:
    """The next entry of the tensor list."""
    name = cursor.name(_NAME_BYTES, "the name of a tensor")
    count = cursor.uint32(f"tensor {name!r}")
    if not 0 < count <= _DIMENSIONS:
        raise cursor.bad(f"tensor {name!r} has {count} dimensions")
    shape = cursor.uint64s(count, f"tensor {name!r}")
    if 0 in shape or math.prod(shape) >= _INTEGER_LIMIT:
        raise cursor.bad(f"tensor {name!r} has the shape {' x '.join(map(str, shape))}")
    number = cursor.uint32(f"tensor {name!r}")
    offset = cursor.uint64(f"tensor {name!r}")
    kind = TYPE_NAMES.get(number)
    if kind is None:
        raise FactsError(
            f"{cursor.where}: tensor {name!r} is of unknown storage type number {number}",
            hint="types known are " + ", ".join(TYPE_NAMES.values()),
        )
    try:
        size = tensor_bytes(kind, shape)
    except FactsError as error:
        raise FactsError(
            f"{cursor.where}: tensor {name!r}: {error.message}", hint=error.hint
        ) from error
    return _Listed(name, shape, kind, size, offset)


def _placed(
    cursor: Cursor, listed: list[_Listed], alignment: int, file: str
) -> tuple[GgufTensor, ...]:
    """The tensors with their place in the file; each begins where the one before it ends."""
    start = padded(cursor.position, alignment)
    names: set[str] = set()
    expected = 0
    tensors: list[GgufTensor] = []
    for entry in listed:
        if entry.name in names:
            raise cursor.bad(f"tensor {entry.name!r} is there twice")
        if entry.offset != expected:
            raise cursor.bad(
                f"tensor {entry.name!r} is at byte {entry.offset:,} of the data, not {expected:,}"
            )
        names.add(entry.name)
        expected += padded(entry.bytes, alignment)
        place = start + entry.offset
        tensors.append(GgufTensor(entry.name, entry.shape, entry.type, entry.bytes, place, file))
    return tuple(tensors)
