"""Families of dense networks that differ from Llama in biases, norms or a gate. Data only.

Model layer; sources as in `planner.model.families`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from planner.model.family import Family

_GPT2 = Family(
    gguf_name="gpt2",
    attention_bias=True,
    output_bias=True,
    mlp_bias=True,
    gated=False,
    tied=True,
    norm_bias=True,
    extras=("positions",),
)
_UNTIED = replace(_GPT2, tied=False, extras=())
_GPTJ = replace(
    _UNTIED,
    gguf_name="gptj",
    attention_bias=False,
    output_bias=False,
    parallel=True,
    head_bias=True,
)
_BIASED_LLAMA = Family(gguf_name="llama", attention_bias=True, output_bias=True)
_PLAIN = Family(gguf_name="llama")
_UNGATED = Family(gguf_name="arcee", output_bias=True, gated=False)

_GLM4 = Family(gguf_name="glm4", attention_bias=True, post_norms=True)
_QWEN2_VL = Family(gguf_name="qwen2vl", attention_bias=True, window=False)
_BERT = Family(
    gguf_name="bert",
    attention_bias=True,
    output_bias=True,
    mlp_bias=True,
    gated=False,
    tied=True,
    norm_bias=True,
    extras=("positions", "token_types", "embedding_norm", "encoder_head"),
)

CLASSIC: Mapping[str, Family] = MappingProxyType(
    {
        "gpt2": _GPT2,
        "gpt-sw3": _GPT2,
        "gpt_bigcode": replace(_GPT2, gguf_name="starcoder"),
        "gpt_neo": replace(_GPT2, gguf_name="gpt_neo", attention_bias=False),
        "gpt_neox": replace(_UNTIED, gguf_name="gptneox"),
        "gptj": _GPTJ,
        "codegen": replace(_GPTJ, gguf_name="codegen"),
        "bloom": replace(
            _GPT2,
            gguf_name="bloom",
            extras=("embedding_norm",),
            defaults=MappingProxyType({"max_position_embeddings": 2048}),
        ),
        "opt": replace(
            _GPT2, gguf_name="opt", extras=("positions_from_two", "embedding_projections")
        ),
        "biogpt": replace(_GPT2, gguf_name="biogpt", extras=("positions_from_two",)),
        "mpt": Family(gguf_name="mpt", gated=False, tied=True),
        "falcon": Family(
            gguf_name="falcon",
            output_bias=True,
            gated=False,
            tied=True,
            norm_bias=True,
            defaults=MappingProxyType({"max_position_embeddings": 2048}),
        ),
        "phi": replace(
            _UNTIED,
            gguf_name="phi2",
            parallel=True,
            head_bias=True,
            extras=("qk_layernorm",),
        ),
        "persimmon": replace(_UNTIED, gguf_name="persimmon", extras=("qk_layernorm",)),
        "stablelm": Family(gguf_name="stablelm", norm_bias=True, extras=("qk_layernorm_by_head",)),
        "nemotron": Family(gguf_name="nemotron", output_bias=True, gated=False, norm_bias=True),
        "jais2": replace(_UNTIED, gguf_name="jais2"),
        "olmo": Family(gguf_name="olmo", output_bias=True, norm_weights=False),
        "nanochat": replace(_UNGATED, gguf_name="nanochat", norm_weights=False),
        "arcee": _UNGATED,
        "apertus": replace(
            _UNGATED, gguf_name="apertus", qk_norm=True, extras=("learned_activation",)
        ),
        "apertus1p5_text": replace(
            _UNGATED, gguf_name="apertus", qk_norm=True, extras=("learned_activation",)
        ),
        "bitnet": Family(gguf_name="bitnet", output_bias=True, extras=("sub_norms",)),
        "diffllama": Family(
            gguf_name="diffllama", output_bias=True, extras=("difference_factors",)
        ),
        "helium": replace(_PLAIN, gguf_name="helium"),
        "cwm": replace(_PLAIN, gguf_name="cwm", output_bias=True),
        "iquestcoder": replace(_BIASED_LLAMA, gguf_name="iquestcoder"),
        "hyperclovax": Family(gguf_name="hyperclovax", output_bias=True, post_norms=True),
        "granite_docling_text": Family(gguf_name="granite", output_bias=True),
        "granite_swa": Family(gguf_name="granite_swa", output_bias=True, tied=True, sinks=True),
        "minicpm": Family(gguf_name="minicpm", tied=True),
        "minicpm3": Family(gguf_name="minicpm3", tied=True),
        "qwen": Family(gguf_name="qwen", attention_bias=True),
        "chatglm": Family(gguf_name="chatglm"),
        "baichuan": Family(gguf_name="baichuan"),
        "internlm": replace(_BIASED_LLAMA, attention_bias=False),
        "xverse": Family(gguf_name="xverse"),
        "Yi": _PLAIN,
        "yi": _PLAIN,
        "falcon3": _PLAIN,
        "glm4v_text": _GLM4,
        "glm46v_text": _GLM4,
        "glm_ocr_text": replace(_GLM4, attention_bias=False),
        "mllama_text_model": Family(
            gguf_name="mllama", output_bias=True, extras=("cross_gates", "image_rows")
        ),
        "muse_glimmer_text": Family(
            gguf_name="muse_glimmer",
            output_bias=True,
            post_norms=True,
            output_gate=True,
            gate_apart=True,
        ),
        "paddleocr_vl_text": Family(gguf_name="paddleocr", output_bias=True, tied=True),
        "phi3_v": Family(gguf_name="phi3"),
        "phi4_multimodal": Family(gguf_name="phi3"),
        "phi4mm": Family(gguf_name="phi3"),
        "qwen2_vl": _QWEN2_VL,
        "qwen2_vl_text": _QWEN2_VL,
        "qwen2_5_vl": _QWEN2_VL,
        "qwen2_5_vl_text": _QWEN2_VL,
        "qwen2_5_omni_text": _QWEN2_VL,
        "vaultgemma": Family(
            gguf_name="vaultgemma", output_bias=True, tied=True, full_attention_every=2
        ),
        "youtu": Family(gguf_name="deepseek2", output_bias=True, tied=True),
    }
)
"""`model_type` to its family."""

ENCODERS: Mapping[str, Family] = MappingProxyType(
    {
        "bert": _BERT,
        "camembert": _BERT,
        "data2vec-text": _BERT,
        "roberta": _BERT,
        "xlm-roberta": _BERT,
        "modernbert": Family(
            gguf_name="modern-bert",
            tied=True,
            full_attention_every=3,
            extras=("embedding_norm_plain", "modern_head"),
        ),
    }
)
"""Networks that read text and write none."""
