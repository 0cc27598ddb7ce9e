"""`model.safetensors.index.json`: which file of a checkpoint each tensor lies in. Model layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from planner.errors import FileError
from planner.model.json_scan import (
    no_constant,
    scan_end,
    scan_object,
    scan_space,
    scan_string,
    unique,
)
from planner.model.local_file import read_whole, refuse_pointer
from planner.units import MIB

INDEX = "model.safetensors.index.json"

INDEX_LIMIT = 80 * MIB
"""Bytes an index may have: 700,000 tensors of long names. The largest published have 500,000."""

_TENSORS_LIMIT = 700_000
_METADATA_LIMIT = 64 * 1024  # bytes of the index's metadata, some numbers


@dataclass(frozen=True, slots=True)
class Index:
    """What an index says."""

    files: Mapping[str, str]
    """Tensor name to file name."""
    stated_bytes: int | None
    """`metadata.total_size`"""


def read_index(path: Path, present: Set[str]) -> Index:
    """The index at `path`, whose files must be among the names `present`.

    Raises:
        FileError: no readable index, or one that names a file that is missing or elsewhere.
    """
    return parse_index(read_whole(path, INDEX_LIMIT), present, str(path))


def parse_index(raw: bytes, present: Set[str], where: str) -> Index:
    """The index written in `raw`; `where` names it in messages.

    Raises:
        FileError: as `read_index`.
    """
    refuse_pointer(raw, where)
    tops: dict[str, object] = {}
    files: dict[str, str] = {}
    known = {name: name for name in present if name.endswith(".safetensors")}

    def placed(name: str, position: int) -> int:
        file, end = scan_string(raw, position)
        if file not in known:
            raise _absent(file, where)
        if name in files or not name.isprintable():
            raise ValueError(f"{name[:60]!r} is there twice or no name of a tensor")
        if len(files) == _TENSORS_LIMIT:
            raise ValueError(f"more than {_TENSORS_LIMIT:,} tensors")
        files[name] = known[file]
        return end

    def member(key: str, position: int) -> int:
        if key in tops or len(tops) == 100:
            raise ValueError(f"{key[:60]!r} is there twice, or too many keys")
        if key == "weight_map":
            tops[key] = files
            return scan_object(raw, position, placed)
        tops[key], end = _small(raw, position)
        return end

    try:
        scan_end(raw, scan_object(raw, scan_space(raw, 0), member))
        if not files:
            raise ValueError("no 'weight_map' with tensors")
        return Index(files, _stated_bytes(tops.get("metadata")))
    except ValueError as error:
        raise FileError(
            f"{where} is no index of a checkpoint: {str(error)[:300]}",
            hint="download the index again",
        ) from error


def _absent(file: str, where: str) -> FileError:
    plain = file.isprintable() and not set(file) & set("/\\:") and len(file) <= 255
    if plain and file.endswith(".safetensors"):
        return FileError(
            f"{where} names {file}, which is not in the folder",
            hint="the download is not complete: fetch that file",
        )
    return FileError(
        f"{where} names {file[:100]!r}, which is no safetensors file of the folder",
        hint="do not use this checkpoint; download the index from its publisher",
    )


def _small(raw: bytes, position: int) -> tuple[object, int]:
    """Any JSON value of at most 64 KiB at `position`, and where it ends."""
    text = raw[position : position + _METADATA_LIMIT].decode("latin-1")  # one byte, one character
    try:
        value, length = _DECODER.raw_decode(text)
    except RecursionError as error:
        raise ValueError(f"nested too deep at byte {position}") from error
    end = position + length
    raw[position:end].decode("utf-8")  # refuses what latin-1 let through
    return value, end


def _stated_bytes(metadata: object) -> int | None:
    size = metadata.get("total_size") if isinstance(metadata, dict) else None
    return size if type(size) is int and size >= 0 else None


_DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_constant=no_constant)
