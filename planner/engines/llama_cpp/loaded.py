"""The network as llama.cpp runs it, where that is not as its config says. Engine layer.

Source: llama.cpp b11434, src/models (load_arch_hparams) and src/llama-context.cpp; what b10434
allocates agrees.
"""

from __future__ import annotations

import dataclasses

from planner.engines.llama_cpp.settings import Settings
from planner.model.architecture import Architecture, Grouped, Layer
from planner.model.gguf_windows import honours_windows

NO_FLASH_ATTENTION = frozenset({"grok"})
"""GGUF architectures that llama.cpp runs without flash attention whatever `-fa` says."""


def as_loaded(architecture: Architecture) -> Architecture:
    """`architecture` without the sliding windows that llama.cpp does not honour."""
    if honours_windows(architecture.gguf_name, architecture.depth):
        return architecture
    known: dict[Layer, Layer] = {}
    layers = tuple(known.setdefault(layer, _without_window(layer)) for layer in architecture.layers)
    if layers == architecture.layers:
        return architecture
    return architecture.model_copy(update={"layers": layers})


def settings_of(architecture: Architecture, settings: Settings) -> Settings:
    """`settings` as the engine changes them for this network."""
    if architecture.gguf_name in NO_FLASH_ATTENTION and settings.flash_attention:
        return dataclasses.replace(settings, flash_attention=False)
    return settings


def _without_window(layer: Layer) -> Layer:
    mixer = layer.mixer
    if not isinstance(mixer, Grouped) or mixer.window is None:
        return layer
    return layer.model_copy(update={"mixer": mixer.model_copy(update={"window": None})})
