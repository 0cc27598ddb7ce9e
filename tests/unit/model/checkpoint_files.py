"""Safetensors files and indexes written byte by byte, whole or broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {
    "__metadata__": {"format": "pt"},
    "embed.weight": {"dtype": "BF16", "shape": [4, 2], "data_offsets": [0, 16]},
    "norm.weight": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},
    "packed": {"dtype": "F4", "shape": [2, 4], "data_offsets": [24, 28]},
    "none": {"dtype": "I64", "shape": [0, 3], "data_offsets": [28, 28]},
    "scalar": {"dtype": "U8", "shape": [], "data_offsets": [28, 29]},
}
"""A header of 29 bytes of data."""


def container(header: bytes, data: int) -> bytes:
    """A file of `header` and `data` zero bytes."""
    return len(header).to_bytes(8, "little") + header + bytes(data)


def header(entries: dict[str, Any]) -> bytes:
    return json.dumps(entries).encode()


def one(name: str = "a", data: int = 4, **fields: Any) -> bytes:
    """A file with one tensor of 4 bytes, some of its fields changed."""
    entry = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} | fields
    return container(header({name: entry}), data)


def put(path: Path, tensors: dict[str, int]) -> None:
    """A file of U8 tensors of the given sizes."""
    entries: dict[str, Any] = {}
    end = 0
    for name, size in tensors.items():
        entries[name] = {"dtype": "U8", "shape": [size], "data_offsets": [end, end + size]}
        end += size
    path.write_bytes(container(header(entries), end))


def put_index(folder: Path, weight_map: dict[str, str], **metadata: Any) -> None:
    content = {"metadata": metadata, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))
