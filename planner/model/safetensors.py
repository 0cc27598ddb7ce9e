"""The tensors of a checkpoint folder from the headers of its safetensors files. Model layer.

A file is 8 bytes of header length (little-endian), the header (a JSON object: tensor name to
dtype, shape and its first and last byte + 1 within the data) and the data, without gaps.
No weights are read. Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from planner.errors import FileError
from planner.model.json_scan import scan_end, scan_flat, scan_object, scan_string
from planner.model.local_file import open_regular, refuse_pointer

DTYPE_BITS = MappingProxyType(
    {
        "BOOL": 8,
        "F4": 4,
        "F6_E2M3": 6,
        "F6_E3M2": 6,
        "U8": 8,
        "I8": 8,
        "F8_E5M2": 8,
        "F8_E4M3": 8,
        "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8,
        "F8_E5M2FNUZ": 8,
        "I16": 16,
        "U16": 16,
        "F16": 16,
        "BF16": 16,
        "I32": 32,
        "U32": 32,
        "F32": 32,
        "C64": 64,
        "F64": 64,
        "I64": 64,
        "U64": 64,
    }
)
"""Bits of one element. Source: the types safetensors 0.8.0 takes."""

HEADER_LIMIT = 64_000_000
"""Bytes of header read at most: ten times the largest published (the library stops at 100 MB)."""

_ENTRY_LIMIT = 4096  # bytes of one tensor's entry: 64 dims of 20 digits take a third of it
_RANK_LIMIT = 64
_NAME_LIMIT = 1024
_TENSOR_LIMIT = 200_000  # of one file; the largest published checkpoints have as many in all files
_METADATA_LIMIT = 10_000  # keys of one file's metadata
_INTEGER_LIMIT = 2**63
_USUAL_ENTRY = re.compile(
    rb'\{"dtype": ?"([A-Z0-9_]{1,16})", ?"shape": ?\[((?:N(?:, ?N){0,7})?)\], ?'
    rb'"data_offsets": ?\[(N), ?(N)\]\}'.replace(b"N", rb"(?:0|[1-9][0-9]{0,17})")
)
"""An entry as every writer puts it: read in half the time of any other JSON."""
LENGTH_BYTES = 8
"""Of the header's length, before the header."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file."""

    name: str
    dtype: str
    """As the file has it, e.g. `BF16`; a key of `DTYPE_BITS`."""
    shape: tuple[int, ...]
    elements: int
    """Elements as stored: packed formats store several weights in one."""
    start: int
    """First byte within the data of its file."""
    bytes: int
    file: str
    """Name of the file it lies in."""


def read_header(path: Path) -> tuple[StoredTensor, ...]:
    """The tensors of the safetensors file at `path`, in the order of its data.

    Raises:
        FileError: no readable safetensors file, or one that is cut off.
    """
    with open_regular(path) as (file, size):
        try:
            start = file.read(LENGTH_BYTES)
            length = header_length(start, size, str(path))
            header = file.read(length)
        except OSError as error:
            raise FileError(
                f"cannot read {path}: {error.strerror}", hint="check the disk it lies on"
            ) from error
    return parse_header(header, size - LENGTH_BYTES - length, path.name, str(path))


def header_length(start: bytes, file_bytes: int, where: str) -> int:
    """Bytes of the header that follows the first 8 bytes `start` of a file of `file_bytes`.

    Raises:
        FileError: fewer than 8 bytes, or a length no safetensors file has.
    """
    refuse_pointer(start, where)
    if len(start) < LENGTH_BYTES:
        raise _bad(where, f"{len(start)} bytes long")
    length = int.from_bytes(start, "little")
    if length > HEADER_LIMIT:
        raise _bad(where, f"a header of {length:,} bytes; at most {HEADER_LIMIT:,} are read")
    if length > file_bytes - LENGTH_BYTES:
        raise _bad(where, f"a header of {length:,} bytes in a file of {file_bytes:,}")
    return length


