"""What a network is, as data: attention kind x feed-forward kind per layer. No class per model.

Built from the fields of a Hugging Face config (`planner.model.huggingface`).
"""

from __future__ import annotations

import functools
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from planner.errors import UnsupportedArchitecture
from planner.model.extra import Extra
from planner.model.recurrent import Recurrent
from planner.values import Value


class Indexer(Value):
    """A small attention of its own that picks the tokens the layer looks at."""

    heads: int
    head_dim: int
    on_latent: bool = True
    """Queries come from the query latent, with one weight per head (DeepSeek V3.2); if not, from
    the hidden state, with norms on queries and keys (MiniMax M3)."""


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
    """RMS norm on Q and K."""
    qk_norm_spans_heads: bool = False
    """Whether that norm has weights for all heads together (OLMo 2), not for one head."""
    sinks: bool = False
    """One learned attention sink per head (gpt-oss)."""
    value_dim: int | None = None
    """Dimension of a V head where it is not that of a K head (MiMo V2)."""
    shared_kv: bool = False
    """V is K: there is no V projection (full layers of Gemma 4)."""
    borrowed_kv: bool = False
    """K and V are those of an earlier layer, so that there is no cache (Gemma 3n, Gemma 4 E4B).

    Published checkpoints store its own projections all the same: their totals say so."""
    cross: bool = False
    """Looks at features of images, not at the text: its cache does not grow with the text, and is
    not counted (Llama 3.2 Vision)."""
    head_gate: bool = False
    """A gate per head from the hidden state (Step 3.5)."""
    output_gate: bool = False
    """A gate per channel of every head from the hidden state (Qwen3-Next)."""
    gate_apart: bool = False
    """Whether that gate is a matrix of its own, without a bias (Trinity)."""
    indexer: Indexer | None = None
    top_k: int | None = None
    """Tokens it looks at at most, chosen by an indexer; None is all of them."""


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
    indexer: Indexer | None = None
    """None also where a layer reuses the choice of an earlier one (GLM 5.2)."""
    top_k: int | None = None
    """Tokens it looks at at most, chosen by an indexer; None is all of them."""
    output_gate: bool = False
    """A gate per channel of every head from the hidden state (Kimi K3)."""
    head_gate: bool = False
    """A gate per head from the hidden state (Ling 2.5)."""
    bias: bool = False
    """Biases on the projections from the hidden state to latents, and on the output's."""


class Dense(Value):
    """A feed-forward network: gate, up, down."""

    kind: Literal["dense"] = "dense"
    intermediate: int
    gated: bool = True
    """Whether it has a gate beside the up-projection."""
    bias: bool = False
    """Bias on each of its matrices."""


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
    gated: bool = True
    """Whether experts have a gate beside the up-projection."""
    latent: int | None = None
    """Width of the latent that routed experts work on, projected from and to the hidden state."""
    latent_norm: bool = False
    by_token: bool = False
    """Whether a table names the experts of each token of the vocabulary (DeepSeek V4)."""
    router_bias: bool = False
    """A bias on the router's own projection (gpt-oss)."""
    score_bias: bool = False
    """A selection bias per expert (e_score_correction_bias)."""
    expert_bias: bool = False
    """Biases on the expert matrices (gpt-oss)."""
    shared_bias: bool = False
    """Biases on the matrices of the shared experts."""
    shared_gate: bool = False
    """A one-row gate on the shared experts (Qwen2-MoE)."""
    dense_intermediate: int = 0
    """Of a dense network run beside the experts on every token; 0 is none (Gemma 4, LongCat)."""
    idle_experts: int = 0
    """Experts that pass their input through: router rows without weights (LongCat)."""
    router_scales: bool = False
    """A scale per input channel and per expert in the router (Gemma 4)."""


class Compressed(Value):
    """Multi-query attention over a window and over compressed groups of tokens (DeepSeek V4).

    K is V, and the output projection is of low rank and in groups.
    """

    kind: Literal["compressed"] = "compressed"
    heads: int
    head_dim: int
    query_rank: int
    output_groups: int
    output_rank: int
    window: int | None
    ratio: int = 0
    """Tokens in a compressed group; 0 is none of them."""
    overlaps: bool = False
    """Whether a group also looks at the tokens of the one before."""
    indexer: Indexer | None = None
    """Picks groups; it compresses keys of its own."""
    top_k: int | None = None
    """Groups it looks at at most beside the window; None is all of them."""


Attention = Annotated[Grouped | Latent, Field(discriminator="kind")]
Mixer = Annotated[Grouped | Latent | Compressed | Recurrent, Field(discriminator="kind")]
FeedForward = Annotated[Dense | MixtureOfExperts, Field(discriminator="kind")]


