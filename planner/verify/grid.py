"""A grid of vLLM or SGLang, judged: legality, every rank's memory and the limits, done again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planner import market
from planner.accounting import grids, siting
from planner.accounting.siting import Site
from planner.catalog.load import Catalog
from planner.engines.names import TITLES
from planner.errors import PlannerError
from planner.plan import Body, Device, Plan
from planner.request import PlanRequest
from planner.served import Served
from planner.verify.common import (
    budget_sums,
    cluster_limits,
    differences,
    first_token_limit,
    machine_limits,
    network_of,
    node_of,
    proof,
    speed_limit,
)


def check_body(
    request: PlanRequest, served: Served, catalog: Catalog, body: Body
) -> tuple[str, ...]:
    """What is wrong with one plan body for a request; empty where it holds."""
    try:
        found = list(_placement(served, body))
        if found:
            return tuple(found)
        site = site_of(catalog, body)
        found.extend(_rules(served, catalog, body, site))
        if found:
            return tuple(found)
        found.extend(_memory(body.devices))
        again = grids.body(
            served,
            catalog,
            site,
            grids.grid_of(body.layout),
            body.solver,
            input_tokens=request.input_tokens,
            budget=market.budget(request),
            rented=market.rented(request),
        )
        found.extend(_limits(request, served, catalog, body, site))
    except (PlannerError, ValueError, AssertionError) as error:
        return (f"it cannot be: {error}",)
    again = again.model_copy(update={"remedies": body.remedies})
    found.extend(differences("", again, body))
    found.extend(proof(body))
    return tuple(found)


def check_engine(served: Served, catalog: Catalog, plan: Plan) -> Iterator[str]:
    """The settings of a plan are those its memory was counted with."""
    try:
        site = site_of(catalog, plan)
        grid = grids.grid_of(plan.layout)
        stages = siting.stages_of(served, catalog, site, grid)
        if stages is None:
            yield "a stage is on devices of several models"
            return
        place = siting.place_of(catalog, site)
        if served.illegal(grid, place):  # said of the body
            return
        memory = served.memory(grid, stages, place)
    except (PlannerError, ValueError) as error:
        yield f"it cannot be: {error}"
        return
    yield from differences("engine", grids.engine_of(served, memory), plan.engine)


def site_of(catalog: Catalog, body: Body) -> Site:
    """Nodes in the order of the devices, and the devices used of each machine.

    Raises:
        ValueError: the devices are not those of the cluster.
    """
    numbers = {node_of(catalog, body.cluster, device): None for device in body.devices}
    counts: dict[str, int] = {}
    for name, _ in numbers:
        counts[name] = counts.get(name, 0) + 1
    if counts != {entry.node_type: entry.count for entry in body.cluster}:
        raise ValueError("the devices are not those of the cluster")
    nodes = tuple((catalog.node(name), count) for name, count in counts.items())
    used = [device for device in body.devices if device.slots]
    machines = sum(node.machines * count for node, count in nodes)
    each, left = divmod(len(used), machines)
    if left or not each:
        raise ValueError(f"{len(used)} devices are used on {machines} machines: not as many each")
    return Site(nodes=nodes, used=each, network=network_of(catalog, body))


def _placement(served: Served, body: Body) -> Iterator[str]:
    """As many devices as the degrees say, ids unique, every layer once in each replica."""
    layout, devices = body.layout, body.devices
    used = [device for device in devices if device.slots]
    if len({device.id for device in devices}) != len(devices):
        yield "two devices have the same id"
    if layout.replicas != 1:
        yield f"{layout.replicas} replicas, only one can be judged"
    if served.gpus(grids.grid_of(layout)) != len(used):
        yield f"{len(used)} devices, the degrees take {served.gpus(grids.grid_of(layout))}"
    placed, depth = sum(layout.partition), served.architecture.depth
    if placed != depth:
        yield f"{placed} layers are placed, the model has {depth}"
    if len(layout.partition) != layout.pipeline_parallel:
        yield f"{len(layout.partition)} stages have layers, {layout.pipeline_parallel} there are"


def _rules(served: Served, catalog: Catalog, body: Body, site: Site) -> Iterator[str]:
    grid = grids.grid_of(body.layout)
    for reason in served.illegal(grid, siting.place_of(catalog, site)):
        yield f"{TITLES[served.engine]} refuses it: {reason}"


def _memory(devices: Sequence[Device]) -> Iterator[str]:
    """Sums, and no device over its own capacity with all overheads at their upper ends."""
    for device in devices:
        yield from budget_sums(device.id, device.budget)
        if device.capacity_bytes is None:
            if device.slots:
                yield f"{device.id}: no capacity"
        elif device.headroom_bytes != device.capacity_bytes - device.budget.total:
            yield f"{device.id}: headroom is not capacity less total"
        elif device.headroom_bytes < 0:
            yield f"{device.id}: {device.budget.total} bytes needed, {device.capacity_bytes} there"


def _limits(
    request: PlanRequest, served: Served, catalog: Catalog, body: Body, site: Site
) -> Iterator[str]:
    """Those of the cluster, machines, minimum speed."""
    yield from cluster_limits(request, catalog, body)
    yield from machine_limits(request, site.network, site.machines)
    yield from first_token_limit(request, body)
    if market.token_limit(request) is not None:
        case = siting.case_of(served, catalog, site, grids.grid_of(body.layout))
        _, floor = siting.times(served, case)
        yield from speed_limit(request, floor / 1e9, served.concurrency)
