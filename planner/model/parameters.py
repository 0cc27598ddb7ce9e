"""How many weights a network has, from the architecture alone, whatever a file calls them.

Model layer. Exact to the last parameter: biases, norms and router scales are counted. Buffers
that some checkpoints store beside the weights (rotary frequencies, scales of a quantized format,
a copy of a tied output) are no parameters.
"""

from __future__ import annotations

import functools
from collections import Counter

from planner.model.architecture import Architecture, Layer, MixtureOfExperts
from planner.model.components import Component as Component
from planner.model.components import Counts
from planner.model.feed_forward_parts import EXPERT_TABLE
from planner.model.network import Part, block_parts, distinct_blocks, frame_parts


def parameters(architecture: Architecture) -> int:
    """Weights of the text network, embedding and output included, MTP blocks not."""
    return sum(by_component(architecture).values()) - by_component(architecture)["mtp"]


def mtp_parameters(architecture: Architecture) -> int:
    """Weights of all MTP blocks, also of those that GGUF converters leave out."""
    left_out = sum(
        copies * _count(block_parts(architecture, layer)).total()
        for layer, copies in distinct_blocks(architecture.unconverted_mtp)
    )
    return by_component(architecture)["mtp"] + left_out


def active_parameters(architecture: Architecture, *, embedding: bool = True) -> int:
    """Weights one token touches, MTP blocks not included.

    Everything but the routed experts, and of those the share `used / experts`. The whole token
    embedding is counted, so that a dense network's total and active parameters are equal;
    `embedding=False` leaves it out, which is how several publishers count (gpt-oss: 5.1 B).
    """
    idle = sum(
        copies * _idle(architecture, layer)
        for layer, copies in distinct_blocks(architecture.layers)
        if not layer.mtp
    )
    left_out = 0 if embedding else by_component(architecture)["embedding"]
    return parameters(architecture) - idle - left_out


def _idle(architecture: Architecture, layer: Layer) -> int:
    """Weights of a block that a token does not touch: experts not picked, the table of experts."""
    network = layer.network
    if not isinstance(network, MixtureOfExperts):
        return 0
    parts = block_parts(architecture, layer)
    routed = sum(part.elements for part in parts if part.component == "experts")
    table = sum(part.elements for part in parts if part.role == EXPERT_TABLE)
    return routed - routed // network.experts * network.used + table


@functools.lru_cache(maxsize=256)
def by_component(architecture: Architecture) -> Counts:
    """Weights by what they belong to; `mtp` only of blocks that GGUF files keep."""
    counts = _count(frame_parts(architecture))
    for layer, copies in distinct_blocks(architecture.layers):
        block = _count(block_parts(architecture, layer))
        counts.update({part: copies * count for part, count in block.items()})
    return counts


def _count(parts: tuple[Part, ...]) -> Counts:
    counts: Counts = Counter()
    for part in parts:
        counts[part.component] += part.elements
    return counts
