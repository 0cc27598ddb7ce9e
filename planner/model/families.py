"""What no field of a config.json says about networks of one `model_type`. Data only.

Model layer. Sources: the reference modules of Hugging Face transformers 5.24 for traits (for those
that are not in it, the remote code of the publisher, confirmed by the exact total), the converters
of llama.cpp b11434 (conversion/) and gguf 0.19 (MODEL_ARCH_NAMES) for GGUF names and MTP blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from planner.model.families_dense import CLASSIC, ENCODERS
from planner.model.families_more import EXPERTS, RECURRENT
from planner.model.family import Family as Family

_LLAMA = Family(gguf_name="llama", output_bias=True)
_MISTRAL = Family(gguf_name="llama")
_QWEN2 = Family(gguf_name="qwen2", attention_bias=True, window=False)
_QWEN3 = Family(gguf_name="qwen3", output_bias=True, qk_norm=True, window=False)
_GEMMA2 = Family(gguf_name="gemma2", tied=True, post_norms=True, full_attention_every=2)
_COHERE = Family(
    gguf_name="command-r", output_bias=True, qk_norm_spans_heads=True, tied=True, parallel=True
)
_OLMO2 = Family(gguf_name="olmo2", output_bias=True, qk_norm=True, qk_norm_spans_heads=True)
_DEEPSEEK_V2 = Family(gguf_name="deepseek2", mtp_own_embedding=True, mtp_own_head=True)
_DEEPSEEK = replace(_DEEPSEEK_V2, score_bias=True)
_GLM_MLA = Family(gguf_name="glm-dsa", score_bias=True)
_SCORED = Family(gguf_name="dots1", output_bias=True, qk_norm=True, score_bias=True)
_STEP = Family(
    gguf_name="step35",
    output_bias=True,
    qk_norm=True,
    head_gate=True,
    sliding_heads=96,
    score_bias=True,
    dense_first=3,
    mtp_dense=True,
    mtp_sliding=True,
    mtp_own_head=True,
)

_MINIMAX_M3 = Family(gguf_name="minimax_m3", qk_norm=True, score_bias=True, dense_first=3)

_MIMO_V2 = Family(gguf_name="mimo2", sinks=True, mtp_blocks=3, mtp_dense=True, mtp_sliding=True)

_DENSE = {
    "llama": _LLAMA,
    "mistral": _MISTRAL,
    "ministral3": replace(_MISTRAL, gguf_name="mistral3"),
    "qwen2": _QWEN2,
    "qwen3": _QWEN3,
    "qwen3_vl_text": replace(_QWEN3, gguf_name="qwen3vl"),
    "mimo": _QWEN2,
    "phi3": Family(gguf_name="phi3"),
    "smollm3": Family(gguf_name="smollm3", output_bias=True, tied=True, window=False),
    "seed_oss": Family(gguf_name="seed_oss", attention_bias=True),
    "granite": Family(gguf_name="granite", output_bias=True),
    "internlm2": Family(gguf_name="internlm2", output_bias=True),
    "internlm3": Family(gguf_name="llama", output_bias=True),
    "PanguEmbedded": Family(gguf_name="pangu-embedded", attention_bias=True, output_bias=True),
    "ernie4_5": Family(gguf_name="ernie4_5", output_bias=True, tied=True),
    "hunyuan_v1_dense": Family(gguf_name="hunyuan-dense", output_bias=True, qk_norm=True),
    "exaone": Family(gguf_name="exaone", output_bias=True),
    "exaone4": Family(gguf_name="exaone4", qk_norm=True),
    "olmo2": _OLMO2,
    "olmo3": replace(_OLMO2, full_attention_every=4),
    "glm": Family(gguf_name="chatglm", attention_bias=True),
    "glm4": Family(gguf_name="glm4", attention_bias=True, post_norms=True),
    "gemma": Family(gguf_name="gemma", output_bias=True, tied=True),
    "gemma2": replace(_GEMMA2, output_bias=True),
    "gemma3_text": replace(
        _GEMMA2,
        gguf_name="gemma3",
        defaults=MappingProxyType(
            {
                "head_dim": 256,
                "max_position_embeddings": 131072,
                "num_attention_heads": 8,
                "num_key_value_heads": 4,
                "vocab_size": 262208,
            }
        ),
        output_bias=True,
        qk_norm=True,
        full_attention_every=6,
    ),
    "cohere": _COHERE,
    "cohere2": replace(_COHERE, gguf_name="cohere2", full_attention_every=4),
    "starcoder2": Family(
        gguf_name="starcoder2",
        attention_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated=False,
        tied=True,
        norm_bias=True,
    ),
}
"""Dense networks."""

_GROUPED_EXPERTS = {
    "mixtral": _MISTRAL,
    "phimoe": Family(gguf_name="phimoe", output_bias=True, norm_bias=True),
    "qwen2_moe": replace(_QWEN2, gguf_name="qwen2moe", shared_gate=True),
    "qwen3_moe": replace(_QWEN3, gguf_name="qwen3moe"),
    "qwen3_vl_moe_text": replace(_QWEN3, gguf_name="qwen3vlmoe"),
    "granitemoe": Family(gguf_name="granitemoe", output_bias=True),
    "olmoe": Family(gguf_name="olmoe", output_bias=True, qk_norm=True, qk_norm_spans_heads=True),
    "dots1": _SCORED,
    "bailing_moe_v2": replace(_SCORED, gguf_name="bailingmoe2"),
    "hy_v3": replace(_SCORED, gguf_name="hy_v3", shared_experts=1),
    "sarvam_moe": replace(_SCORED, gguf_name="bailingmoe2", output_bias=False),
    "solar_open": replace(_SCORED, gguf_name="glm4moe", output_bias=False, qk_norm=False),
    "ernie4_5_moe": Family(
        gguf_name="ernie4_5-moe",
        output_bias=True,
        tied=True,
        score_bias=True,
        mtp_dense=True,
        mtp_norms=2,
    ),
    "hunyuan_v1_moe": Family(
        gguf_name="hunyuan-moe", output_bias=True, qk_norm=True, shared_experts=1
    ),
    "minimax_m2": Family(
        gguf_name="minimax-m2", qk_norm=True, qk_norm_spans_heads=True, score_bias=True
    ),
    "minimax_m3": _MINIMAX_M3,
    "minimax_m3_vl": _MINIMAX_M3,
    "glm4_moe": Family(
        gguf_name="glm4moe",
        attention_bias=True,
        score_bias=True,
        gguf_has_mtp=True,
        mtp_own_embedding=True,
        mtp_own_head=True,
    ),
    "gpt_oss": Family(
        gguf_name="gpt-oss",
        attention_bias=True,
        output_bias=True,
        sinks=True,
        full_attention_every=2,
        router_bias=True,
        expert_bias=True,
    ),
    "grok2": Family(gguf_name="grok", post_norms=True, dense_beside_experts=True),
    "llama4_text": Family(
        gguf_name="llama4",
        output_bias=True,
        qk_norm_weights=False,
        full_attention_every=4,
        shared_experts=1,
    ),
    "mimo_v2": _MIMO_V2,
    "mimo_v2_flash": _MIMO_V2,
    "step3p5": _STEP,
    "step3p7": _STEP,
}
"""Grouped attention with experts, or with layers of unlike shape."""

_LATENT_EXPERTS = {
    "deepseek": Family(gguf_name="deepseek"),
    "deepseek_v2": _DEEPSEEK_V2,
    "deepseek_v3": _DEEPSEEK,
    "deepseek_v32": replace(_DEEPSEEK, gguf_name="deepseek_v32"),
    "kimi_k2": _DEEPSEEK,
    "glm_moe_dsa": _GLM_MLA,
    "glm4_moe_lite": replace(
        _GLM_MLA, gguf_name="deepseek2", mtp_own_embedding=True, mtp_own_head=True
    ),
    "mistral4": Family(gguf_name="mistral4"),
    "sarvam_mla": replace(_GLM_MLA, gguf_name="sarvam_mla"),
    "deepseek_ref": Family(gguf_name="deepseek_v4", score_bias=True),
    "deepseek_v4": Family(gguf_name="deepseek_v4", score_bias=True),
    "longcat_flash": Family(
        gguf_name="longcat_flash",
        score_bias=True,
        two_in_one=True,
        mtp_dense=True,
        mtp_own_embedding=True,
    ),
}
"""Latent attention with experts."""

_QWEN_NEXT = Family(
    gguf_name="qwen3next",
    output_bias=True,
    qk_norm=True,
    output_gate=True,
    shared_gate=True,
    window=False,
    mtp_blocks=1,
)
_QWEN35_MOE = replace(_QWEN_NEXT, gguf_name="qwen35moe")
_MINIMAX_TEXT = Family(gguf_name="minimax")

_HYBRIDS = {
    "qwen3_next": _QWEN_NEXT,
    "qwen3_5_text": replace(_QWEN_NEXT, gguf_name="qwen35"),
    "qwen3_5_moe_text": _QWEN35_MOE,
    "kimi_linear": Family(gguf_name="kimi-linear", score_bias=True),
    "minimax": _MINIMAX_TEXT,
    "minimax_m1": _MINIMAX_TEXT,
    "minimax_text_01": _MINIMAX_TEXT,
    "jamba": Family(gguf_name="jamba"),
    "granitemoehybrid": Family(gguf_name="granitehybrid", output_bias=True, tied=True),
    "nemotron_h": Family(
        gguf_name="nemotron_h",
        gguf_moe_name="nemotron_h_moe",
        output_bias=True,
        gated=False,
        score_bias=True,
    ),
    "nemotron-nas": Family(gguf_name="deci"),
}
"""Networks with recurrent blocks, or blocks that leave a part out."""

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        **_DENSE,
        **CLASSIC,
        **ENCODERS,
        **_GROUPED_EXPERTS,
        **_LATENT_EXPERTS,
        **EXPERTS,
        **_HYBRIDS,
        **RECURRENT,
    }
)
"""`model_type` to its family."""
