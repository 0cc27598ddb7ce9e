"""An exhaustive search over clusters and uniform grids, slow and plain: no code of the search.

Every multiset of at most two node types, every network, every number of used devices, every grid
the engine's rules name. What is shared is the physics (legality, memory, times), the prices, and
for stages on different devices the rule by which layers move from the fullest stage.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from planner import cost, market
from planner.accounting import siting
from planner.accounting.siting import Site
from planner.catalog.load import Catalog
from planner.catalog.schema import Network, Node
from planner.engines.grid import Grid, Place
from planner.performance.grid_case import GridCase
from planner.request import PlanRequest
from planner.served import Served
from planner.solver.grid_layouts import Layouts

MICRO = 10**6
"""Money units in one USD."""

Nodes = tuple[tuple[Node, int], ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A layout that fits, on a cluster, with its money and its two times."""

    served: Served
    case: GridCase
    nodes: Nodes
    site: Site
    grid: Grid
    cost: int
    best: int
    floor: int

    @property
    def machines(self) -> int:
        """Machines in all."""
        return sum(node.machines * count for node, count in self.nodes)

    def first(self, tokens: int) -> int:
        """Nanoseconds to the first token of a prompt."""
        return siting.first_token(self.served, self.case, tokens)

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """Node types by name."""
        return tuple((node.name, count) for node, count in self.nodes)

    @property
    def mixed(self) -> bool:
        """Whether it is on two node types."""
        return len(self.nodes) > 1

    @property
    def joined(self) -> bool:
        """Whether it is on several nodes."""
        return sum(count for _, count in self.nodes) > 1

    def score(self, goal: str) -> int:
        """What a goal minimises."""
        return {
            "cost": self.cost,
            "latency": self.best,
            "floor": self.floor,
            "value": self.cost * self.best,
        }[goal]


def plans(request: PlanRequest, catalog: Catalog, served: Served) -> tuple[Plan, ...]:
    """Every layout that fits on every cluster of at most `max_nodes` machines.

    Budget, stock and speeds are not asked: `within` does.
    """
    layouts = Layouts(served, catalog)
    return tuple(
        plan
        for nodes in _multisets(request, catalog)
        for network in _networks(catalog, nodes)
        for plan in _plans(request, catalog, layouts, nodes, network)
    )


def within(found: tuple[Plan, ...], request: PlanRequest) -> tuple[Plan, ...]:
    """Those that keep the request's budget, stock, machines, minimum speed and first token."""
    budget = market.budget(request)
    stock = {entry.node: entry.count for entry in request.stock}
    speed = request.min_speed * request.concurrency
    return tuple(
        plan
        for plan in found
        if (budget is None or plan.cost <= budget * MICRO)
        and all(count <= stock.get(node.name, count) for node, count in plan.nodes)
        and plan.machines <= request.max_nodes
        and plan.floor * speed <= 1e9
        and (
            request.ttft is None
            or plan.first(request.input_tokens) <= math.floor(request.ttft * 1e9)
        )
    )


def optimum(found: tuple[Plan, ...], goal: str) -> int | None:
    """The least score; None where there is no plan."""
    return min((plan.score(goal) for plan in found), default=None)


def sites(nodes: Nodes, network: Network | None) -> Iterator[Site]:
    """All devices of machines that have as many, or a power of two of every machine."""
    each = [node.gpus // node.machines for node, _ in nodes]
    for used in range(1, min(each) + 1):
        if used & (used - 1) == 0 or (used == min(each) == max(each)):
            yield Site(nodes=nodes, used=used, network=network)


def layouts_of(served: Served, catalog: Catalog, site: Site) -> Iterator[tuple[Grid, Place]]:
    """Every grid of a site that the engine accepts, layers shared out by memory if mixed."""
    place = siting.place_of(catalog, site)
    for grid in served.grids(place):
        stages = siting.stages_of(served, catalog, site, grid)
        if stages is None:
            continue
        if len(stages) > 1:
            grid = replace(grid, partition=by_memory(served, stages))
        if not served.illegal(grid, place):
            yield grid, place


def by_memory(served: Served, stages: siting.Stages) -> tuple[int, ...]:
    """Layers of each stage: up to each stage's end, the nearest share of all layers."""
    layers, total = served.architecture.depth, sum(seen for _, seen in stages)
    partition: list[int] = []
    for end in range(1, len(stages) + 1):
        until = round(layers * sum(seen for _, seen in stages[:end]) / total)
        partition.append(until - sum(partition))
    return tuple(partition)


def _multisets(request: PlanRequest, catalog: Catalog) -> Iterator[Nodes]:
    types = [
        node
        for node, gpu in market.considered(request, catalog)
        if market.left_out(request, catalog, node, gpu) is None
    ]
    counts = range(1, request.max_nodes + 1)
    for node, count in itertools.product(types, counts):
        if node.machines * count <= request.max_nodes:
            yield ((node, count),)
    for one, other in itertools.combinations(types, 2):
        if catalog.gpu(one.gpu).family != catalog.gpu(other.gpu).family:
            continue
        for first, second in itertools.product(counts, counts):
            if one.machines * first + other.machines * second <= request.max_nodes:
                yield (one, first), (other, second)


def _networks(catalog: Catalog, nodes: Nodes) -> Iterator[Network | None]:
    if sum(count for _, count in nodes) == 1:
        yield None
        return
    machines = sum(node.machines * count for node, count in nodes)
    for network in catalog.networks.values():
        joins = all(network.name in node.networks for node, _ in nodes)
        if joins and machines <= max(network.ports, network.direct):
            yield network


def _plans(
    request: PlanRequest, catalog: Catalog, layouts: Layouts, nodes: Nodes, network: Network | None
) -> Iterator[Plan]:
    served = layouts.served
    money = money_of(request, catalog, nodes, network)
    for site in sites(nodes, network):
        for grid, place in layouts_of(served, catalog, site):
            held = _held(layouts, catalog, site, grid, place)
            if held is None:
                continue
            stages = siting.stages_of(served, catalog, site, held)
            assert stages is not None
            case = siting.case_of(served, catalog, site, held)
            best, floor = siting.times(served, case)
            yield Plan(
                served=served,
                case=case,
                nodes=nodes,
                site=site,
                grid=held,
                cost=money,
                best=best,
                floor=floor,
            )


def _held(layouts: Layouts, catalog: Catalog, site: Site, grid: Grid, place: Place) -> Grid | None:
    """The layout where every rank holds its part, layers moved if mixed; None where none does."""
    if grid.partition:
        return layouts.fitting(site, grid)
    stages = siting.stages_of(layouts.served, catalog, site, grid)
    assert stages is not None
    memory = layouts.served.memory(grid, stages, place)
    return grid if all(rank.total <= rank.device for rank in memory.ranks) else None


def money_of(request: PlanRequest, catalog: Catalog, nodes: Nodes, network: Network | None) -> int:
    """Money units of the whole cluster."""
    whole = cost.cluster_cost(catalog, nodes, network)
    if market.rented(request):
        assert whole.hourly is not None
        spent: Decimal = whole.hourly
    else:
        assert whole.purchase is not None
        spent = whole.purchase[1]
    money = spent * MICRO
    assert money == int(money), "prices are in whole money units"
    return int(money)
