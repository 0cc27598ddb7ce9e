"""What one decoded token reads in each slot of a network: weight bytes, and what mixes tokens.

A *slot* is a transformer or MTP block, in order, and last the output. Layer: performance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from planner.model.architecture import Architecture, Latent, Mixer, MixtureOfExperts
from planner.model.weights import StoredTensor, Weights

FLOAT_TYPES = frozenset({"F32", "F16", "BF16"})
_REMEMBERED = 64


class Slot(NamedTuple):
    """One slot's weights, by who reads them."""

    float_bytes: int
    """16- and 32-bit weights every token reads, bytes."""
    quantized_bytes: int
    """Quantized weights every token reads, bytes."""
    expert_float_bytes: int
    """16- and 32-bit weights of all routed experts, bytes."""
    expert_quantized_bytes: int
    expert_share: float
    """Routed experts used per token over all; 1 where there are none."""
    float_elements: float
    """16- and 32-bit weights one token is multiplied with."""
    quantized_elements: float
    mixers: tuple[Mixer, ...]
    """What mixes tokens: one mixer, two side by side, or none."""
    block: bool
    """Whether it is a block that runs: not the output, and no MTP block."""

    def bytes_read(self, tokens: int) -> tuple[float, float]:
        """Float and quantized bytes a pass over `tokens` tokens of one sequence reads.

        Experts: 1 - (1 - share)^tokens of them are wanted by at least one token.
        """
        wanted = 1 - (1 - self.expert_share) ** tokens
        return (
            self.float_bytes + wanted * self.expert_float_bytes,
            self.quantized_bytes + wanted * self.expert_quantized_bytes,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """All slots of one network with one set of weights; compared by identity."""

    slots: tuple[Slot, ...]
    mixture: bool
    """Whether any layer that runs has routed experts."""
    latent: bool
    """Whether any layer that runs has latent attention."""


_known: dict[tuple[int, int], tuple[Architecture, Weights, Traffic]] = {}


def traffic_of(architecture: Architecture, weights: Weights) -> Traffic:
    """The traffic of each slot, remembered by the identity of both values.

    Attention, norms, router, shared experts and dense networks are read whole, routed experts
    by used / experts. The token embedding is one row, unless the output is tied to it.
    """
    key = (id(architecture), id(weights))
    entry = _known.get(key)
    if entry is None:
        if len(_known) >= _REMEMBERED:
            _known.clear()
        entry = _known[key] = (architecture, weights, _traffic(architecture, weights))
    return entry[2]


def _traffic(architecture: Architecture, weights: Weights) -> Traffic:
    layers = architecture.layers
    held: list[list[StoredTensor]] = [[] for _ in range(len(layers) + 1)]
    for tensor in weights.tensors:
        if tensor.component == "embedding" and not architecture.tied:
            continue
        held[len(layers) if tensor.block is None else tensor.block].append(tensor)
    slots = []
    for number, layer in enumerate(layers):
        if layer.mtp:
            slots.append(_slot([], 1.0))
            continue
        share = 1.0
        if isinstance(layer.network, MixtureOfExperts):
            share = layer.network.used / layer.network.experts
        mixers = tuple(mixer for mixer in (layer.mixer, layer.beside) if mixer is not None)
        slots.append(_slot(held[number], share, mixers, block=True))
    slots.append(_slot(held[-1], 1.0))
    mixture = any(isinstance(x.network, MixtureOfExperts) for x in layers if not x.mtp)
    latent = any(isinstance(x.mixer, Latent) for x in layers if not x.mtp)
    return Traffic(tuple(slots), mixture, latent)


def _slot(
    tensors: list[StoredTensor],
    expert_share: float,
    mixers: tuple[Mixer, ...] = (),
    *,
    block: bool = False,
) -> Slot:
    sizes = dict.fromkeys(((False, False), (False, True), (True, False), (True, True)), 0)
    elements = {True: 0.0, False: 0.0}
    for tensor in tensors:
        is_float, is_expert = tensor.type in FLOAT_TYPES, tensor.component == "experts"
        sizes[is_float, is_expert] += tensor.bytes
        if len(tensor.shape) > 1:
            elements[is_float] += math.prod(tensor.shape) * (expert_share if is_expert else 1)
    return Slot(
        float_bytes=sizes[True, False],
        quantized_bytes=sizes[False, False],
        expert_float_bytes=sizes[True, True],
        expert_quantized_bytes=sizes[False, True],
        expert_share=expert_share,
        float_elements=elements[True],
        quantized_elements=elements[False],
        mixers=mixers,
        block=block,
    )
