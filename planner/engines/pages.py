"""What one rank keeps of a layer's cache, per token and per sequence.

Engines layer, shared by vLLM and SGLang, whose kernels want the same layouts. How tokens are put
into blocks and pools is the engine's own matter.

Source: vllm/v1/kv_cache_interface.py and vllm/v1/attention/backends/mla/flashmla_sparse.py of
0.32.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import Compressed, Grouped, Latent, Mixer
from planner.model.cache import layer_cache

KvType = Literal["auto", "bfloat16", "fp8", "fp8_ds_mla", "nvfp4_ds_mla"]
"""Values of `--kv-cache-dtype`; `auto` is the model's own 16 bits."""

INDEX_BYTES = 132
"""Per token of an indexer's key: 128 values and a scale per 128."""
LATENT_BYTES = {"fp8_ds_mla": 656, "nvfp4_ds_mla": 352}
"""Per token of a latent of 512 + 64."""

Keeps = Literal["all", "window", "state"]


@dataclass(frozen=True, slots=True)
class LayerPage:
    """What one rank keeps of one layer in a block."""

    keeps: Keeps
    token_bytes: int
    """Of a token; 0 of a state."""
    window: int | None = None
    state_bytes: int = 0
    """Of a sequence, whatever its length."""


def layer_page(mixer: Mixer | None, tensor_parallel: int, kv_type: KvType) -> LayerPage | None:
    """What one rank keeps of a layer; None of one without a cache.

    Grouped attention: (key + value dimension) of max(1, kv_heads / TP) heads. Latents are on every
    rank. States are cut by heads, convolutions in 16 bits and the rest in 32.

    Raises:
        UnsupportedArchitecture: compressed attention.
    """
    wide = 1 if kv_type.startswith(("fp8", "nvfp4")) else 2
    match mixer:
        case None:
            return None
        case Grouped():
            heads = max(1, mixer.kv_heads // tensor_parallel)
            size = heads * (mixer.head_dim + (mixer.value_dim or mixer.head_dim)) * wide
            size += INDEX_BYTES if mixer.indexer is not None else 0
            return LayerPage("window" if mixer.window else "all", size, mixer.window)
        case Latent():
            return LayerPage("all", _latent_bytes(mixer, kv_type, wide))
        case Compressed():
            raise UnsupportedArchitecture(
                "no rules for the pages of compressed attention (DeepSeek V4) in a KV cache",
                hint="weights are known; engines pack its rows, windows and open groups side by "
                "side, and the one log of it is not explained",
            )
        case _:
            states = layer_cache(mixer).states
            size = sum(
                state.elements // tensor_parallel * (2 if state.role == "convolution" else 4)
                for state in states
            )
            return LayerPage("state", 0, state_bytes=size)


def _latent_bytes(mixer: Latent, kv_type: KvType, wide: int) -> int:
    """Latent, rotary part and an indexer's key; sparse attention has 8-bit rows of its own."""
    sparse = mixer.top_k is not None
    named = "fp8_ds_mla" if kv_type == "fp8" and sparse else kv_type
    size = LATENT_BYTES.get(named, (mixer.kv_rank + mixer.rope_dim) * wide)
    return size + (INDEX_BYTES if mixer.indexer is not None else 0)
