"""Which layers of a GGUF architecture llama.cpp gives a sliding window, as tables. Model layer.

Source: load_arch_hparams of llama.cpp b11434, src/models; the caches that b10434 allocates agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FULL_ATTENTION_EVERY: Mapping[str, int | None] = MappingProxyType(
    {
        "afmoe": 4,
        "cohere2": 4,
        "exaone-moe": 4,
        "exaone4": 4,
        "gemma2": 2,
        "gemma3": 6,
        "gemma4": None,
        "gpt-oss": 2,
        "llama4": 4,
        "mellum": 4,
        "mimo2": None,
        "olmo2": 4,
        "step35": None,
    }
)
"""Architectures whose windows are honoured, and which of their layers look at all tokens where a
file does not list them: every so-manieth. None is no rule without a list."""

STANDARD_WINDOW: Mapping[str, int] = MappingProxyType(
    {"exaone4": 4096, "gemma2": 4096, "llama4": 8192}
)
"""Window of architectures that have one even if the file names none."""

FIXED_WINDOW = ("llama4",)
"""Architectures whose window is the standard one, whatever the file says but 0."""

ONLY_DEPTH: Mapping[str, int] = MappingProxyType({"exaone4": 64})
"""Number of blocks that an architecture must have for its windows."""


def honours_windows(gguf_name: str, blocks: int) -> bool:
    """Whether windows of this architecture make its cache smaller."""
    return gguf_name in FULL_ATTENTION_EVERY and ONLY_DEPTH.get(gguf_name, blocks) == blocks
