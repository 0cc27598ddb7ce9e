"""SGLang's accounting of a neutral grid. Engines layer."""

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
from planner.engines.sglang.layout import Parallel
from planner.engines.sglang.layout import stages as stages_of
from planner.engines.sglang.memory import RankMemory, layout_memory
from planner.engines.sglang.models import VERSION
from planner.engines.sglang.settings import Settings, rules_of, step_sizes
from planner.model.architecture import Architecture
from planner.quantization.scheme import Scheme

DEFAULT_VERSION = VERSION
"""The version the rules were read from."""


def gpus(grid: Grid) -> int:
    """Devices of a grid: replicas of attention share those of their stage."""
    return grid.tensor_parallel * grid.pipeline_parallel


def room(options: Options, seen: int) -> int:
    """Bytes of a device that weights and cache can have at most."""
    return int((seen - rules_of(options.version).outside.low) * (options.utilization or 1.0))


def partition(architecture: Architecture, grid: Grid) -> tuple[int, ...]:
    """Layers of each stage: those the grid says, or the default."""
    layout = Parallel(pipeline_parallel=grid.pipeline_parallel, partition=grid.partition)
    return stages_of(architecture, layout)


def parallel(grid: Grid, place: Place) -> Parallel:
    """The layout in SGLang's terms."""
    return Parallel(
        tensor_parallel=grid.tensor_parallel,
        pipeline_parallel=grid.pipeline_parallel,
        attention_data_parallel=grid.data_parallel,
        expert_parallel=grid.expert_parallel,
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

    Arguments and errors as those of vLLM's `memory`.
    """
    layout = parallel(grid, place)
    settings = Settings(
        context_length=options.context,
        version=options.version,
        static_fraction=options.utilization,
        chunked_prefill=options.max_num_batched_tokens,
        kv_type=options.kv_type,
    )
    chunk, batch = step_sizes(layout, settings, stages[0][1])
    settings = replace(settings, chunked_prefill=chunk)
    (gpu, seen), *others = distinct(stages)
    whole = layout_memory(
        architecture, scheme, layout, settings, seen, beside, stages_on(stages, gpu)
    )
    settings = replace(settings, static_fraction=whole.static_fraction)
    ranks = list(whole.ranks)
    for gpu, seen in others:
        only = stages_on(stages, gpu)
        ranks += layout_memory(architecture, scheme, layout, settings, seen, beside, only).ranks
    whole = replace(whole, ranks=in_order(ranks))
    each = -(-requests // grid.data_parallel)
    return GridMemory(
        ranks=tuple(_budget(rank, options.context, each) for rank in whole.ranks),
        limits=Limits(
            utilization=whole.static_fraction,
            max_num_seqs=options.max_num_seqs or max(batch, each * grid.data_parallel),
            max_num_batched_tokens=chunk,
        ),
        tokens=whole.tokens,
        requests=whole.sequences(),
        fit=whole.fits(options.context, requests),
    )


def _budget(held: RankMemory, context: int, requests: int) -> RankBudget:
    """The reserve is what lies outside the static fraction and is not needed there.

    Where a step needs more than that, what is short of comes off the room of the pool instead.
    """
    cache = int(held.token_bytes * context * requests) + held.state_bytes * requests
    left, spare = held.headroom.low - cache, held.spare.low
    return RankBudget(
        rank=held.rank,
        components=(
            *held.weights,
            (None, held.loaded.best - sum(size for _, size in held.weights)),
        ),
        weights=held.loaded,
        compute=held.working,
        runtime=held.outside,
        kv_cache=cache,
        reserve=max(0, left, spare),
        device=held.device,
    )
