"""The weight tensors of feed-forward networks: dense ones, and routed and shared experts.

Model layer. Routed experts are one part per matrix, with a copy per expert.
"""

from __future__ import annotations

from typing import assert_never

from planner.model.architecture import Dense, FeedForward, MixtureOfExperts
from planner.model.components import Component
from planner.model.part import Part, bias, biased, matrix, norm

_GATE = "mlp.gate"
"""The router, which is not the `gate_proj` of a network."""


def feed_forward_parts(hidden: int, vocabulary: int, network: FeedForward) -> tuple[Part, ...]:
    """All weights of one feed-forward network on a hidden state of `hidden` channels.

    `vocabulary` is the length of the table that some networks route tokens by.
    """
    match network:
        case Dense():
            parts = _gated("mlp.", hidden, network.intermediate, "dense", gated=network.gated)
            return biased(parts, network.bias)
        case MixtureOfExperts():
            return (
                *_router(hidden, vocabulary, network),
                *_routed(hidden, network),
                *_beside(hidden, network),
            )
        case _:
            assert_never(network)


def _router(hidden: int, vocabulary: int, network: MixtureOfExperts) -> tuple[Part, ...]:
    choices = network.experts + network.idle_experts
    router = matrix(_GATE, choices, hidden, "router")
    parts = [router]
    if network.router_bias:
        parts.append(bias(router))
    if network.score_bias:
        parts.append(Part(f"{_GATE}.e_score_correction_bias", (choices,), "router"))
    if network.router_scales:
        parts.append(Part(f"{_GATE}.scale", (hidden,), "router"))
        parts.append(Part(f"{_GATE}.per_expert_scale", (network.experts,), "router"))
    if network.by_token:
        parts.append(Part(EXPERT_TABLE, (vocabulary, network.used), "router"))
    return tuple(parts)


EXPERT_TABLE = f"{_GATE}.tid2eid"
"""The table from a token to its experts; looked up, so none of it is active."""


def _routed(hidden: int, network: MixtureOfExperts) -> tuple[Part, ...]:
    """Routed experts, and the projections to and from the latent they may work on."""
    entry = network.latent or hidden
    parts = _gated(
        "mlp.experts.",
        entry,
        network.intermediate,
        "experts",
        copies=network.experts,
        gated=network.gated,
    )
    if not network.latent:
        return biased(parts, network.expert_bias)
    return (
        matrix("mlp.fc1_latent_proj", network.latent, hidden, "shared_experts"),
        *biased(parts, network.expert_bias),
        *((norm("mlp.latent_norm", network.latent),) if network.latent_norm else ()),
        matrix("mlp.fc2_latent_proj", hidden, network.latent, "shared_experts"),
    )


def _beside(hidden: int, network: MixtureOfExperts) -> tuple[Part, ...]:
    """What every token goes through beside the routed experts."""
    parts: tuple[Part, ...] = ()
    if network.shared_intermediate:
        shared, name = network.shared_intermediate, "mlp.shared_experts."
        matrices = _gated(name, hidden, shared, "shared_experts", gated=network.gated)
        parts += biased(matrices, network.shared_bias)
    if network.shared_gate:
        parts += (matrix("mlp.shared_expert_gate", 1, hidden, "router"),)
    if network.dense_intermediate:
        parts += _gated("mlp.", hidden, network.dense_intermediate, "dense")
    return parts


def _gated(
    name: str,
    hidden: int,
    width: int,
    component: Component,
    *,
    copies: int = 1,
    gated: bool = True,
) -> tuple[Part, ...]:
    """Gate, up and down; without a gate up and down."""
    inputs = ("gate_proj", "up_proj") if gated else ("up_proj",)
    return (
        *(matrix(name + each, width, hidden, component, copies) for each in inputs),
        matrix(name + "down_proj", hidden, width, component, copies),
    )
