"""Transient memory of one block's feed-forward network in a forward pass. Engines layer, shared.

Source: `workspace_shapes` of vllm/model_executor/layers/fused_moe, whose kernels SGLang has too;
dense networks fitted to rows h1, h7 and h8 of tests/reality/vllm_startup_h100.csv.
"""

from __future__ import annotations

from planner.engines.sharding import Shards, expert_hidden, expert_width
from planner.model.architecture import Architecture, Dense, Layer, MixtureOfExperts

HALF = 2
"""Bytes of an element of activations, bf16."""
RESIDUAL_COPIES = 3.75
"""Hidden states alive at the peak of a dense forward pass."""


def dense_bytes(
    architecture: Architecture, layer: Layer, shards: Shards, tokens: int, replicas: int = 1
) -> int:
    """Gate, up and their product of a dense network, and the hidden states around them.

    tokens * (3 * width + 3.75 * hidden) * 2 B; where experts see the tokens of several `replicas`,
    also inputs and results of all of them.
    """
    hidden = architecture.hidden
    elements = 3 * _dense_width(layer, shards) + round(RESIDUAL_COPIES * hidden)
    if replicas > 1 and isinstance(layer.network, MixtureOfExperts):
        elements += 2 * replicas * hidden
    return tokens * elements * HALF


def gathered_bytes(
    architecture: Architecture, layer: Layer, shards: Shards, tokens: int, replicas: int
) -> int:
    """The same where replicas of attention with `tokens` each share one network, dense ones too.

    tokens * (3 * replicas * width + 3.75 * hidden) * 2 B, and of several replicas inputs and
    results of all of them.
    """
    hidden = architecture.hidden
    elements = 3 * replicas * _dense_width(layer, shards) + round(RESIDUAL_COPIES * hidden)
    elements += 2 * replicas * hidden if replicas > 1 else 0
    return tokens * elements * HALF


def expert_bytes(
    architecture: Architecture, layer: Layer, shards: Shards, tokens: int, *, shared: bool = False
) -> int:
    """Two buffers of every token's experts: of their inputs and outputs, and of gate and up.

    rows * (max(width, hidden) + max(2 * width, hidden)) * 2 B, where rows = tokens * used; where
    the first is `shared` with the second's output, rows * (width + max(2 * width, hidden)) * 2 B.
    """
    network = layer.network
    if not isinstance(network, MixtureOfExperts):
        return 0
    width = expert_width(network.intermediate, shards)
    hidden = expert_hidden(network.latent or architecture.hidden, shards)
    up = 2 * width if network.gated else width
    first = width if shared else max(width, hidden)
    return tokens * network.used * (first + max(up, hidden)) * HALF


def _dense_width(layer: Layer, shards: Shards) -> int:
    match layer.network:
        case Dense() as network:
            return -(-network.intermediate // shards.dense)
        case MixtureOfExperts() as network:
            beside = -(-network.dense_intermediate // shards.dense)
            return max(beside, -(-network.shared_intermediate // shards.shared_experts))
        case None:
            return 0
