"""Memory of CUDA graphs. Engines layer, shared."""

from __future__ import annotations

from planner.engines.ranges import Range
from planner.units import MIB

GRAPHS_PER_LAYER = Range(6 * MIB, 18 * MIB, 30 * MIB)
"""CUDA graphs of all batch sizes per layer: 16 MiB in l3, 29 in l4 of
tests/reality/vllm_logged_memory.csv."""
