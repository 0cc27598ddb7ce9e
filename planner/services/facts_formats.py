"""The bytes of a model in one format, by component and storage type, and files beside a rule."""

from __future__ import annotations

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.catalog.load import Catalog
from planner.catalog.schema import ModelRow
from planner.errors import UnsupportedArchitecture
from planner.model.architecture import Architecture
from planner.model.checkpoint import Checkpoint, read_checkpoint
from planner.model.checkpoint_weights import checkpoint_weights
from planner.model.components import Component
from planner.model.own_quantization import OWN, file_type
from planner.model.row_scheme import published_checkpoints, scheme_of
from planner.model.weights import gguf_weights
from planner.quantization.gguf_mixes import MIXES
from planner.quantization.scheme import Scheme
from planner.services.facts_values import (
    Comparison,
    ComponentBytes,
    FormatFacts,
    StoredFacts,
    TypeBytes,
)
from planner.subject import file_of, published, weights_of

_IMATRIX = "quantize.imatrix.file"
"""Metadata of files made with an importance matrix."""
_TOWER_BYTES = 2
"""Bytes of a weight of a vision tower: publishers keep it in 16 bits."""
_PLAIN = ("BF16", "F16")
"""Formats both of GGUF files and of checkpoints."""
_FREE_NAMES = ("EXL", "MLX")
"""Starts of names of formats with a number of bits in them, of which the catalogs list a few."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Some tensors alike."""

    component: Component
    type: str
    tensors: int
    weights: int
    elements: int
    bytes: int


def checkpoint_of(row: ModelRow) -> Checkpoint | None:
    """What the headers of a model's checkpoint say; None where it was not given as one."""
    return read_checkpoint(Path(row.folder)) if row.folder else None


def format_facts(
    catalog: Catalog,
    row: ModelRow,
    architecture: Architecture,
    quant: str,
    scheme: Scheme | None,
) -> FormatFacts:
    """The bytes in `quant`; `scheme` is the one the model's config declares.

    Raises:
        UnknownName: no such quantization.
        UnsupportedArchitecture: no list of the tensors of a GGUF file of this network.
        FactsError: a format that cannot store one of the matrices.
    """
    own = scheme is not None and scheme.name.casefold() == quant.casefold()
    if own or quant.upper().startswith(_FREE_NAMES):
        return _checkpoint_format(row, architecture, quant)
    quantization = catalog.quantization(quant)
    if quantization.kind == "checkpoint":
        return _checkpoint_format(row, architecture, quantization.name)
    try:
        tensors = weights_of(catalog, row, architecture, quantization).tensors
    except UnsupportedArchitecture:
        if quantization.name not in _PLAIN:
            raise
        return _checkpoint_format(row, architecture, quantization.name)
    entries = [
        _Entry(t.component, t.type, 1, math.prod(t.shape), math.prod(t.shape), t.bytes)
        for t in tensors
    ]
    origin = "file" if quantization.name == OWN else "rule"
    there = published(row, quantization.name)
    return _facts(quantization.name, "gguf", origin, entries, published=there)


def _checkpoint_format(row: ModelRow, architecture: Architecture, quant: str) -> FormatFacts:
    scheme, own = scheme_of(row, architecture, quant)
    entries = _checkpoint_entries(architecture, scheme)
    there = own or scheme.name in published_checkpoints(row)
    return _facts(scheme.name, "checkpoint", "rule", entries, published=there)


@functools.lru_cache(maxsize=8)
def _checkpoint_entries(architecture: Architecture, scheme: Scheme) -> tuple[_Entry, ...]:
    """Tensors of a checkpoint; of a matrix stored as several, the first counts its weights."""
    found = []
    for part in checkpoint_weights(architecture, scheme).parts:
        weights = part.weights
        for tensor in part.tensors:
            elements, size = part.copies * tensor.elements, part.copies * tensor.bytes
            entry = _Entry(part.component, tensor.dtype, part.copies, weights, elements, size)
            found.append(entry)
            weights = 0
    return tuple(found)


