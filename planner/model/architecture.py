"""What a network is, as data: attention kind x feed-forward kind per layer. No class per model.

Built from the fields of a Hugging Face config (`planner.model.huggingface`).
"""

from __future__ import annotations

import functools
from typing import Annotated, Literal

from pydantic import Field

from planner.values import Value


class Grouped(Value):
    """Multi-head, grouped-query or multi-query attention, over all tokens or a window."""

    kind: Literal["grouped"] = "grouped"
    heads: int
    kv_heads: int
    head_dim: int
    window: int | None = None
    """Tokens a sliding-window layer looks back; None is full attention."""
    bias: bool = False
    """Bias on the Q, K and V projections."""
    output_bias: bool = False
    qk_norm: bool = False
    """RMS norm on Q and K per head."""
    sinks: bool = False
    """One learned attention sink per head (gpt-oss)."""


class Latent(Value):
    """Multi-head latent attention (MLA): the cache holds one latent and one rotary part."""

    kind: Literal["latent"] = "latent"
    heads: int
    query_rank: int | None
    """q_lora_rank; None is a full query projection."""
    kv_rank: int
    """kv_lora_rank"""
    nope_dim: int
    """qk_nope_head_dim"""
    rope_dim: int
    """qk_rope_head_dim"""
    value_dim: int
    """v_head_dim"""


class Dense(Value):
    """A gated feed-forward network: gate, up, down."""

    kind: Literal["dense"] = "dense"
    intermediate: int


class MixtureOfExperts(Value):
    """Routed experts, and shared ones seen by every token."""

    kind: Literal["moe"] = "moe"
    experts: int
    used: int
    """Routed experts per token (top-k)."""
    intermediate: int
    """Of one routed expert."""
    shared_intermediate: int = 0
    """Of all shared experts together; 0 is none."""
    router_bias: bool = False
    """A bias on the router's own projection (gpt-oss)."""
    score_bias: bool = False
    """A selection bias per expert (e_score_correction_bias)."""
    expert_bias: bool = False
    """Biases on the expert matrices (gpt-oss)."""


Attention = Annotated[Grouped | Latent, Field(discriminator="kind")]
FeedForward = Annotated[Dense | MixtureOfExperts, Field(discriminator="kind")]


class Layer(Value):
    """One transformer block."""

    attention: Attention
    feed_forward: FeedForward
    mtp: bool = False
    """A multi-token-prediction block: after the layers proper, not run in plain decoding."""


class Architecture(Value):
    """A whole text network."""

    gguf_name: str
    """`general.architecture` of its GGUF file, e.g. `deepseek2`; engines have rules by it."""
    hidden: int
    vocabulary: int
    context_length: int
    """Tokens of the model's full window."""
    tied: bool
    """Whether the output projection is the token embedding."""
    layers: tuple[Layer, ...]
    """Transformer blocks in order, MTP blocks last."""
    unconverted_mtp: tuple[Layer, ...] = ()
    """MTP blocks of the checkpoint that GGUF converters leave out (DeepSeek V3)."""
    mtp_own_embedding: bool = False
    """Whether MTP blocks carry their own embedding and output head."""
    post_norms: bool = False
    """Extra norms after attention and feed-forward (gemma)."""

    @functools.cached_property
    def depth(self) -> int:
        """Layers without MTP blocks."""
        return sum(not layer.mtp for layer in self.layers)
