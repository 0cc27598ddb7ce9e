"""From a cluster and a grid of vLLM or SGLang to the numbers of a plan. No choices here."""

from __future__ import annotations

import itertools
from decimal import Decimal

from planner.accounting.devices import machine_of
from planner.accounting.money import cluster_of, cost_of, rent_of
from planner.accounting.siting import Site, case_of, memory_of
from planner.accounting.speed import PREFILL_TOKENS
from planner.catalog.load import Catalog
from planner.catalog.schema import Node
from planner.engines.grid import Grid, GridMemory, RankBudget
from planner.engines.ranges import Range as Span
from planner.performance.grid import GridCase, grid_performance, grid_prefill
from planner.plan import (
    Body,
    Bytes,
    Device,
    Host,
    KvPool,
    Layout,
    MemoryBudget,
    Performance,
    Prefill,
    RankShare,
    Serving,
    Solver,
    Verdict,
    WeightShare,
)
from planner.served import Served
from planner.values import Range

_NO_MEMORY = MemoryBudget(weights=0, kv_cache=0, compute=0, runtime=0, reserve=0, total=0)
VERDICTS: dict[str, Verdict] = {"fits": "fits", "tight": "tight", "refused": "no"}
"""What the accounting of an engine says, in the words of a plan."""


def engine_of(served: Served, memory: GridMemory) -> Serving:
    """The engine with all limits said."""
    limits = memory.limits
    return Serving(
        name=served.engine,
        build=served.options.version,
        context=served.options.context,
        utilization=limits.utilization,
        max_num_seqs=limits.max_num_seqs,
        max_num_batched_tokens=limits.max_num_batched_tokens,
        kv_type=served.cache_type,
    )


def body(
    served: Served,
    catalog: Catalog,
    site: Site,
    grid: Grid,
    solver: Solver,
    *,
    input_tokens: int,
    budget: Decimal | None = None,
    rented: bool = False,
) -> Body:
    """The whole plan body of a grid on a site."""
    memory = memory_of(served, catalog, site, grid)
    counts: dict[str, int] = {}
    for node, count in site.nodes:
        counts[node.name] = counts.get(node.name, 0) + count
    case = case_of(served, catalog, site, grid)
    return Body(
        cluster=cluster_of(catalog, counts),
        cost=cost_of(catalog, counts, site.network, budget=budget, rented=rented),
        layout=layout_of(served, grid),
        verdict=VERDICTS[memory.fit.verdict],
        devices=devices_of(served, site, grid, memory),
        hosts=_hosts(catalog, site),
        performance=_performance(served, case, input_tokens),
        prefill=_prefill(served, case),
        solver=solver,
        ranks=tuple(_share(rank) for rank in memory.ranks),
        kv_pool=_pool(memory),
        rent_usd_per_hour=rent_of(catalog, counts),
    )


def layout_of(served: Served, grid: Grid) -> Layout:
    """Degrees and the layers of each stage."""
    return Layout(
        tensor_parallel=grid.tensor_parallel,
        pipeline_parallel=grid.pipeline_parallel,
        expert_parallel=grid.expert_parallel,
        data_parallel=grid.data_parallel,
        decode_context_parallel=grid.decode_context_parallel,
        redundant_experts=grid.redundant_experts,
        partition=served.partition(grid),
    )


def grid_of(layout: Layout) -> Grid:
    """The grid a layout says."""
    return Grid(
        tensor_parallel=layout.tensor_parallel,
        pipeline_parallel=layout.pipeline_parallel,
        expert_parallel=layout.expert_parallel,
        data_parallel=layout.data_parallel,
        decode_context_parallel=layout.decode_context_parallel,
        redundant_experts=layout.redundant_experts,
        partition=layout.partition,
    )


