"""What a checkpoint of a network in some format stores, tensor by tensor, and its bytes.

Model layer: the parts of the network x the scheme of the checkpoint. Sums are of tensor bytes, as
`total_size` of an index file; a file adds its header. Buffers some publishers store beside the
weights (rotary frequencies) are no weights and not counted.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from planner.model.architecture import Architecture, Layer, MixtureOfExperts
from planner.model.components import Component, Counts
from planner.model.module_names import OUTSIDE, Place, module_names
from planner.model.network import Part, block_parts, frame_parts
from planner.quantization.checkpoint_formats import DTYPE_BYTES, Stored
from planner.quantization.checkpoint_mixed import Format
from planner.quantization.scheme import Scheme

_SINGLE = ("mlp.gate.e_score_correction_bias", "hc_", "mtp.hc_")
"""Start of roles that publishers keep in single precision: selection biases of experts (DeepSeek
V3, Kimi K2, MiniMax M2), and what mixes residual streams (DeepSeek V4)."""

_SINGLE_OF_KIND = {
    "kimi_delta": ("A_log", "dt_bias", "q_conv1d", "k_conv1d", "v_conv1d", "o_norm"),
    "compressed": ("sinks", "position_bias"),
}
"""Kind of mixer to the last words of its roles in single precision (Kimi K3, DeepSeek V4)."""

_WHOLE_NUMBERS = {"mlp.gate.tid2eid": "I64"}
"""Roles that hold whole numbers, and their type."""


@dataclass(frozen=True, slots=True)
class CheckpointPart:
    """A part of the network as a checkpoint stores it."""

    block: int | None
    """Transformer block, MTP blocks last; None outside blocks."""
    role: str
    component: Component
    copies: int
    """Modules alike: routed experts of one block."""
    tensors: tuple[Stored, ...]
    """Of one copy."""
    weights: int
    """Weights of the network in all copies, however they are packed."""

    @property
    def bytes(self) -> int:
        """Bytes of all copies."""
        return self.copies * sum(tensor.bytes for tensor in self.tensors)


@dataclass(frozen=True)
class CheckpointWeights:
    """All tensors of one checkpoint."""

    scheme: Scheme
    parts: tuple[CheckpointPart, ...]

    @functools.cached_property
    def total_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(part.bytes for part in self.parts)

    @functools.cached_property
    def by_component(self) -> Counts:
        """Bytes by what they belong to; everything in MTP blocks is `mtp`."""
        counts: Counts = Counter()
        for part in self.parts:
            counts[part.component] += part.bytes
        return counts

    @functools.cached_property
    def by_block(self) -> dict[int | None, int]:
        """Bytes of every block; None is what lies outside blocks."""
        counts: dict[int | None, int] = {}
        for part in self.parts:
            counts[part.block] = counts.get(part.block, 0) + part.bytes
        return counts

    @property
    def bits_per_weight(self) -> float:
        """Of the whole checkpoint."""
        return 8 * self.total_bytes / sum(part.weights for part in self.parts)


@functools.lru_cache(maxsize=64)
def checkpoint_weights(
    architecture: Architecture, scheme: Scheme, *, mtp: bool = True
) -> CheckpointWeights:
    """The tensors of a checkpoint of `architecture` by `scheme`; remembered.

    `mtp=False` leaves out MTP blocks, as converters to several formats do.

    Raises:
        FactsError: a format that cannot store one of the matrices.
    """
    frame = frame_parts(architecture)
    stored = [each for part in frame for each in _stored(part, scheme, OUTSIDE)]
    depth = architecture.depth
    for block, layer in enumerate(architecture.layers[:depth]):
        stored += _block(architecture, scheme, layer, block, None)
    for number, layer in enumerate(architecture.mtp_blocks if mtp else ()):
        stored += _block(architecture, scheme, layer, depth + number, number)
    return CheckpointWeights(scheme, tuple(stored))


def part_bytes(
    part: Part,
    scheme: Scheme,
    block: int | None = None,
    layer: Layer | None = None,
    mtp: int | None = None,
) -> int:
    """Bytes of all copies of a part of any shape, e.g. of one rank's share of a matrix.

    Args:
        part: a part of the block, its shape perhaps cut.
        scheme: of the checkpoint.
        block: number of the block, MTP blocks last; None outside blocks.
        layer: the block.
        mtp: number of an MTP block.

    Raises:
        FactsError: a format that cannot store a matrix of that shape.
    """
    return sum(each.bytes for each in stored_part(part, scheme, block, layer, mtp))


def stored_part(
    part: Part,
    scheme: Scheme,
    block: int | None = None,
    layer: Layer | None = None,
    mtp: int | None = None,
) -> tuple[CheckpointPart, ...]:
    """A part of any shape as a checkpoint stores it; arguments and errors as `part_bytes`."""
    if layer is None:
        return _stored(part, scheme, OUTSIDE)
    return _stored(part, scheme, Place(block, mtp, _apart(layer, part)), _single(layer))


def _block(
    architecture: Architecture, scheme: Scheme, layer: Layer, block: int, mtp: int | None
) -> Iterator[CheckpointPart]:
    for part in block_parts(architecture, layer):
        place = Place(block, mtp, _apart(layer, part))
        stored = _stored(part, scheme, place, _single(layer))
        yield from stored
        if scheme.kv_scales and part.role == "self_attn.k_proj":
            scales = (Stored("k_scale", "F32", ()), Stored("v_scale", "F32", ()))
            yield replace(stored[0], role="self_attn.kv_scales", tensors=scales, weights=0)


def _single(layer: Layer) -> tuple[str, ...]:
    """Last words of roles in single precision."""
    return _SINGLE_OF_KIND.get(layer.mixer.kind, ()) if layer.mixer is not None else ()


def _apart(layer: Layer, part: Part) -> bool:
    """Whether a part is not in the module `mlp`, which is the dense network beside (Gemma 4)."""
    network = layer.network
    scaled = isinstance(network, MixtureOfExperts) and network.router_scales
    return scaled and f"{part.role}.".startswith(("mlp.experts.", "mlp.gate."))


@functools.lru_cache(maxsize=8192)
def _stored(
    part: Part, scheme: Scheme, place: Place, single: tuple[str, ...] = ()
) -> tuple[CheckpointPart, ...]:
    """The part as it is stored; experts stored in unlike ways are several."""

    def of(copies: int, tensors: tuple[Stored, ...]) -> CheckpointPart:
        weights = part.elements // part.copies * copies
        return CheckpointPart(place.block, part.role, part.component, copies, tensors, weights)

    if part.linear:
        formats = _formats(part, scheme, place)
        return tuple(of(copies, form.tensors(*part.shape)) for form, copies in formats)
    form = None
    if part.role.endswith("embed_tokens"):
        form = scheme.table_format(module_names(part.role, place))
    plain = (Stored("", _kept_dtype(part, scheme, single), part.shape),)
    return (of(part.copies, form.tensors(*part.shape) if form is not None else plain),)


def _formats(part: Part, scheme: Scheme, place: Place) -> Iterator[tuple[Format, int]]:
    """Each way the copies of a matrix are stored, and how many of them."""
    if part.component != "experts" and ".experts." not in part.role:
        yield scheme.format_of(part.role, module_names(part.role, place)), part.copies
        return
    told_apart = range(part.copies) if scheme.by_expert else range(1)
    counted = Counter(
        scheme.format_of(part.role, module_names(part.role, place, expert)) for expert in told_apart
    )
    share = part.copies // len(told_apart)
    yield from ((form, share * count) for form, count in counted.items())


def _kept_dtype(part: Part, scheme: Scheme, single: tuple[str, ...]) -> str:
    if part.role in _WHOLE_NUMBERS:
        return _WHOLE_NUMBERS[part.role]
    alone = part.role.startswith(_SINGLE) or part.role.rpartition(".")[2] in single
    return "F32" if alone and DTYPE_BYTES[scheme.dtype] < DTYPE_BYTES["F32"] else scheme.dtype
