"""A model as its GGUF files have it: metadata, tensors and weights, from the headers alone.

Model layer. A file in parts (`NAME-00001-of-00060.gguf`) is read whole, whichever part is named.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.errors import FactsError, FileError
from planner.model.architecture import Architecture
from planner.model.gguf_architecture import architecture_from_gguf
from planner.model.gguf_cursor import Budget, MetadataValue, Skipped
from planner.model.gguf_fields import mtp_blocks
from planner.model.gguf_header import GgufHeader, GgufTensor, read_header
from planner.model.gguf_names import block_of, component_of
from planner.model.weights import StoredTensor, Weights

__all__ = [
    "GgufFile",
    "GgufTensor",
    "MetadataValue",
    "Skipped",
    "architecture_from_gguf",
    "read_gguf",
]

_PART = re.compile(r"(?P<stem>.*)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)
_PARTS_LIMIT = 1000
_COUNT, _NUMBER, _TENSORS = "split.count", "split.no", "split.tensors.count"


@dataclass(frozen=True)
class GgufFile:
    """One model: a file, or all parts of a split one."""

    path: Path
    """The file, or the first part."""
    version: int
    """Of the format."""
    metadata: Mapping[str, MetadataValue]
    """Of the first part, which has all of it."""
    tensors: tuple[GgufTensor, ...]
    """In the order of their data, part by part."""
    data_complete: bool
    """Whether the data of all tensors is there; not so in a header cut off before it."""
    parts: tuple[str, ...]
    """Names of its files."""

    @functools.cached_property
    def total_bytes(self) -> int:
        """Sum of tensor bytes."""
        return sum(tensor.bytes for tensor in self.tensors)

    def weights(self) -> Weights:
        """Its tensors by block and component, in the quantizer's order, however the file has them.

        Raises:
            FactsError: a tensor whose name says no component.
        """
        mtp = mtp_blocks(self.metadata, (tensor.name for tensor in self.tensors))
        stored = [
            StoredTensor(
                tensor.name,
                tensor.shape,
                tensor.type,
                tensor.bytes,
                block_of(tensor.name),
                component_of(tensor.name, mtp),
            )
            for tensor in self.tensors
        ]
        return Weights(tuple(sorted(stored, key=_quantizer_order)))

    def architecture(self) -> Architecture:
        """The text network it holds.

        Raises:
            FactsError: metadata that is missing or not understood.
        """
        shapes = {tensor.name: tensor.shape for tensor in self.tensors}
        return architecture_from_gguf(self.metadata, shapes)


def read_gguf(path: Path) -> GgufFile:
    """The model in the GGUF file at `path`; any part of a split one names all of it.

    Reads headers only, so files cut off anywhere in their data will do (`data_complete`).

    Raises:
        FileError: no readable GGUF file, or a part that is missing or belongs to another model.
        FactsError: a tensor of a storage type or size we do not understand.
    """
    budget = Budget()
    header = read_header(path, budget)
    count = _split_number(header, _COUNT, path) or 1
    named = _PART.fullmatch(path.name)
    if count == 1 and (named is None or int(named["count"]) == 1):
        return _merged(path, (path.name,), (header,))
    if named is None:
        raise FileError(
            f"{path} is one of {count} parts, and its name does not say which",
            hint=f"name the parts as published: NAME-00001-of-{count:05}.gguf",
        )
    if count != int(named["count"]):
        raise FileError(
            f"{path} says it is one of {count} parts, its name one of {int(named['count'])}",
            hint="name the parts as published",
        )
    if count > _PARTS_LIMIT:
        raise FileError(
            f"{path} is one of {count:,} parts; at most {_PARTS_LIMIT:,} are read",
            hint="merge them: llama-gguf-split --merge",
        )
    names = tuple(f"{named['stem']}-{i + 1:05}-of-{count:05}.gguf" for i in range(count))
    return _merged(path.with_name(names[0]), names, _headers(path, header, names, budget))


def _headers(
    path: Path, header: GgufHeader, names: tuple[str, ...], budget: Budget
) -> tuple[GgufHeader, ...]:
    """The headers of all parts; `header` is that of `path`, already read."""
    missing = [name for name in names if not os.path.exists(path.with_name(name))]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileError(
            f"{path} is one of {len(names)} parts; missing beside it: {missing[0]}{more}",
            hint="download all parts into one folder",
        )
    headers: list[GgufHeader] = []
    for index, name in enumerate(names):
        part = path.with_name(name)
        read = header if name == path.name else read_header(part, budget)
        count, number = _split_number(read, _COUNT, part), _split_number(read, _NUMBER, part)
        if (number, count) != (index, len(names)):
            raise FileError(
                f"{part} does not say it is part {index + 1} of {len(names)}",
                hint="check that all parts are of one model",
            )
        headers.append(read)
    return tuple(headers)


def _merged(path: Path, names: tuple[str, ...], headers: tuple[GgufHeader, ...]) -> GgufFile:
    """One model of the headers of all its parts."""
    first = headers[0]
    found: dict[str, GgufTensor] = {}
    for header in headers:
        for tensor in header.tensors:
            other = found.setdefault(tensor.name, tensor)
            if other is not tensor:
                raise FileError(
                    f"tensor {tensor.name!r} is both in {other.file} and in {tensor.file}",
                    hint="check that all parts are of one model",
                )
    total = _split_number(first, _TENSORS, path)
    if total is not None and total != len(found):
        raise FileError(
            f"{path} says there are {total:,} tensors; its parts have {len(found):,}",
            hint="check that all parts are of one model",
        )
    return GgufFile(
        path=path,
        version=first.version,
        metadata=first.metadata,
        tensors=tuple(found.values()),
        data_complete=all(header.data_complete for header in headers),
        parts=names,
    )


def _split_number(header: GgufHeader, key: str, path: Path) -> int | None:
    """A whole number of the split's metadata; None where it is not there."""
    value = header.metadata.get(key)
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise FactsError(
            f"{path}: metadata '{key}' is {str(value)[:60]!r}, no whole number",
            hint="download the file again",
        )
    return value


def _quantizer_order(tensor: StoredTensor) -> tuple[int, str]:
    return (-1 if tensor.block is None else tensor.block, tensor.name)
