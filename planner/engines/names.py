"""The engines by name. Lowest of the engines layer."""

from __future__ import annotations

from typing import Literal

GridName = Literal["vllm", "sglang"]
GRID_ENGINES: tuple[GridName, ...] = ("vllm", "sglang")
"""Engines that serve uniform grids."""
TITLES = {"llama.cpp": "llama.cpp", "vllm": "vLLM", "sglang": "SGLang"}
"""Engines as people write them."""
