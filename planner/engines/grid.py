"""A uniform grid of ranks, and what is asked of the server that runs on it. Engines layer.

Neutral between vLLM and SGLang: each engine's `serving` turns them into its own terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from planner.catalog.schema import Family, Gpu
from planner.engines.fit import Fit
from planner.engines.held import RankHeld
from planner.engines.pages import KvType
from planner.engines.ranges import Range
from planner.engines.sharding import Rank
from planner.model.components import Component

H = TypeVar("H", bound=RankHeld)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Degrees of each parallelism, the same on every stage."""

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    """Replicas of attention: each with GPUs of its own in vLLM, all on the GPUs of a stage's
    tensor-parallel group in SGLang."""
    expert_parallel: int = 1
    """Ranks that routed experts are dealt out to, whole; 1 cuts every expert."""
    decode_context_parallel: int = 1
    redundant_experts: int = 0
    """Copies of experts beside the originals, all ranks together."""
    partition: tuple[int, ...] = ()
    """Layers of each stage; empty is the engine's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked of the server; None takes the version's default."""

    context: int
    """Longest request, tokens."""
    version: str
    utilization: float | None = None
    """vLLM: share of a device the engine may take; SGLang: share for weights and KV pool."""
    max_num_seqs: int | None = None
    """Requests in one step."""
    max_num_batched_tokens: int | None = None
    """Tokens in one step; SGLang: of a chunk of prefill."""
    kv_type: KvType = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Options with the defaults of version and device put in."""

    utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The machines of one replica, as far as rules ask."""

    family: Family
    capability: tuple[int, int] | None
    """Least CUDA compute capability of the devices; None where it is not known."""
    gpus_per_machine: int
    """Of the smallest machine."""
    gpus: int
    """In all."""
    generations: tuple[str, ...] = ()
    """Of the devices, in the maker's words, e.g. `cdna3`; empty where they are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankBudget:
    """What each rank of a class holds with the asked requests in its cache. All in bytes."""

    rank: Rank
    components: tuple[tuple[Component | None, int], ...]
    """Weights by component; None is what lies beside the text network's tensors."""
    weights: Range
    compute: Range
    """Peak of activations, and CUDA graphs."""
    runtime: Range
    """Outside the engine's allocator: context, kernels, communicators."""
    kv_cache: int
    """Of the asked requests."""
    reserve: int
    """What the engine leaves alone."""
    device: int
    """Memory of the device in all."""

    @property
    def total(self) -> int:
        """All parts, overheads at their upper ends."""
        return (
            self.weights.high + self.compute.high + self.runtime.high + self.kv_cache + self.reserve
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GridMemory:
    """All classes of ranks of one layout, and the KV pool they share."""

    ranks: tuple[RankBudget, ...]
    limits: Limits
    tokens: Range
    """Tokens the pool of one data-parallel replica holds."""
    requests: tuple[float, float, float]
    """Requests of the full context that all replicas hold at once: low, best, high."""
    fit: Fit
    """Whether the asked requests fit."""


def distinct(stages: Sequence[tuple[Gpu, int]]) -> tuple[tuple[Gpu, int], ...]:
    """Device models of the stages, each once, in order."""
    return tuple({gpu.name: (gpu, seen) for gpu, seen in stages}.values())


def stages_on(stages: Sequence[tuple[Gpu, int]], gpu: Gpu) -> frozenset[int] | None:
    """Numbers of the stages on devices of a model; None where all are."""
    if len(stages) == 1:
        return None
    return frozenset(number for number, (own, _) in enumerate(stages) if own.name == gpu.name)


def in_order(ranks: Iterable[H]) -> tuple[H, ...]:
    """Classes of ranks by their stages."""
    return tuple(sorted(ranks, key=lambda held: held.rank.stage))
