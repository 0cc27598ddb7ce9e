"""More families of networks with experts or with recurrent blocks. Data only.

Model layer; sources as in `planner.model.families`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from planner.model.family import Family

_UNBOUNDED = MappingProxyType({"max_position_embeddings": 1 << 20})
"""Recurrent networks have no longest context; llama.cpp's converter writes this one for Mamba."""

_GRANITE = Family(gguf_name="granitemoe", output_bias=True)
_SANDWICH = Family(
    gguf_name="afmoe", output_bias=True, qk_norm=True, post_norms=True, score_bias=True
)
_NORMED = Family(gguf_name="qwen3moe", output_bias=True, qk_norm=True)
_LFM2 = Family(gguf_name="lfm2", qk_norm=True, tied=True)
_GEMMA4 = Family(
    gguf_name="gemma4",
    tied=True,
    post_norms=True,
    qk_norm=True,
    output_bias=True,
    layer_scale=True,
    full_attention_every=6,
)

EXPERTS: Mapping[str, Family] = MappingProxyType(
    {
        "afmoe": replace(_SANDWICH, output_gate=True, gate_apart=True),
        "aria_text": Family(gguf_name="aria_text", output_bias=True),
        "axk1": Family(
            gguf_name="axk1",
            score_bias=True,
            post_norms=False,
            extras=("expert_result_norm",),
        ),
        "beam": replace(
            _SANDWICH, gguf_name="beam", output_gate=True, gate_apart=True, extras=("gate_bias",)
        ),
        "bailing_moe": Family(gguf_name="bailingmoe", output_bias=True),
        "cohere2_moe": Family(
            gguf_name="cohere2_moe",
            output_bias=True,
            tied=True,
            parallel=True,
            full_attention_every=4,
        ),
        "dbrx": Family(gguf_name="dbrx"),
        "exaone_moe": Family(gguf_name="exaone-moe", qk_norm=True, score_bias=True),
        "flex_olmo": Family(
            gguf_name="flex_olmo", output_bias=True, qk_norm=True, qk_norm_spans_heads=True
        ),
        "flint": replace(_NORMED, gguf_name="flint", sinks=True),
        "gemma4_text": replace(_GEMMA4, extras=("per_layer_embeddings",)),
        "gemma4_unified_text": replace(_GEMMA4, extras=("per_layer_embeddings",)),
        "gemma3n_text": replace(
            _GEMMA4,
            gguf_name="gemma3n",
            layer_scale=False,
            full_attention_every=5,
            extras=("per_layer_embeddings", "altup", "laurel"),
        ),
        "glm4v_moe_text": Family(gguf_name="glm4moe", attention_bias=True, score_bias=True),
        "granitemoe_swa": replace(_GRANITE, gguf_name="granitemoe_swa", sinks=True),
        "granitemoeshared": _GRANITE,
        "inkling_text": Family(
            gguf_name="inkling",
            qk_norm=True,
            score_bias=True,
            extras=("short_convolutions", "embedding_norm_plain"),
        ),
        "kolibri1": replace(_SANDWICH, gguf_name="kolibri1"),
        "lara_mini": replace(_NORMED, gguf_name="lara_mini", tied=True),
        "laguna": Family(
            gguf_name="laguna", output_bias=True, qk_norm=True, score_bias=True, head_gate=True
        ),
        "qwen3_omni_moe_text": _NORMED,
        "mellum": replace(_NORMED, gguf_name="mellum"),
        "minimax_m3_vl_text": Family(gguf_name="minimax_m3", qk_norm=True, score_bias=True),
    }
)
"""Networks with experts."""

_QWEN4 = Family(
    gguf_name="qwen4_exp",
    output_bias=True,
    qk_norm=True,
    output_gate=True,
    shared_gate=True,
    norm_weights=False,
    extras=("hyper_connections", "ngram_embedding"),
)

RECURRENT: Mapping[str, Family] = MappingProxyType(
    {
        "bamba": Family(gguf_name="granitehybrid", output_bias=True),
        "bailing_hybrid": Family(gguf_name="bailing_hybrid", score_bias=True, head_gate=True),
        "falcon_h1": Family(gguf_name="falcon-h1", output_bias=True),
        "falcon_mamba": Family(gguf_name="mamba", defaults=_UNBOUNDED, tied=True),
        "glm5_next_text": Family(
            gguf_name="glm5_next",
            score_bias=True,
            streams_summed=True,
            extras=("pooled_index",),
        ),
        "lfm2": _LFM2,
        "lfm3": replace(_LFM2, gguf_name="lfm3", output_bias=True),
        "lfm2_moe": replace(_LFM2, gguf_name="lfm2moe"),
        "mamba": Family(gguf_name="mamba", defaults=_UNBOUNDED, tied=True),
        "mamba2": Family(gguf_name="mamba2", defaults=_UNBOUNDED),
        "olmo_hybrid": Family(
            gguf_name="olmo_hybrid", output_bias=True, qk_norm=True, qk_norm_spans_heads=True
        ),
        "qwen4_exp_text": _QWEN4,
        "recurrent_gemma": Family(
            gguf_name="recurrent_gemma", tied=True, mlp_bias=True, defaults=_UNBOUNDED
        ),
    }
)
"""Networks with recurrent blocks."""
