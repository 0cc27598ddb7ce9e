"""vLLM's accounting of a neutral grid. Engines layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from planner.catalog.schema import Gpu
from planner.engines.beside import Beside
from planner.engines.grid import (
    Grid,
    GridMemory,
    Limits,
    Options,
    Place,
    RankBudget,
    distinct,
    in_order,
    stages_on,
)
from planner.engines.vllm.layout import Parallel
from planner.engines.vllm.layout import stages as stages_of
from planner.engines.vllm.memory import RankMemory, layout_memory
from planner.engines.vllm.settings import Settings, device_of, limits
from planner.engines.vllm.versions import rules_of
from planner.model.architecture import Architecture
from planner.quantization.scheme import Scheme


def gpus(grid: Grid) -> int:
    """Devices of a grid: every data-parallel replica has its own."""
    return grid.tensor_parallel * grid.pipeline_parallel * grid.data_parallel


def room(options: Options, seen: int) -> int:
    """Bytes of a device that weights and cache can have at most."""
    rules = rules_of(options.version)
    return int(seen * (options.utilization or rules.default_utilization)) - rules.single.low


def partition(architecture: Architecture, grid: Grid) -> tuple[int, ...]:
    """Layers of each stage: those the grid says, or the default."""
    layout = Parallel(pipeline_parallel=grid.pipeline_parallel, partition=grid.partition)
    return stages_of(architecture, layout)


def parallel(grid: Grid, place: Place) -> Parallel:
    """The layout in vLLM's terms."""
    return Parallel(
        tensor_parallel=grid.tensor_parallel,
        pipeline_parallel=grid.pipeline_parallel,
        data_parallel=grid.data_parallel,
        expert_parallel=grid.expert_parallel > 1,
        decode_context_parallel=grid.decode_context_parallel,
        redundant_experts=grid.redundant_experts,
        partition=grid.partition,
        spans_nodes=grid.tensor_parallel > place.gpus_per_machine,
    )


def memory(
    architecture: Architecture,
    scheme: Scheme,
    grid: Grid,
    options: Options,
    stages: Sequence[tuple[Gpu, int]],
    place: Place,
    beside: Beside,
    requests: int,
) -> GridMemory:
    """What every rank holds with `requests` requests of the full context in the cache.

    Args:
        architecture: the text network.
        scheme: how the checkpoint stores it.
        grid: the layout.
        options: what is asked of the server; limits left out are those of the first stage's device,
            and no fewer requests in one step than asked for.
        stages: device model and bytes the engine sees of it, per stage; one for all if alone.
        place: the machines.
        beside: what the config says beside the network.
        requests: simultaneous requests.

    Raises:
        EngineError: an impossible partition, or a version without rules.
        FactsError: a format that cannot store a rank's part of a matrix.
        UnsupportedArchitecture: compressed attention.
    """
    settings = Settings(
        context_length=options.context,
        version=options.version,
        utilization=options.utilization,
        max_num_seqs=options.max_num_seqs,
        max_num_batched_tokens=options.max_num_batched_tokens,
        kv_type=options.kv_type,
    )
    layout = parallel(grid, place)
    each = -(-requests // grid.data_parallel)
    if settings.max_num_seqs is None:
        usual = limits(settings, device_of(*stages[0])).sequences
        settings = replace(settings, max_num_seqs=max(usual, each))
    (gpu, seen), *others = distinct(stages)
    whole = layout_memory(
        architecture, scheme, layout, settings, device_of(gpu, seen), beside, stages_on(stages, gpu)
    )
    settings = replace(
        settings,
        max_num_seqs=whole.limits.sequences,
        max_num_batched_tokens=whole.limits.batched_tokens,
    )
    ranks = list(whole.ranks)
    for gpu, seen in others:
        only, device = stages_on(stages, gpu), device_of(gpu, seen)
        ranks += layout_memory(architecture, scheme, layout, settings, device, beside, only).ranks
    whole = replace(whole, ranks=in_order(ranks))
    blocks = whole.cache.blocks_per_sequence(options.context) * each + 1
    low, best, high = whole.sequences()
    replicas = grid.data_parallel
    return GridMemory(
        ranks=tuple(_budget(rank, blocks) for rank in whole.ranks),
        limits=Limits(
            utilization=whole.limits.utilization,
            max_num_seqs=whole.limits.sequences,
            max_num_batched_tokens=whole.limits.batched_tokens,
        ),
        tokens=whole.tokens,
        requests=(low * replicas, best * replicas, high * replicas),
        fit=whole.fits(options.context, each),
    )


def _budget(held: RankMemory, blocks: int) -> RankBudget:
    """The reserve is what lies outside the share the engine may take, and room it cannot use there.

    Where graphs do not fit outside, what they are short of comes off the room of the pool instead.
    """
    beside = held.tables + held.rests + held.tower
    return RankBudget(
        rank=held.rank,
        components=(*held.weights, (None, beside)),
        weights=held.loaded,
        compute=held.activation + held.counted_graphs,
        runtime=held.outside,
        kv_cache=blocks * held.block_bytes,
        reserve=held.device - held.budget + held.headroom(blocks).low - held.room(blocks).low,
        device=held.device,
    )