class Layer(Value):
    """One transformer block."""

    mixer: Mixer | None = Field(validation_alias=AliasChoices("attention", "mixer"))
    """What mixes tokens: attention, or a recurrence; None is a block without."""
    network: FeedForward | None = Field(validation_alias=AliasChoices("feed_forward", "network"))
    """None is a block without."""
    beside: Recurrent | None = Field(default=None, discriminator="kind")
    """A recurrent mixer on the same input as `mixer`, whose results are added (Falcon H1)."""
    input_norm: bool = True
    """A norm before the mixer (the first block of ModernBERT has none)."""
    extras: tuple[Extra, ...] = ()
    """Weights that belong to no mechanism above."""
    mtp: bool = False
    """A multi-token-prediction block: after the layers proper, not run in plain decoding."""

    @functools.cached_property
    def content_hash(self) -> int:
        """Hash of all fields, computed once: layers are keys of many tables."""
        return hash(tuple(getattr(self, name) for name in type(self).model_fields))

    def __hash__(self) -> int:
        return self.content_hash

    @property
    def attention(self) -> Attention:
        """The attention of a block that has one.

        Raises:
            UnsupportedArchitecture: it has none; such networks can be counted only.
        """
        if isinstance(self.mixer, Grouped | Latent):
            return self.mixer
        kind = self.mixer.kind if self.mixer else "none"
        raise UnsupportedArchitecture(
            f"no rules for memory and speed of blocks with mixer '{kind}'",
            hint="blocks of grouped or latent attention are known",
        )

    @property
    def feed_forward(self) -> FeedForward:
        """The feed-forward network of a block that has one.

        Raises:
            UnsupportedArchitecture: it has none; such networks can be counted only.
        """
        if self.network is not None:
            return self.network
        raise UnsupportedArchitecture(
            "no rules for memory and speed of blocks without a feed-forward network",
            hint="blocks of attention and a feed-forward network are known",
        )


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
    embedding_width: int | None = None
    """Channels of the token embedding where it is projected to the hidden state (OPT 350M)."""
    layers: tuple[Layer, ...]
    """Transformer blocks in order, MTP blocks last."""
    unconverted_mtp: tuple[Layer, ...] = ()
    """MTP blocks of the checkpoint that GGUF converters leave out (DeepSeek V3)."""
    mtp_own_embedding: bool = False
    """Whether MTP blocks carry their own embedding."""
    mtp_own_head: bool = False
    """Whether MTP blocks carry their own output projection."""
    mtp_norms: int = 3
    """Norms of an MTP block beside those of a block: of embedding, hidden state and result."""
    post_norms: bool = False
    """Extra norms after attention and feed-forward (gemma)."""
    parallel: bool = False
    """Attention and feed-forward side by side behind one norm (Command R)."""
    expert_norms: int = 0
    """Extra norms of a block with experts beside a dense network (Gemma 4)."""
    norm_bias: bool = False
    """Norms have a bias beside their weights (StarCoder 2)."""
    norm_weights: bool = True
    """Whether norms of the hidden state have weights at all (OLMo 1 has none)."""
    final_norm: bool = True
    """A norm behind the last block (OPT 350M has none)."""
    output_bias: bool = False
    """A bias on the output projection (Phi-3.5-MoE)."""
    layer_scale: bool = False
    """One learned factor per block (Gemma 4)."""
    residual_streams: int = 1
    """Hidden states carried side by side and mixed by learned weights (DeepSeek V4)."""
    streams_summed: bool = False
    """They are joined at the end without weights (GLM 5 Next)."""
    residual_attention: bool = False
    """A weighing of earlier residuals before each part of a block and the output (Kimi K3)."""
    extras: tuple[Extra, ...] = ()
    """Weights outside blocks that belong to no mechanism above."""
    decodes: bool = True
    """Whether it generates tokens one by one; embedding models and encoders keep no cache."""
    assumptions: tuple[str, ...] = ()
    """What the config does not say and was taken for granted, a sentence each."""

    @functools.cached_property
    def content_hash(self) -> int:
        """Hash of all fields, computed once."""
        return hash(tuple(getattr(self, name) for name in type(self).model_fields))

    def __hash__(self) -> int:
        return self.content_hash

    @functools.cached_property
    def depth(self) -> int:
        """Layers without MTP blocks."""
        return sum(not layer.mtp for layer in self.layers)

    @property
    def mtp_blocks(self) -> tuple[Layer, ...]:
        """All MTP blocks, also those that GGUF converters leave out."""
        return (*self.layers[self.depth :], *self.unconverted_mtp)

    @functools.cached_property
    def has_experts(self) -> bool:
        """Whether any block routes tokens to experts."""
        return any(isinstance(layer.network, MixtureOfExperts) for layer in self.layers)
