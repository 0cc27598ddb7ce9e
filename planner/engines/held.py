"""What a class of ranks holds before its KV cache, whatever the engine. Engines layer, shared."""

from __future__ import annotations

from dataclasses import dataclass

from planner.engines.ranges import Range
from planner.engines.sharding import Rank
from planner.model.components import Component


@dataclass(frozen=True, slots=True, kw_only=True)
class RankHeld:
    """One class of ranks. All in bytes."""

    rank: Rank
    weights: tuple[tuple[Component, int], ...]
    tower: int
    """Vision tower."""
    loaded: Range
    """Weights, tower, and what kernels and the allocator keep beside them."""
    outside: Range
    """Context, kernels and communicators: what the allocator does not see."""
    device: int
    """Its memory in all."""