def parse_header(header: bytes, data_bytes: int, file: str, where: str) -> tuple[StoredTensor, ...]:
    """The tensors a header lists, in the order of their data.

    Args:
        header: the JSON text after the length.
        data_bytes: bytes of the file after the header.
        file: name of the file, kept in each tensor.
        where: what messages call the file.

    Raises:
        FileError: no header of a safetensors file, or its tensors do not fill the data exactly.
    """
    found: dict[str, StoredTensor] = {}
    notes: set[str] = set()

    def metadata(key: str, position: int) -> int:
        if key in notes:
            raise ValueError(f"metadata {key[:60]!r} is there twice")
        if len(notes) > _METADATA_LIMIT:
            raise ValueError(f"more than {_METADATA_LIMIT:,} keys of metadata")
        notes.add(key)
        return scan_string(header, position)[1]

    def member(name: str, position: int) -> int:
        if name == "__metadata__" and not notes:
            notes.add("")
            return scan_object(header, position, metadata)
        if name in found or name == "__metadata__":
            raise ValueError(f"{name[:60]!r} is there twice")
        if len(found) == _TENSOR_LIMIT:
            raise ValueError(f"more than {_TENSOR_LIMIT:,} tensors")
        usual = _USUAL_ENTRY.match(header, position)
        if usual is not None:
            shape = tuple(map(int, usual[2].split(b","))) if usual[2] else ()
            offsets = int(usual[3]), int(usual[4])
            found[name] = _placed(name, usual[1].decode(), shape, offsets, file)
            return usual.end()
        entry, end = scan_flat(header, position, _ENTRY_LIMIT)
        found[name] = _tensor(name, entry, file)
        return end

    try:
        scan_end(header, scan_object(header, 0, member))
        return _contiguous(found.values(), data_bytes)
    except ValueError as error:
        raise _bad(where, str(error)[:300]) from error


def _tensor(name: str, entry: Any, file: str) -> StoredTensor:
    """The tensor of one entry; ValueError where it is none."""
    if len(entry) != 3 or not isinstance(dtype := entry.get("dtype"), str):
        raise ValueError(f"{name[:60]!r} has not just dtype, shape and data_offsets")
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{name[:60]!r} has a shape or data_offsets that are no whole numbers")
    if len(shape) > _RANK_LIMIT:
        raise ValueError(f"{name[:60]!r} has {len(shape)} dimensions")
    return _placed(name, dtype, tuple(shape), (offsets[0], offsets[1]), file)


def _placed(
    name: str, dtype: str, shape: tuple[int, ...], offsets: tuple[int, int], file: str
) -> StoredTensor:
    """As `_tensor`, of fields that are words and whole numbers."""
    if not name.isprintable() or not 0 < len(name) <= _NAME_LIMIT:
        raise ValueError(f"no name of a tensor: {name[:60]!r}")
    bits = DTYPE_BITS.get(dtype)
    if bits is None:
        raise ValueError(f"{name!r} is of an unknown dtype {dtype[:60]!r}")
    elements = 1
    for size in shape:
        elements *= size
        if elements >= _INTEGER_LIMIT:
            raise ValueError(f"{name!r} has more elements than a file can hold")
    first, end = offsets
    length = end - first
    if length * 8 != elements * bits:
        raise ValueError(f"{name!r} has {length:,} bytes for {elements:,} elements of {dtype}")
    return StoredTensor(name, dtype, shape, elements, first, length, file)


def _counts(values: Any) -> bool:
    """Whether `values` is a list of whole numbers, 0 or more, of at most 63 bits."""
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < _INTEGER_LIMIT for value in values
    )


def _contiguous(found: Iterable[StoredTensor], data_bytes: int) -> tuple[StoredTensor, ...]:
    """The tensors by place; ValueError unless they fill the data without gap or overlap."""
    position = 0
    ordered = sorted(found, key=lambda tensor: (tensor.start, tensor.bytes))
    for tensor in ordered:
        first = tensor.start
        if first != position:
            what = "overlaps the tensor before it" if first < position else "leaves a gap before it"
            raise ValueError(f"{tensor.name!r} {what}, at byte {first:,} of the data")
        position += tensor.bytes
    if position != data_bytes:
        what = "is cut off" if position > data_bytes else "has more data"
        raise ValueError(f"it {what}: {data_bytes:,} bytes where the header lists {position:,}")
    return tuple(ordered)


def _bad(where: str, what: str) -> FileError:
    return FileError(
        f"{where} is no whole safetensors file: {what}", hint="download the file again"
    )