def devices_of(served: Served, site: Site, grid: Grid, memory: GridMemory) -> tuple[Device, ...]:
    """Every device in rank order: replica, stage, tensor rank; then those that idle."""
    width, stages = grid.tensor_parallel, grid.pipeline_parallel
    classes = [_by_rank(memory, stage) for stage in range(stages)]
    found = []
    for position, device in enumerate(site.devices):
        replica, within = divmod(position, width * stages)
        stage, rank = divmod(within, width)
        found.append(_device(device, replica, classes[stage][replica * width + rank]))
    found.extend(_idle(device) for device in site.idle)
    return tuple(found)


def _by_rank(memory: GridMemory, stage: int) -> list[RankBudget]:
    """The class of each rank of a stage, in order: those with one more expert come first."""
    own = (rank for rank in memory.ranks if rank.rank.stage == stage)
    return list(itertools.chain.from_iterable([rank] * rank.rank.ranks for rank in own))


def _device(device: tuple[Node, int, int], replica: int, held: RankBudget) -> Device:
    node, number, index = device
    machine = machine_of(node, number, index)
    rank = held.rank
    return Device(
        id=f"{machine}.{index}",
        node=machine,
        gpu=node.gpu,
        replica=replica,
        stage=rank.stage,
        first_layer=rank.layers[0] if rank.layers else None,
        last_layer=rank.layers[-1] if rank.layers else None,
        output=rank.last,
        experts=rank.experts or None,
        slots=len(rank.layers) + rank.last,
        capacity_bytes=held.device,
        headroom_bytes=held.device - held.total,
        budget=MemoryBudget(
            weights=held.weights.high,
            kv_cache=held.kv_cache,
            compute=held.compute.high,
            runtime=held.runtime.high,
            reserve=held.reserve,
            total=held.total,
        ),
    )


def _idle(device: tuple[Node, int, int]) -> Device:
    node, number, index = device
    machine = machine_of(node, number, index)
    return Device(
        id=f"{machine}.{index}",
        node=machine,
        gpu=node.gpu,
        replica=0,
        stage=None,
        first_layer=None,
        last_layer=None,
        output=False,
        experts=None,
        slots=0,
        capacity_bytes=None,
        headroom_bytes=None,
        budget=_NO_MEMORY,
    )


def _hosts(catalog: Catalog, site: Site) -> tuple[Host, ...]:
    machines = {
        machine_of(node, number, index): node for node, number, index in (*site.devices, *site.idle)
    }
    return tuple(
        Host(
            node=name,
            memory_bytes=None if node.host_memory is None else node.host_memory // node.machines,
            unified=catalog.gpu(node.gpu).unified,
            budget=_NO_MEMORY,
        )
        for name, node in machines.items()
    )


def _share(held: RankBudget) -> RankShare:
    return RankShare(
        stage=held.rank.stage,
        ranks=held.rank.ranks,
        experts=held.rank.experts,
        weights=tuple(
            WeightShare(name=name or "beside", bytes=size) for name, size in held.components if size
        ),
        loaded=_bytes(held.weights),
        compute=_bytes(held.compute),
        runtime=_bytes(held.runtime),
    )


def _bytes(span: Span) -> Bytes:
    return Bytes(low=span.low, best=span.best, high=span.high)


def _pool(memory: GridMemory) -> KvPool:
    low, best, high = memory.requests
    return KvPool(
        tokens=_bytes(memory.tokens),
        requests=Range(low=low, best=best, high=high),
        longest=_bytes(memory.fit.longest),
    )


def _performance(served: Served, case: GridCase, input_tokens: int) -> tuple[Performance, ...]:
    return tuple(
        grid_performance(
            case,
            depth=depth,
            input_tokens=min(input_tokens, served.context),
            users=served.concurrency,
        )
        for depth in dict.fromkeys((served.depth, served.context))
    )


def _prefill(served: Served, case: GridCase) -> tuple[Prefill, ...]:
    lengths = dict.fromkeys(min(tokens, served.context) for tokens in PREFILL_TOKENS)
    return tuple(grid_prefill(case, tokens=tokens) for tokens in lengths)
