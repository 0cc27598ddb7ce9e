"""Every weight tensor of a network as its GGUF file names it, and the parameters they add up to.

Model layer: the parts of `planner.model.network` under the names of `planner.model.gguf_roles`.
Shapes are in ggml order, the row length first. Not listed: tables of rotary factors (256 bytes in
files of Llama 3.1), which are no parameters.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import Architecture, Grouped, Latent, Layer
from planner.model.components import Component
from planner.model.gguf_recurrent import HYBRID_FUSED, HYBRID_NAMES, HYBRIDS, recurrent_row
from planner.model.gguf_roles import (
    BLOCK,
    FRAME,
    FUSED,
    GGUF_NAMES,
    NORMS_BY_HEAD,
    OWN_NAMES,
    POST_NORMS,
    WHOLE_NAMES,
)
from planner.model.network import Part, block_parts, frame_parts
from planner.model.parameters import (
    active_parameters,
    by_component,
    mtp_parameters,
    parameters,
)

__all__ = [
    "Component",
    "Shape",
    "Tensor",
    "active_parameters",
    "gguf_tensors",
    "mtp_parameters",
    "parameters",
]

Shape = tuple[int, ...]
_Row = tuple[str, Shape, Component]

_BIAS = ".bias"
_EXPERTS = "mlp.experts."
"""Start of the roles of routed experts, whose copies are stacked in one tensor."""
_UP_FROM_LATENT = "self_attn.kv_b_proj"
_SHARED_GATE = "mlp.shared_expert_gate"
_NORMS_OF_HEADS = ("self_attn.q_norm", "self_attn.k_norm")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a GGUF file."""

    name: str
    shape: Shape
    """Row length first."""
    block: int | None
    """Transformer block, MTP blocks last; None outside blocks."""
    component: Component

    @property
    def elements(self) -> int:
        """Weights in it."""
        return math.prod(self.shape)


@functools.lru_cache(maxsize=256)
def gguf_tensors(architecture: Architecture) -> tuple[Tensor, ...]:
    """All tensors in the order the quantizer visits them.

    Those outside blocks, then block by block; by name within each (weight_name_comparer of
    llama.cpp b11434, src/llama-model-loader.h).

    Raises:
        UnsupportedArchitecture: no list for this GGUF architecture, or the network has weights
            that its files do not.
    """
    name = architecture.gguf_name
    if name not in GGUF_NAMES + HYBRIDS:
        raise UnsupportedArchitecture(
            f"no list of the tensors in a GGUF file of architecture '{name}'",
            hint="known: " + ", ".join(GGUF_NAMES + HYBRIDS),
        )
    frame = [
        (_name(part.role, FRAME, architecture), part.shape[::-1], part.component)
        for part in frame_parts(architecture)
    ]
    tensors = [Tensor(row, shape, None, part) for row, shape, part in sorted(frame)]
    rows: dict[int, tuple[_Row, ...]] = {}
    for block, layer in enumerate(architecture.layers):
        found = rows.get(id(layer))
        if found is None:
            found = rows[id(layer)] = _block_rows(architecture, layer)
        prefix = f"blk.{block}."
        tensors += [Tensor(prefix + row, shape, block, part) for row, shape, part in found]
    if sum(tensor.elements for tensor in tensors) != sum(by_component(architecture).values()):
        raise UnsupportedArchitecture(
            f"this network has weights that GGUF files of architecture '{name}' do not",
            hint="its parameters can be counted, its GGUF file cannot be sized",
        )
    return tuple(tensors)


def _block_rows(architecture: Architecture, layer: Layer) -> tuple[_Row, ...]:
    """Tensors of one block, by name."""
    names = {**BLOCK, **(POST_NORMS if architecture.post_norms else {})}
    names |= {**OWN_NAMES, **HYBRID_NAMES}.get(architecture.gguf_name, {})
    rows: list[_Row] = []
    for part in block_parts(architecture, layer):
        recurrent = recurrent_row(layer, part)
        if recurrent is not None:
            rows.append(recurrent)
        elif part.role == _UP_FROM_LATENT:
            rows += _split_latent(layer, part)
        else:
            row = _name(part.role, names, architecture)
            rows.append((row, _shape(architecture, layer, part), part.component))
    for joined, name in {**FUSED, **HYBRID_FUSED}.get(architecture.gguf_name, ()):
        rows = _fuse(rows, joined, name)
    return tuple(sorted(rows))


def _name(role: str, names: Mapping[str, str], architecture: Architecture) -> str:
    """The name of a part within its block, or outside blocks.

    Raises:
        UnsupportedArchitecture: no file of this GGUF architecture has such a part.
    """
    whole = OWN_NAMES.get(architecture.gguf_name, {}).get(role) if role in WHOLE_NAMES else None
    whole = whole or WHOLE_NAMES.get(role)
    if whole is not None:
        return whole
    ending = _BIAS if role.endswith(_BIAS) else ".weight"
    base = names.get(role.removesuffix(_BIAS))
    if base is None:
        raise UnsupportedArchitecture(
            f"this network has weights ('{role}') that GGUF files of architecture"
            f" '{architecture.gguf_name}' do not",
            hint="its parameters can be counted, its GGUF file cannot be sized",
        )
    return base + ending


def _shape(architecture: Architecture, layer: Layer, part: Part) -> Shape:
    """The shape of a part in ggml order, experts stacked."""
    shape = part.shape[::-1]
    if part.role.startswith(_EXPERTS):
        return (*shape, part.copies)
    if part.role == _SHARED_GATE:
        return shape[:1]
    if part.role in _NORMS_OF_HEADS and architecture.gguf_name in NORMS_BY_HEAD:
        width = layer.mixer.head_dim if isinstance(layer.mixer, Grouped) else shape[0]
        return (width, shape[0] // width)
    return shape


def _split_latent(layer: Layer, part: Part) -> list[_Row]:
    """The up-projection of the latent, stored as two matrices per head, K transposed."""
    latent = layer.mixer
    assert isinstance(latent, Latent)
    heads, rank = latent.heads, latent.kv_rank
    return [
        ("attn_k_b.weight", (latent.nope_dim, rank, heads), part.component),
        ("attn_v_b.weight", (rank, latent.value_dim, heads), part.component),
    ]


def _fuse(rows: list[_Row], joined: tuple[str, ...], name: str) -> list[_Row]:
    """`rows` with the matrices `joined`, and their biases, in one; as they are if one is absent."""
    for ending in (".weight", _BIAS):
        found = [row for row in rows if row[0] in {part + ending for part in joined}]
        if len(found) != len(joined):
            continue
        shape, component = list(found[0][1]), found[0][2]
        outputs = min(1, len(shape) - 1)
        shape[outputs] = sum(one[outputs] for _, one, _ in found)
        rows = [row for row in rows if row not in found]
        rows.append((name + ending, tuple(shape), component))
    return rows
