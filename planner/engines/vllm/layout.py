"""A layout in vLLM's own terms, and how it cuts each kind of weights. Engines layer.

Source: vllm/config/parallel.py, vllm/model_executor/layers/fused_moe of 0.32.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.engines.sharding import Shards, checked_partition, split_evenly
from planner.model.architecture import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Degrees of parallelism; each data-parallel replica has GPUs of its own."""

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: bool = False
    """Experts dealt out over all ranks of a stage, whole."""
    decode_context_parallel: int = 1
    prefill_context_parallel: int = 1
    redundant_experts: int = 0
    partition: tuple[int, ...] = ()
    """Layers of each stage (`VLLM_PP_LAYER_PARTITION`); empty is the default."""
    spans_nodes: bool = False
    """Whether a tensor-parallel group reaches over nodes."""

    @property
    def ranks_per_stage(self) -> int:
        """Ranks of one pipeline stage, all data-parallel replicas together."""
        return self.tensor_parallel * self.prefill_context_parallel * self.data_parallel

    @property
    def ranks(self) -> int:
        """GPUs in all."""
        return self.ranks_per_stage * self.pipeline_parallel


def stages(architecture: Architecture, parallel: Parallel) -> tuple[int, ...]:
    """Layers of each pipeline stage.

    Raises:
        EngineError: a partition that is not of the layers, or not of the stages.
    """
    depth, count = architecture.depth, parallel.pipeline_parallel
    return checked_partition(parallel.partition or split_evenly(depth, count), depth, count)


def shards_of(parallel: Parallel) -> Shards:
    """How the layout cuts each kind of weights.

    With experts dealt out, and both tensor and data parallelism, shared experts are whole on every
    rank: the exchange of tokens would add their result several times.
    """
    tensor = parallel.tensor_parallel
    apart = parallel.expert_parallel
    whole = apart and parallel.data_parallel > 1
    return Shards(
        attention=tensor,
        dense=tensor,
        shared_experts=1 if whole else tensor,
        expert_ranks=parallel.ranks_per_stage if apart else 1,
        expert_width=1 if apart else parallel.ranks_per_stage,
        vocabulary=tensor,
        redundant_experts=parallel.redundant_experts if apart else 0,
    )
