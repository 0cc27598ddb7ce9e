"""How many weights a network has, from the architecture alone, whatever a file calls them.

Model layer. Exact to the last parameter: biases, norms and router scales are counted. Buffers
that some checkpoints store beside the weights (rotary frequencies, scales of a quantized format,
a copy of a tied output) are no parameters.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import assert_never

from planner.model.architecture import (
    Architecture,
    Dense,
    FeedForward,
    Layer,
    MixtureOfExperts,
)
from planner.model.components import Component as Component
from planner.model.components import Counts
from planner.model.mixer_parameters import mixer_parameters


def parameters(architecture: Architecture) -> int:
    """Weights of the text network, embedding and output included, MTP blocks not."""
    return sum(by_component(architecture).values()) - by_component(architecture)["mtp"]


def mtp_parameters(architecture: Architecture) -> int:
    """Weights of all MTP blocks, also of those that GGUF converters leave out."""
    left_out = (_block(architecture, layer) for layer in architecture.unconverted_mtp)
    return by_component(architecture)["mtp"] + sum(sum(block.values()) for block in left_out)


def active_parameters(architecture: Architecture, *, embedding: bool = True) -> int:
    """Weights one token touches, MTP blocks not included.

    Everything but the routed experts, and of those the share `used / experts`. The whole token
    embedding is counted, so that a dense network's total and active parameters are equal;
    `embedding=False` leaves it out, which is how several publishers count (gpt-oss: 5.1 B).
    """
    idle = 0
    for layer, copies in Counter(architecture.layers).items():
        network = layer.network
        if isinstance(network, MixtureOfExperts) and not layer.mtp:
            routed = _block(architecture, layer)["experts"]
            idle += copies * (routed - routed // network.experts * network.used)
            idle += copies * _expert_table(architecture, network)
    left_out = 0 if embedding else by_component(architecture)["embedding"]
    return parameters(architecture) - idle - left_out


@functools.lru_cache(maxsize=256)
def by_component(architecture: Architecture) -> Counts:
    """Weights by what they belong to; `mtp` only of blocks that GGUF files keep."""
    hidden, vocabulary = architecture.hidden, architecture.vocabulary
    counts: Counts = Counter()
    counts["embedding"] = hidden * vocabulary
    counts["norm"] = _norm(architecture)
    if not architecture.tied:
        counts["output"] = hidden * vocabulary
    if architecture.residual_attention:
        counts["norm"] += 2 * hidden
    counts["norm"] += _streams_out(architecture)
    if architecture.output_bias:
        counts["output"] += vocabulary
    for layer, copies in Counter(architecture.layers).items():
        block = _block(architecture, layer)
        counts.update({part: copies * count for part, count in block.items()})
    return counts


@functools.lru_cache(maxsize=1024)
def _block(architecture: Architecture, layer: Layer) -> Counts:
    """Weights of one block."""
    hidden = architecture.hidden
    counts: Counts = Counter()
    if layer.mixer is not None:
        counts += mixer_parameters(hidden, layer.mixer)
    if layer.network is not None:
        counts += _feed_forward(hidden, layer.network)
    if isinstance(layer.network, MixtureOfExperts) and layer.network.by_token:
        counts["router"] += _expert_table(architecture, layer.network)
    counts["norm"] += 4 * hidden * architecture.residual_attention
    counts["norm"] += _streams_between(architecture)
    counts["norm"] += _block_norms(architecture, layer) * _norm(architecture)
    counts["norm"] += architecture.layer_scale
    if not layer.mtp:
        return counts
    own = hidden * architecture.vocabulary
    beside = (
        2 * hidden * hidden
        + architecture.mtp_norms * _norm(architecture)
        + _streams_out(architecture)
        + own * (architecture.mtp_own_embedding + architecture.mtp_own_head)
    )
    return Counter({"mtp": sum(counts.values()) + beside})


def _expert_table(architecture: Architecture, network: MixtureOfExperts) -> int:
    """Entries of the table from a token to its experts; looked up, so none of it is active."""
    return architecture.vocabulary * network.used if network.by_token else 0


def _streams_between(architecture: Architecture) -> int:
    """Weights that mix the residual streams before and after both parts of a block."""
    streams = architecture.residual_streams
    if streams == 1:
        return 0
    mixes = streams * (2 + streams)
    return 2 * (mixes * streams * architecture.hidden + mixes + 3)


def _streams_out(architecture: Architecture) -> int:
    """Weights that join the residual streams into one."""
    streams = architecture.residual_streams
    return 0 if streams == 1 else streams * streams * architecture.hidden + streams + 1


def _norm(architecture: Architecture) -> int:
    return architecture.hidden * (2 if architecture.norm_bias else 1)


def _block_norms(architecture: Architecture, layer: Layer) -> int:
    if architecture.parallel:
        return 1
    parts = (layer.mixer is not None) + (layer.network is not None)
    experts = isinstance(layer.network, MixtureOfExperts)
    return parts * (2 if architecture.post_norms else 1) + experts * architecture.expert_norms


def _feed_forward(hidden: int, network: FeedForward) -> Counts:
    match network:
        case Dense():
            return _dense(hidden, network)
        case MixtureOfExperts():
            return _experts(hidden, network)
        case _:
            assert_never(network)


def _dense(hidden: int, network: Dense) -> Counts:
    width, up = network.intermediate, 2 if network.gated else 1
    weights = hidden * width * (up + 1)
    return Counter({"dense": weights + (up * width + hidden if network.bias else 0)})


def _experts(hidden: int, network: MixtureOfExperts) -> Counts:
    count, width = network.experts, network.intermediate
    choices = count + network.idle_experts
    matrices = 3 if network.gated else 2
    entry = network.latent or hidden
    counts: Counts = Counter(
        {"router": hidden * choices, "experts": matrices * entry * width * count}
    )
    if network.latent:
        counts["shared_experts"] += 2 * network.latent * hidden
        counts["norm"] += network.latent * network.latent_norm
    if network.router_bias:
        counts["router"] += choices
    if network.score_bias:
        counts["router"] += choices
    if network.router_scales:
        counts["router"] += hidden + count
    if network.expert_bias:
        counts["experts"] += count * (2 * width + hidden)
    if network.shared_intermediate:
        counts["shared_experts"] += matrices * hidden * network.shared_intermediate
    if network.shared_gate:
        counts["router"] += hidden
    if network.dense_intermediate:
        counts["dense"] = 3 * hidden * network.dense_intermediate
    return counts
