"""From a cluster and a grid of vLLM or SGLang to the numbers of a plan. No choices here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from planner.accounting.devices import capacity_of, machine_of
from planner.accounting.money import cluster_of, cost_of, rent_of
from planner.accounting.speed import PREFILL_TOKENS
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Network, Node
from planner.engines.grid import Grid, GridMemory, Place, RankBudget
from planner.engines.ranges import Range as Span
from planner.performance.grid import (
    GridCase,
    grid_performance,
    grid_prefill,
    step_seconds,
)
from planner.performance.grid_calibration import calibration_of
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
    judged,
)
from planner.served import Served
from planner.topology.domains import domain_of
from planner.values import Range

Stages = tuple[tuple[Gpu, int], ...]
"""Device model and bytes the engine sees of it, per stage; one entry where all are alike."""
_NO_MEMORY = MemoryBudget(weights=0, kv_cache=0, compute=0, runtime=0, reserve=0, total=0)
_VERDICTS: dict[str, Verdict] = {"fits": "fits", "tight": "tight", "refused": "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Nodes in order, the devices of each machine that are used, and what joins the machines."""

    nodes: tuple[tuple[Node, int], ...]
    """Node types and how many of each, in order."""
    used: int
    """Devices used of every machine; the others idle."""
    network: Network | None

    @property
    def memory_key(self) -> tuple[object, ...]:
        """What memory depends on: devices, not what joins them."""
        return tuple((node.name, count) for node, count in self.nodes), self.used

    @property
    def machines(self) -> int:
        """Machines in all."""
        return sum(node.machines * count for node, count in self.nodes)

    @property
    def devices(self) -> tuple[tuple[Node, int, int], ...]:
        """Node, its number from 1, and index in it, of every device that is used, in rank order."""
        return tuple(each for each in self._all() if self._is_used(each))

    @property
    def idle(self) -> tuple[tuple[Node, int, int], ...]:
        """The devices left over."""
        return tuple(each for each in self._all() if not self._is_used(each))

    def _all(self) -> list[tuple[Node, int, int]]:
        return [
            (node, number, index)
            for node, count in self.nodes
            for number in range(1, count + 1)
            for index in range(node.gpus)
        ]

    def _is_used(self, device: tuple[Node, int, int]) -> bool:
        node, _, index = device
        return index % (node.gpus // node.machines) < self.used


def place_of(catalog: Catalog, site: Site) -> Place:
    """The machines as far as rules ask."""
    gpus = [catalog.gpu(node.gpu) for node, _ in site.nodes]
    known = [_capability(gpu) for gpu in gpus]
    least = [each for each in known if each is not None]
    return Place(
        family=gpus[0].family,
        capability=min(least) if len(least) == len(known) else None,
        gpus_per_machine=site.used,
        gpus=site.used * site.machines,
        generations=tuple(sorted({gpu.architecture for gpu in gpus})),
    )


def _capability(gpu: Gpu) -> tuple[int, int] | None:
    """Of CUDA; other families name their generations."""
    if gpu.family != "cuda" or gpu.compute_capability is None:
        return None
    major, _, minor = gpu.compute_capability.partition(".")
    return int(major), int(minor or 0)


def stages_of(served: Served, catalog: Catalog, site: Site, grid: Grid) -> Stages | None:
    """The devices of each stage; None where a stage has several models."""
    if len({node.gpu for node, _ in site.nodes}) == 1:
        only = catalog.gpu(site.nodes[0][0].gpu)
        return ((only, _seen(only)),)
    models = [catalog.gpu(node.gpu) for node, _, _ in site.devices]
    width = grid.tensor_parallel
    if len(models) != width * grid.pipeline_parallel:
        return None
    found: list[tuple[Gpu, int]] = []
    for stage in range(grid.pipeline_parallel):
        own = {gpu.name: gpu for gpu in models[stage * width : (stage + 1) * width]}
        if len(own) > 1:
            return None
        found.extend((gpu, _seen(gpu)) for gpu in own.values())
    return tuple(found)


def _seen(gpu: Gpu) -> int:
    capacity = capacity_of(gpu)
    return 0 if capacity is None else capacity.bytes


def case_of(served: Served, catalog: Catalog, site: Site, grid: Grid, stages: Stages) -> GridCase:
    """The layout as the speed model sees it."""
    layers = layers_of(served.partition(grid))
    models = [stages[0][0]] * len(layers) if len(stages) == 1 else [gpu for gpu, _ in stages]
    first, _ = site.nodes[0]
    inner = None if first.machines == 1 else catalog.networks[first.built_in_networks[0]]
    slowest = _slowest(catalog, site)
    return GridCase(
        architecture=served.architecture,
        scheme=served.scheme,
        engine="vllm" if served.engine == "vllm" else "sglang",
        grid=grid,
        stages=tuple(zip(models, layers, strict=True)),
        fabric=None if slowest.fabric is None else catalog.links[slowest.fabric],
        network=site.network or inner,
        gpus_per_machine=site.used,
        kv_type=served.options.kv_type,
        domain=domain_of(catalog, slowest),
        load=served.load,
    )


def layers_of(partition: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Indices of the layers of each stage."""
    stops = tuple(itertools.accumulate(partition))
    return tuple(
        tuple(range(stop - count, stop)) for count, stop in zip(partition, stops, strict=True)
    )


def _slowest(catalog: Catalog, site: Site) -> Node:
    """The node type whose devices are joined worst; of equals the first."""

    def rate(node: Node) -> float:
        if node.fabric is None:
            return 0.0
        link = catalog.links[node.fabric]
        return link.achieved_per_direction or link.bandwidth_per_direction

    return min((node for node, _ in site.nodes), key=rate)


def step(served: Served, catalog: Catalog, site: Site, grid: Grid, *, users: int) -> Range:
    """Seconds per token of one of `users` users at the workload's depth."""
    stages = stages_of(served, catalog, site, grid)
    assert stages is not None
    case = case_of(served, catalog, site, grid, stages)
    return step_seconds(case, depth=served.depth, users=users)


def times(served: Served, case: GridCase) -> tuple[int, int]:
    """Nanoseconds per token of all users together at the workload's depth, rounded up.

    The best estimate, and the case a minimum speed is judged by: `low` where calibrated.
    """
    users = served.concurrency
    step = step_seconds(case, depth=served.depth, users=users)
    floor = step.best if calibration_of(case).startswith("uncalibrated") else step.low
    return math.ceil(step.best / users * 1e9), math.ceil(floor / users * 1e9)


def first_token(served: Served, case: GridCase, tokens: int) -> int:
    """Nanoseconds to the first token of a prompt, in the case a target is judged by."""
    speed = grid_performance(
        case,
        depth=served.depth,
        input_tokens=min(tokens, served.context),
        users=served.concurrency,
    )
    return math.ceil(judged(speed, speed.ttft) * 1e9)


def engine_of(served: Served, memory: GridMemory) -> Serving:
    """The engine with all limits said."""
    limits = memory.limits
    return Serving(
        name="vllm" if served.engine == "vllm" else "sglang",
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
    stages = stages_of(served, catalog, site, grid)
    assert stages is not None, "every stage is on devices of one model"
    memory = served.memory(grid, stages, place_of(catalog, site))
    counts: dict[str, int] = {}
    for node, count in site.nodes:
        counts[node.name] = counts.get(node.name, 0) + count
    case = case_of(served, catalog, site, grid, stages)
    return Body(
        cluster=cluster_of(catalog, counts),
        cost=cost_of(catalog, counts, site.network, budget=budget, rented=rented),
        layout=layout_of(served, grid),
        verdict=_VERDICTS[memory.fit.verdict],
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