def file_comparison(
    catalog: Catalog, row: ModelRow, architecture: Architecture
) -> Comparison | None:
    """A GGUF file beside the mix it says it is; None where it says none, or none with rules."""
    file = file_of(catalog, row)
    mix = file_type(file)
    if mix not in MIXES:
        return None
    try:
        rule = gguf_weights(architecture, mix, _IMATRIX in file.metadata)
    except UnsupportedArchitecture:  # said by the architecture's assumptions
        return None
    types = {tensor.name: tensor.type for tensor in rule.tensors}
    return Comparison(
        format=mix,
        bytes=rule.total_bytes,
        difference=file.total_bytes - rule.total_bytes,
        tensors=len(file.tensors),
        differing=sum(types.get(tensor.name) != tensor.type for tensor in file.tensors),
    )


def checkpoint_comparison(
    scheme: Scheme | None, architecture: Architecture, checkpoint: Checkpoint, tower: int
) -> Comparison:
    """A checkpoint beside the format its config declares, else its most frequent float type.

    Args:
        scheme: the format its config declares.
        architecture: its text network.
        checkpoint: what its headers say.
        tower: weights of its vision tower.
    """
    if scheme is None:
        sizes = checkpoint.bytes_by_dtype()
        dtype = next((name for name in sizes if name in ("BF16", "F16", "F32")), "BF16")
        scheme = Scheme(dtype, dtype=dtype)
    size = checkpoint_weights(architecture, scheme).total_bytes + _TOWER_BYTES * tower
    return Comparison(
        format=scheme.name,
        bytes=size,
        difference=checkpoint.bytes - size,
        tensors=len(checkpoint.tensors),
        differing=None,
    )


def stored(checkpoint: Checkpoint) -> StoredFacts:
    """What the headers of a checkpoint say."""
    return StoredFacts(
        files=len(checkpoint.files),
        tensors=len(checkpoint.tensors),
        bytes=checkpoint.bytes,
        stated_bytes=checkpoint.stated_bytes,
        types=_types((t.dtype, 1, t.elements, t.bytes) for t in checkpoint.tensors),
    )


def _facts(
    quant: str, kind: str, origin: str, entries: Sequence[_Entry], *, published: bool | None
) -> FormatFacts:
    size = sum(entry.bytes for entry in entries)
    return FormatFacts.model_validate(
        {
            "quant": quant,
            "kind": kind,
            "origin": origin,
            "bytes": size,
            "bits_per_weight": 8 * size / sum(entry.weights for entry in entries),
            "components": _components(entries),
            "types": _types((e.type, e.tensors, e.elements, e.bytes) for e in entries),
            "published": published,
        }
    )


def _components(entries: Sequence[_Entry]) -> tuple[ComponentBytes, ...]:
    grouped: dict[Component, list[_Entry]] = defaultdict(list)
    for entry in entries:
        grouped[entry.component].append(entry)
    found = []
    for component, members in grouped.items():
        types = _types((e.type, e.tensors, e.elements, e.bytes) for e in members)
        found.append(
            ComponentBytes(
                component=component,
                tensors=sum(entry.tensors for entry in members),
                parameters=sum(entry.weights for entry in members),
                bytes=sum(entry.bytes for entry in members),
                types=tuple(entry.type for entry in types),
            )
        )
    return tuple(sorted(found, key=lambda entry: (-entry.bytes, entry.component)))


def _types(tensors: Iterable[tuple[str, int, int, int]]) -> tuple[TypeBytes, ...]:
    """By type, of (type, tensors, elements, bytes); most bytes first."""
    counts: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for name, number, amount, size in tensors:
        counts[name] += number
        elements[name] += amount
        sizes[name] += size
    return tuple(
        TypeBytes(type=name, tensors=counts[name], elements=elements[name], bytes=sizes[name])
        for name in sorted(counts, key=lambda name: (-sizes[name], name))
    )
