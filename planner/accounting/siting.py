"""Where a grid runs: nodes, devices used, stages; what it holds and how fast it is there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from planner.accounting.devices import capacity_of
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Network, Node
from planner.engines.grid import Grid, GridMemory, Place
from planner.performance.grid import GridCase, grid_prefill, step_seconds
from planner.performance.grid_calibration import calibration_of
from planner.plan import judged
from planner.served import Served
from planner.topology.domains import domain_of
from planner.values import Range

Stages = tuple[tuple[Gpu, int], ...]
"""Device model and bytes the engine sees of it, per stage; one entry where all are alike."""


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


def memory_of(served: Served, catalog: Catalog, site: Site, grid: Grid) -> GridMemory:
    """What every rank holds of a layout whose stages are each on devices of one model."""
    stages = stages_of(served, catalog, site, grid)
    assert stages is not None, "every stage is on devices of one model"
    return served.memory(grid, stages, place_of(catalog, site))


def case_of(served: Served, catalog: Catalog, site: Site, grid: Grid) -> GridCase:
    """Such a layout as the speed model sees it."""
    stages = stages_of(served, catalog, site, grid)
    assert stages is not None, "every stage is on devices of one model"
    layers = layers_of(served.partition(grid))
    models = [stages[0][0]] * len(layers) if len(stages) == 1 else [gpu for gpu, _ in stages]
    first, _ = site.nodes[0]
    inner = None if first.machines == 1 else catalog.networks[first.built_in_networks[0]]
    slowest = _slowest(catalog, site)
    return GridCase(
        architecture=served.architecture,
        scheme=served.scheme,
        engine=served.engine,
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
    case = case_of(served, catalog, site, grid)
    return step_seconds(case, depth=served.depth, users=users)


def times(served: Served, case: GridCase) -> tuple[int, int]:
    """Nanoseconds per token of all users together at the workload's depth, rounded up.

    The best estimate, and the case a minimum speed is judged by.
    """
    users = served.concurrency
    step = step_seconds(case, depth=served.depth, users=users)
    floor = judged(calibration_of(case), step)
    return math.ceil(step.best / users * 1e9), math.ceil(floor / users * 1e9)


def first_token(served: Served, case: GridCase, tokens: int) -> int:
    """Nanoseconds to the first token of a prompt, in the case a target is judged by."""
    prompt = grid_prefill(case, tokens=min(tokens, served.context))
    return math.ceil(judged(calibration_of(case), prompt.ttft) * 1e9)
