"""What GGUF files call the parts of a network, as tables. Model layer; data only.

A part's role is `planner.model.part.Part.role`. Names: MODEL_TENSORS of the PyPI package gguf
0.19.0; which of them an architecture has: llama.cpp b11434, src/models and conversion/.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

GGUF_NAMES = (
    "llama",
    "llama4",
    "mistral3",
    "mistral4",
    "deepseek2",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "qwen3vl",
    "qwen3vlmoe",
    "phi3",
    "phimoe",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma4",
    "command-r",
    "cohere2",
    "olmo2",
    "olmoe",
    "exaone",
    "exaone4",
    "granite",
    "granitemoe",
    "chatglm",
    "glm4",
    "glm4moe",
    "ernie4_5",
    "ernie4_5-moe",
    "hunyuan-dense",
    "hunyuan-moe",
    "hy_v3",
    "bailingmoe2",
    "dots1",
    "minimax-m2",
    "seed_oss",
    "smollm3",
    "starcoder2",
    "internlm2",
    "pangu-embedded",
    "grok",
    "mimo2",
    "step35",
    "gpt-oss",
    "afmoe",
    "arcee",
    "baichuan",
    "bailingmoe",
    "dbrx",
    "exaone-moe",
    "jais2",
    "mellum",
    "minicpm",
    "nemotron",
    "olmo",
    "paddleocr",
    "phi2",
    "qwen",
    "qwen2vl",
    "stablelm",
    "xverse",
)
"""GGUF architectures whose blocks are attention and a feed-forward network."""

FRAME: Mapping[str, str] = MappingProxyType(
    {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
)
"""Role of a part outside blocks to its name."""

BLOCK: Mapping[str, str] = MappingProxyType(
    {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "self_attn.sinks": "attn_sinks",
        "self_attn.g_proj": "attn_gate",
        "self_attn.gate_proj": "attn_gate",
        "self_attn.q_a_proj": "attn_q_a",
        "self_attn.q_a_layernorm": "attn_q_a_norm",
        "self_attn.q_b_proj": "attn_q_b",
        "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
        "self_attn.kv_a_layernorm": "attn_kv_a_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "mlp.gate": "ffn_gate_inp",
        "mlp.experts.gate_proj": "ffn_gate_exps",
        "mlp.experts.up_proj": "ffn_up_exps",
        "mlp.experts.down_proj": "ffn_down_exps",
        "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
        "mlp.shared_experts.up_proj": "ffn_up_shexp",
        "mlp.shared_experts.down_proj": "ffn_down_shexp",
        "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
        "mtp.eh_proj": "nextn.eh_proj",
        "mtp.enorm": "nextn.enorm",
        "mtp.hnorm": "nextn.hnorm",
        "mtp.shared_head.norm": "nextn.shared_head_norm",
        "mtp.shared_head.head": "nextn.shared_head_head",
        "mtp.embed_tokens": "nextn.embed_tokens",
    }
)
"""Role of a part of a block to its name, before `.weight` or `.bias`."""

WHOLE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "mlp.gate.e_score_correction_bias": "exp_probs_b.bias",
        "mlp.gate.scale": "ffn_gate_inp.scale",
        "mlp.gate.per_expert_scale": "ffn_down_exps.scale",
    }
)
"""Role to the whole name within a block, where it is not by the rule."""

POST_NORMS: Mapping[str, str] = MappingProxyType(
    {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    }
)
"""Norms of networks that have them before and after both parts of a block."""

_AFTER_ONLY = {
    "input_layernorm": "post_attention_norm",
    "post_attention_layernorm": "post_ffw_norm",
}
_BETWEEN = {"post_attention_layernorm": "post_attention_norm"}

OWN_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "olmo2": _AFTER_ONLY,
        "exaone4": _AFTER_ONLY,
        "gemma4": {
            "layer_scalar": "layer_output_scale",
            "experts_layernorm_1": "post_ffw_norm_1",
            "experts_layernorm_2": "pre_ffw_norm_2",
            "experts_layernorm_3": "post_ffw_norm_2",
        },
        "gpt-oss": _BETWEEN,
        "glm4moe": _BETWEEN,
        "seed_oss": _BETWEEN,
        "dbrx": {"post_attention_layernorm": "attn_output_norm"},
        "grok": {"post_attention_layernorm": "attn_output_norm"},
        "stablelm": {
            "self_attn.q_layernorm": "attn_q_norm",
            "self_attn.k_layernorm": "attn_k_norm",
        },
        "hy_v3": {"mlp.gate.e_score_correction_bias": "exp_probs_b"},
    }
)
"""Architecture to what it calls otherwise; OLMo 2 and EXAONE 4 have their norms on outputs."""

_ONE_QKV = (("attn_q", "attn_k", "attn_v"), "attn_qkv")
_ONE_GATE_UP = (("ffn_gate", "ffn_up"), "ffn_up")

FUSED: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = MappingProxyType(
    {
        "phi3": (_ONE_QKV, _ONE_GATE_UP),
        "bailingmoe2": (_ONE_QKV,),
        "gemma4": ((("ffn_gate_exps", "ffn_up_exps"), "ffn_gate_up_exps"),),
        "dbrx": (_ONE_QKV,),
        "qwen": (_ONE_QKV,),
        "chatglm": (_ONE_GATE_UP,),
        "glm4": (_ONE_GATE_UP,),
    }
)
"""Architecture to the matrices that its files keep in one, and the name of that one."""

NORMS_BY_HEAD = ("command-r", "stablelm")
"""Architectures whose norms over all heads are stored with a dimension for the heads."""

HALF_FEED_FORWARD = ("qwen",)
"""Architectures whose `feed_forward_length` is that of gate and up together."""
