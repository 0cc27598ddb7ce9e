"""Mixers that keep a state of constant size in place of a cache that grows. Data only."""

from __future__ import annotations

from typing import Literal

from planner.values import Value


class GatedDelta(Value):
    """Gated DeltaNet (Qwen3-Next, Qwen3.5)."""

    kind: Literal["gated_delta"] = "gated_delta"
    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    """Tokens of the short convolution."""


class KimiDelta(Value):
    """Kimi Delta Attention: a decay per channel."""

    kind: Literal["kimi_delta"] = "kimi_delta"
    heads: int
    head_dim: int
    kernel: int
    full_rank_gate: bool = False
    """Whether the output gate is one matrix, not two of low rank."""
    full_rank_decay: bool = False
    """The same of the decay (Ling 2.5)."""


class Lightning(Value):
    """Linear attention with an output gate and fixed decays (MiniMax-Text-01)."""

    kind: Literal["lightning"] = "lightning"
    heads: int
    head_dim: int


class Mamba(Value):
    """A selective state space of the first generation (Mamba, Jamba)."""

    kind: Literal["mamba"] = "mamba"
    inner: int
    state: int
    rank: int
    """Of the step-size projection."""
    kernel: int
    norms: bool = True
    """Norms on the step size and both inputs of the state (Jamba)."""
    conv_bias: bool = True
    bias: bool = False
    """Biases on the projections into and out of it."""


class Mamba2(Value):
    """A selective state space of the second generation (Nemotron-H, Granite 4)."""

    kind: Literal["mamba2"] = "mamba2"
    heads: int
    head_dim: int
    groups: int
    state: int
    kernel: int
    conv_bias: bool = True
    bias: bool = False
    """A bias on the projection into it."""
    output_bias: bool = False
    norm: bool = True
    """A norm with weights before the projection out of it (Falcon H1 has none)."""


class ShortConvolution(Value):
    """A gated convolution over the last tokens, and nothing else (LFM2)."""

    kind: Literal["short_convolution"] = "short_convolution"
    channels: int
    kernel: int
    bias: bool = False
    """On the convolution and both projections."""


class GatedRecurrence(Value):
    """A gated linear recurrence of one number per channel, RG-LRU (RecurrentGemma)."""

    kind: Literal["gated_recurrence"] = "gated_recurrence"
    width: int
    heads: int
    """Blocks of its two gates' matrices."""
    kernel: int


Recurrent = GatedDelta | KimiDelta | Lightning | Mamba | Mamba2 | ShortConvolution | GatedRecurrence
