"""Traits of the networks of one `model_type` that no field of a config.json says. Model layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Traits of the networks of one `model_type`."""

    gguf_name: str
    """`general.architecture` of its GGUF files; the `model_type` where llama.cpp has none."""
    gguf_moe_name: str = ""
    """The same where the network has experts, if that is another one (Nemotron-H)."""
    defaults: Mapping[str, int] = field(default_factory=dict)
    """Fields that published configs leave out because they are the reference module's own."""
    attention_bias: bool = False
    """Bias on Q, K and V where no field says."""
    output_bias: bool = False
    """Whether a bias on Q, K and V comes with one on the output projection."""
    mlp_bias: bool = False
    """Bias in the dense network where no field says."""
    gated: bool = True
    """Whether the dense network has a gate."""
    qk_norm: bool = False
    """Norm on Q and K where no field says; families without such a norm ignore the field."""
    qk_norm_weights: bool = True
    """Whether that norm has weights at all (Llama 4 has none)."""
    qk_norm_spans_heads: bool = False
    sinks: bool = False
    head_gate: bool = False
    output_gate: bool = False
    gate_apart: bool = False
    """Whether that gate is a matrix of its own, without a bias."""
    sliding_heads: int | None = None
    """Query heads of sliding-window layers where `attention_other_setting` is not given."""
    tied: bool = False
    """Tied output where `tie_word_embeddings` is not given."""
    post_norms: bool = False
    parallel: bool = False
    norm_bias: bool = False
    norm_weights: bool = True
    """Whether norms of the hidden state have weights."""
    head_bias: bool = False
    """Bias on the output projection where `lm_head_bias` is not given."""
    extras: tuple[str, ...] = ()
    """Weights of this family only, by their names in `planner.model.config_extras`."""
    streams_summed: bool = False
    layer_scale: bool = False
    window: bool = True
    """Whether `sliding_window` holds where `use_sliding_window` is not given."""
    full_attention_every: int | None = None
    """Where `layer_types` is not given, every so-manieth layer looks at all tokens, the others
    at the window; None is no window unless the config lists them."""
    router_bias: bool = False
    expert_bias: bool = False
    score_bias: bool = False
    """Selection bias per expert where `topk_method` does not say."""
    shared_experts: int = 0
    """Shared experts where no field says."""
    shared_gate: bool = False
    dense_beside_experts: bool = False
    """Every block with experts runs a dense network beside them."""
    dense_first: int = 0
    """Blocks without experts at the start where no field says."""
    two_in_one: bool = False
    """A layer of the config is two blocks, the first with experts beside its dense network."""
    mtp_blocks: int = 0
    """MTP blocks where no field says."""
    mtp_dense: bool = False
    """MTP blocks have no experts."""
    mtp_sliding: bool = False
    """MTP blocks look at the window."""
    mtp_norms: int = 3
    mtp_own_embedding: bool = False
    mtp_own_head: bool = False
    gguf_has_mtp: bool = False
    """Whether the GGUF converter keeps MTP blocks."""

    @property
    def gguf_name_with_experts(self) -> str:
        """`general.architecture` of its GGUF files with experts."""
        return self.gguf_moe_name or self.gguf_name
