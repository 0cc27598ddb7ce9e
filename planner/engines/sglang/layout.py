"""A layout in SGLang's own terms, and how it cuts each kind of weights. Engines layer.

Source: sglang 0.5.23, srt/distributed/utils.py and srt/layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.engines.padded_experts import padded_experts
from planner.engines.sharding import Shards, checked_partition
from planner.model.architecture import Architecture
from planner.quantization.scheme import Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Degrees of parallelism; attention replicas share the GPUs of the tensor-parallel group."""

    tensor_parallel: int = 1
    """GPUs of a stage."""
    pipeline_parallel: int = 1
    attention_data_parallel: int = 1
    """`--dp-size` with `--enable-dp-attention`: replicas of attention within a stage."""
    expert_parallel: int = 1
    """Ranks that experts are dealt out to; each expert is cut over the rest of the stage."""
    redundant_experts: int = 0
    whole_shared_experts: bool = False
    """Shared experts on every rank (`--moe-a2a-backend deepep`)."""
    partition: tuple[int, ...] = ()
    """Layers of each stage (`SGLANG_PP_LAYER_PARTITION`); empty is the default."""
    spans_nodes: bool = False

    @property
    def ranks(self) -> int:
        """GPUs in all."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def attention_ways(self) -> int:
        """Ranks that one replica of attention is cut over."""
        return self.tensor_parallel // self.attention_data_parallel


def split_late(layers: int, stages: int) -> tuple[int, ...]:
    """Layers of each stage: the last ones take what is left over, one each."""
    each, left = divmod(layers, stages)
    return (each,) * (stages - left) + (each + 1,) * left


def stages(architecture: Architecture, parallel: Parallel) -> tuple[int, ...]:
    """Layers of each pipeline stage.

    Raises:
        EngineError: a partition that is not of the layers, or not of the stages.
    """
    depth, count = architecture.depth, parallel.pipeline_parallel
    return checked_partition(parallel.partition or split_late(depth, count), depth, count)


def shards_of(parallel: Parallel) -> Shards:
    """How the layout cuts each kind of weights: embeddings as attention."""
    tensor = parallel.tensor_parallel
    return Shards(
        attention=parallel.attention_ways,
        dense=tensor,
        shared_experts=1 if parallel.whole_shared_experts else tensor,
        expert_ranks=parallel.expert_parallel,
        expert_width=tensor // parallel.expert_parallel,
        vocabulary=parallel.attention_ways,
        redundant_experts=parallel.redundant_experts,
    )


def weight_shards(scheme: Scheme, parallel: Parallel) -> Shards:
    """How the layout cuts weights; experts in MXFP4 are padded to what their kernels take."""
    return padded_experts(shards_of(parallel), scheme)
