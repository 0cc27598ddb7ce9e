"""What GGUF files call the weights of recurrent mixers and of blocks with a part missing.

Model layer: tables beside those of `planner.model.gguf_roles`, for architectures that keep a state
in some of their blocks, or that leave attention or the feed-forward network out of some. Names:
MODEL_TENSORS of the PyPI package gguf 0.19.0; shapes and which of them an architecture has:
llama.cpp b11434, src/models and conversion/.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from planner.model.architecture import Layer
from planner.model.components import Component
from planner.model.part import Part, Shape
from planner.model.recurrent import KimiDelta, Mamba2

HYBRIDS = (
    "qwen3next",
    "qwen35",
    "qwen35moe",
    "kimi-linear",
    "jamba",
    "granitehybrid",
    "nemotron_h",
    "nemotron_h_moe",
    "deci",
)
"""GGUF architectures with recurrent blocks, or with blocks that leave a part out."""

_STATE_SPACE = {
    "mamba.in_proj": "ssm_in.weight",
    "mamba.conv1d": "ssm_conv1d.weight",
    "mamba.conv1d.bias": "ssm_conv1d.bias",
    "mamba.x_proj": "ssm_x.weight",
    "mamba.dt_layernorm": "ssm_dt_norm.weight",
    "mamba.b_layernorm": "ssm_b_norm.weight",
    "mamba.c_layernorm": "ssm_c_norm.weight",
    "mamba.dt_proj": "ssm_dt.weight",
    "mamba.dt_proj.bias": "ssm_dt.bias",
    "mamba.dt_bias": "ssm_dt.bias",
    "mamba.A_log": "ssm_a",
    "mamba.D": "ssm_d",
    "mamba.norm": "ssm_norm.weight",
    "mamba.out_proj": "ssm_out.weight",
}
_GATED_DELTA = {
    "linear_attn.in_proj_qkv": "attn_qkv.weight",
    "linear_attn.in_proj_z": "attn_gate.weight",
    "linear_attn.in_proj_b": "ssm_beta.weight",
    "linear_attn.in_proj_a": "ssm_alpha.weight",
    "linear_attn.conv1d": "ssm_conv1d.weight",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.dt_bias": "ssm_dt.bias",
    "linear_attn.norm": "ssm_norm.weight",
    "linear_attn.out_proj": "ssm_out.weight",
}
_KIMI_DELTA = {
    "self_attn.q_conv1d": "ssm_conv1d_q.weight",
    "self_attn.k_conv1d": "ssm_conv1d_k.weight",
    "self_attn.v_conv1d": "ssm_conv1d_v.weight",
    "self_attn.A_log": "ssm_a",
    "self_attn.dt_bias": "ssm_dt.bias",
    "self_attn.f_a_proj": "ssm_f_a.weight",
    "self_attn.f_b_proj": "ssm_f_b.weight",
    "self_attn.b_proj": "ssm_beta.weight",
    "self_attn.g_a_proj": "ssm_g_a.weight",
    "self_attn.g_b_proj": "ssm_g_b.weight",
    "self_attn.o_norm": "ssm_norm.weight",
}

RECURRENT: Mapping[str, str] = MappingProxyType(_STATE_SPACE | _GATED_DELTA | _KIMI_DELTA)
"""Role of a part that only recurrent mixers have to its whole name within a block."""

_LATENT_EXPERTS = {"mlp.fc1_latent_proj": "ffn_latent_down", "mlp.fc2_latent_proj": "ffn_latent_up"}
_ONE_NORM = {"post_attention_layernorm": "attn_norm"}
_NORM_BETWEEN = {"post_attention_layernorm": "post_attention_norm"}

HYBRID_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "qwen3next": _NORM_BETWEEN,
        "qwen35": _NORM_BETWEEN,
        "qwen35moe": _NORM_BETWEEN,
        "nemotron_h": _ONE_NORM,
        "nemotron_h_moe": _ONE_NORM | _LATENT_EXPERTS,
    }
)
"""Architecture to what it calls otherwise than others do, as `OWN_NAMES` of `gguf_roles`."""

HYBRID_FUSED: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = MappingProxyType(
    {"qwen3next": ((("ssm_beta", "ssm_alpha"), "ssm_ba"),)}
)
"""Architecture to the matrices that its files keep in one, as `FUSED` of `gguf_roles`."""


def recurrent_row(layer: Layer, part: Part) -> tuple[str, Shape, Component] | None:
    """Name within the block, shape in ggml order and component; None is no part of a recurrence.

    Kimi's convolutions have an empty dimension between kernel and channels; tables of one number
    per head are rows of length 1, in Mamba 2 and Kimi; its norm is stored group by group.
    """
    name = RECURRENT.get(part.role)
    if name is None:
        return None
    mixer, shape = layer.mixer, part.shape[::-1]
    match mixer:
        case KimiDelta() if name.startswith("ssm_conv1d"):
            shape = (shape[0], 1, shape[1])
        case KimiDelta() if name == "ssm_a":
            shape = (1, *shape)
        case Mamba2() if name in ("ssm_a", "ssm_d"):
            shape = (1, *shape)
        case Mamba2() if name == "ssm_norm.weight":
            shape = (shape[0] // mixer.groups, mixer.groups)
        case _:
            pass
    return name, shape, part.component
