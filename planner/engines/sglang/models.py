"""Which networks SGLang serves, by `model_type`, and which of them it cannot pipeline.

Engines layer. Derived from the wheel sglang 0.5.23, PyPI, 2026-11-25, for every type of
`planner.model.families`:

1. A type's classes: what `models/auto/modeling_auto.py` of transformers 5.19.0 (the one this SGLang
   takes) maps it to, for a text part the classes of the models it is part of, and `architectures`
   of published configs; for publishers' own code the class they name.
2. Served: one of these is an `EntryClass` of a module in `srt/models`.
3. A class that only Transformers has is served by `srt/models/transformers.py` where it is a text
   network of plain attention in every block that supports other attention backends, and its config
   class has a plan of tensor parallelism. That module knows no latent cache, so latent attention
   is not served by it. Types that transformers 5.19.0 does not know are not served.
4. Pipelined: `forward` of the class, or of its nearest base with one, takes `pp_proxy_tensors`
   (`srt/model_executor/model_runner.py` asserts it). The Transformers backend is, with a plan.
   Where a type has two classes (Llama 4 and Step 3.7 with and without their tower), the published
   one counts.
"""

from __future__ import annotations

VERSION = "0.5.23"


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


_NEVER = _types(
    """
    PanguEmbedded Yi apertus1p5_text aria_text axk1 bamba biogpt bitnet bloom codegen diffllama
    falcon falcon3 flint glm46v_text gpt_neo granite_docling_text internlm jamba kolibri1 lara_mini
    lfm3 minimax minimax_m1 minimax_text_01 mpt nemotron olmo_hybrid phi3_v phi4_multimodal
    qwen2_5_omni_text recurrent_gemma yi youtu
    """
)
"""Types it does not serve."""

_NO_PIPELINE = _types(
    """
    afmoe baichuan chatglm cohere cohere2 cohere2_moe dbrx deepseek ernie4_5_moe exaone falcon_h1
    falcon_mamba gemma gemma2 gemma3_text gemma3n_text gemma4_unified_text gpt-sw3 gpt2 gpt_bigcode
    gptj granite granite_swa granitemoe granitemoe_swa granitemoeshared grok2 hunyuan_v1_dense
    hunyuan_v1_moe hy_v3 inkling_text internlm2 lfm2 lfm2_moe llama4_text longcat_flash mamba
    mamba2 mimo minicpm minicpm3 mllama_text_model muse_glimmer_text nanochat olmo olmo2 olmoe
    paddleocr_vl_text persimmon phi phi4mm phimoe qwen qwen2_vl qwen2_vl_text qwen3_next
    qwen3_omni_moe_text stablelm starcoder2 step3p7 xverse
    """
)

_BY_TRANSFORMERS = _types(
    """
    cwm dots1 ernie4_5 flex_olmo glm gpt_neox helium hyperclovax jais2 nanochat olmo3 seed_oss
    smollm3 solar_open vaultgemma
    """
)


def unsupported(model_type: str, version: str = VERSION) -> str | None:
    """Why SGLang does not serve networks of a type; None where it does, or nobody knows.

    Args:
        model_type: of the text network, as its config.json says.
        version: the sentence is about; the one read counts for all.
    """
    if model_type in _NEVER:
        return f"SGLang {version} does not serve networks of type '{model_type}'"
    return None


def no_pipeline(model_type: str) -> bool:
    """Whether networks of a type cannot be split into pipeline stages."""
    return model_type in _NO_PIPELINE


def by_transformers(model_type: str) -> bool:
    """Whether it has no class of its own and serves a type by Transformers' modules.

    Its linear layers are split by Transformers' plan, and what the plan leaves out is on every
    rank, so bytes per rank may be more than those of a class of its own.
    """
    return model_type in _BY_TRANSFORMERS
