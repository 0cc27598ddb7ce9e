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


class Lightning(Value):
    """Linear attention with an output gate and fixed decays (MiniMax-Text-01)."""

    kind: Literal["lightning"] = "lightning"
    heads: int
    head_dim: int


class Mamba(Value):
    """A selective state space of the first generation, with norms on its inputs (Jamba)."""

    kind: Literal["mamba"] = "mamba"
    inner: int
    state: int
    rank: int
    """Of the step-size projection."""
    kernel: int


class Mamba2(Value):
    """A selective state space of the second generation (Nemotron-H, Granite 4)."""

    kind: Literal["mamba2"] = "mamba2"
    heads: int
    head_dim: int
    groups: int
    state: int
    kernel: int
    conv_bias: bool = True


Recurrent = GatedDelta | KimiDelta | Lightning | Mamba | Mamba2
