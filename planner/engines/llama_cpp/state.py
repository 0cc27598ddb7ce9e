"""Bytes llama.cpp keeps of one block for its sequences: rows of K and V, and a state. Engine layer.

K and V grow with the cells of a stream. The state of a recurrence has one row per sequence,
whether the slots share a pool or not: R, the last inputs of its convolution, and S, the recurrent
state, both in single precision whatever `-ctk` says.

Source: llama.cpp b11434, src/llama-memory-recurrent.cpp and n_embd_r, n_embd_s of
src/llama-hparams.cpp; what b10434 prints agrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from planner.engines.llama_cpp.settings import Settings
from planner.model.architecture import Grouped, Latent, Layer, Mixer
from planner.model.cache import layer_cache
from planner.quantization.gguf_types import row_bytes


def block_caches(layers: Sequence[Layer], settings: Settings) -> list[int]:
    """Cache and state bytes of each block.

    Without flash attention V is stored transposed, and in all layers as wide as in the widest;
    also in those without attention, unless a recurrence makes the engine tell layers apart.
    """
    widest = 0 if settings.flash_attention else widest_value(layers)
    hybrid = any(layer_cache(layer.mixer).states for layer in layers)
    padding = 0 if hybrid else settings.streams * settings.cells()
    return [
        padding * row_bytes(settings.value_type, widest)
        if layer.mixer is None
        else _rows(layer.mixer, settings, widest) + state_bytes(layer, settings)
        for layer in layers
    ]


def state_bytes(layer: Layer, settings: Settings) -> int:
    """Slots * (R + S) * 4 B, of the mixer and of one beside it."""
    states = (layer_cache(mixer).state_bytes() for mixer in (layer.mixer, layer.beside))
    return settings.slots * sum(states)


def value_width(mixer: Mixer | None) -> int:
    """Elements of V per token; a latent has no V of its own, a recurrence none at all."""
    if not isinstance(mixer, Grouped):
        return 0
    return mixer.kv_heads * (mixer.value_dim or mixer.head_dim)


def widest_value(layers: Iterable[Layer]) -> int:
    """Elements of V per token in the layer that has most."""
    return max((value_width(layer.mixer) for layer in layers), default=0)


def _rows(mixer: Mixer, settings: Settings, widest: int) -> int:
    """Streams * cells * (K row + V row); a latent is one row and no V."""
    match mixer:
        case Latent():
            row = row_bytes(settings.key_type, mixer.kv_rank + mixer.rope_dim)
            return settings.streams * settings.cells() * row
        case Grouped():
            key = row_bytes(settings.key_type, mixer.kv_heads * mixer.head_dim)
            value = row_bytes(settings.value_type, max(value_width(mixer), widest))
            return settings.streams * settings.cells(mixer.window) * (key + value)
        case _:
            return 0
