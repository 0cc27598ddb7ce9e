"""Types of KV cache that engines have, and what of devices and models they need. Engines layer."""

from __future__ import annotations

from collections.abc import Iterator

from planner.engines.capabilities import VLLM, capability, dotted
from planner.engines.grid import Options
from planner.engines.pages import LATENT_BYTES, KvType
from planner.engines.releases import release
from planner.engines.rules_shared import Case, mixers
from planner.model.architecture import Architecture, Grouped, Latent
from planner.quantization.scheme import Scheme

AMPERE = (8, 0)
FLASHINFER_HEADS = (64, 128, 256, 512)
"""Channels of heads that vLLM's FlashInfer backend takes (v1/attention/backends/flashinfer.py)."""
PACKED_ROW = (512, 64)
"""Latent and rotary part of the packed rows of FlashMLA's sparse kernels."""
SPARSE_LEAST = (9, 0)
"""Sparse MLA backends of vLLM 0.32 (v1/attention/backends/mla) are for Hopper and Blackwell."""

WIDE_SINCE = (0, 11, 0)
"""First vLLM that can be told to keep 16 bits."""
NARROW_BY_DEFAULT = {"sglang": frozenset({"muse_glimmer_text"}), "vllm": frozenset[str]()}
"""Networks whose cache an engine keeps in FP8 unless told otherwise (sglang 0.5.23,
srt/arg_groups/overrides.py), beside those with an indexer."""


def told_cache_type(
    engine: str, network: str, architecture: Architecture, scheme: Scheme, options: Options
) -> KvType:
    """What an engine must be told to keep the cache as planned: `auto` is not always 16 bits.

    Checkpoints that have scales for it, and latent attention with an indexer, get 8 bits then.

    Source: vllm 0.32.0, `resolve_kv_cache_dtype_string` of vllm/utils/torch_utils.py,
    vllm/model_executor/layers/attention/attention.py and models/config.py; sglang 0.5.23,
    srt/mem_cache/kv_cache_dtype.py and srt/arg_groups/overrides.py.

    Args:
        engine: of `GRID_ENGINES`.
        network: `model_type` of the text network.
        architecture: the network.
        scheme: how the checkpoint stores it.
        options: the planned type, and the version.
    """
    if options.kv_type != "auto" or (engine == "vllm" and release(options.version) < WIDE_SINCE):
        return options.kv_type
    sparse = any(isinstance(x, Latent) and x.top_k for x in mixers(architecture))
    narrow = scheme.kv_scales or sparse or network in NARROW_BY_DEFAULT[engine]
    return "bfloat16" if narrow and scheme.dtype == "BF16" else "auto"


def cache_refusals(case: Case) -> Iterator[str]:
    """What of the cache's type, and of latents with an indexer, does not go."""
    yield from _type_refusals(case)
    yield from _sparse_refusals(case)


def _type_refusals(case: Case) -> Iterator[str]:
    """Types of KV cache the engine does not have, or not on such devices, or not for the model."""
    engine = case.engine
    kind, known = case.options.kv_type, dict(engine.caches)
    if kind not in known:
        yield f"{engine.name} has no KV cache of type {kind}"
        return
    yield from _packed_rows(case)
    have = case.place.capability
    need = AMPERE if kind == "fp8" and _plain_attention(case) else known[kind]
    if have is not None and have < need:
        yield (
            f"a KV cache of type {kind} needs {capability(need)}, the devices have {dotted(have)}"
        )
    if kind == "nvfp4_ds_mla" and have is not None and have[0] > need[0]:
        yield f"a KV cache of type {kind} is for compute capability 10 only, not {dotted(have)}"


def _plain_attention(case: Case) -> bool:
    """Whether vLLM's FlashInfer, which keeps FP8 on Ampere too, runs all of the attention."""
    return case.engine is VLLM and all(
        isinstance(x, Grouped) and not x.sinks and x.head_dim in FLASHINFER_HEADS and not x.top_k
        for x in mixers(case.architecture)
    )


def _packed_rows(case: Case) -> Iterator[str]:
    """Rows of 512 + 64 are for latents with an indexer alone."""
    kind = case.options.kv_type
    if kind not in LATENT_BYTES:
        return
    sparse = [x for x in mixers(case.architecture) if isinstance(x, Latent) and x.top_k]
    if not sparse:
        yield (
            f"a KV cache of type {kind} is for latent attention with an indexer, which the model "
            "does not have"
        )
    for mixer in sparse:
        if (mixer.kv_rank, mixer.rope_dim) != PACKED_ROW:
            yield (
                f"a KV cache of type {kind} has rows of {PACKED_ROW[0]} + {PACKED_ROW[1]}, not of "
                f"{mixer.kv_rank} + {mixer.rope_dim} as the model's latents"
            )


def _sparse_refusals(case: Case) -> Iterator[str]:
    """Latent attention with an indexer has kernels for Hopper and later alone."""
    have = case.place.capability
    sparse = any(isinstance(x, Latent) and x.top_k for x in mixers(case.architecture))
    if sparse and have is not None and have < SPARSE_LEAST:
        yield (
            f"latent attention with an indexer needs {capability(SPARSE_LEAST)} in "
            f"{case.engine.name}, the devices have {dotted(have)}"
        )
