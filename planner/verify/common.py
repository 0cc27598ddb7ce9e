"""What every plan body must hold to, whatever the engine: limits, proof, the same numbers again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planner import accounting, market
from planner.catalog.load import Catalog
from planner.catalog.schema import Network
from planner.plan import Body, ClusterNode, Device, MemoryBudget, judged
from planner.request import PlanRequest
from planner.values import Value

TOLERANCE = 1e-9
MOST_NODES = 1000
"""Nodes of one type in a plan; more is a mistake."""
_ROUNDED = 1e-5
"""Share by which the solver's figures may differ from the plan's own."""
_ROUNDED_PER_SLOT = 2e-9
"""Seconds by which they may besides: its times are whole nanoseconds of a slot and of a hop to the
next, rounded up, which shows in networks of microseconds."""


def cluster_limits(request: PlanRequest, catalog: Catalog, body: Body) -> Iterator[str]:
    """Budget, stock, families and allowed nodes."""
    allowed = {node.name for node, _ in market.considered(request, catalog)}
    stock = {entry.node: entry.count for entry in request.stock}
    for entry in body.cluster:
        node = catalog.node(entry.node_type)
        reason = market.left_out(request, catalog, node, catalog.gpu(node.gpu))
        if node.name not in allowed or reason is not None:
            yield f"{node.name} may not be taken" + (f": {reason}" if reason else "")
        if entry.count > stock.get(node.name, entry.count):
            yield f"{entry.count}x {node.name}, {stock[node.name]} in stock"
    families = {catalog.gpu(catalog.node(e.node_type).gpu).family for e in body.cluster}
    if len(families) > 1 and not request.mixed_families:
        yield f"device families {', '.join(sorted(families))} are mixed"
    cost = body.cost.hourly_usd if market.rented(request) else body.cost.purchase_usd
    budget = market.budget(request)
    if cost is None:
        yield "the cluster has no price"
    elif budget is not None and cost > float(budget) * (1 + TOLERANCE):
        yield f"it costs {cost}, the budget is {budget}"


def machine_limits(request: PlanRequest, network: Network | None, machines: int) -> Iterator[str]:
    """Machines asked for, and joined by the network."""
    if machines > request.max_nodes:
        yield f"{machines} machines, at most {request.max_nodes} asked"
    if network is not None and machines > max(network.ports, network.direct):
        yield f"{machines} machines, {network.name} joins {network.ports}"


def speed_limit(request: PlanRequest, seconds: float, users: int) -> Iterator[str]:
    """Minimum speed, TPOT and throughput, `seconds` being the time of one token of all."""
    limit = market.token_limit(request)
    if limit is not None and seconds > limit * (1 + TOLERANCE):
        yield (f"{1 / (seconds * users):.3f} tokens/s per user, {1 / (limit * users):.3f} asked")


def first_token_limit(request: PlanRequest, body: Body) -> Iterator[str]:
    """The longest wait for a first token."""
    if request.ttft is not None and body.performance:
        speed = body.performance[0]
        seconds = judged(speed.calibration, speed.ttft)
        if seconds > request.ttft * (1 + TOLERANCE):
            yield f"{seconds:.3f} s to the first token, {request.ttft} asked"


def budget_sums(device_id: str, budget: MemoryBudget) -> Iterator[str]:
    """The parts of a budget are its total."""
    parts = budget.weights + budget.kv_cache + budget.compute + budget.runtime + budget.reserve
    if parts != budget.total:
        yield f"{device_id}: the parts are {parts} bytes, the total says {budget.total}"


def proof(body: Body) -> Iterator[str]:
    """Objective, bound and gap agree with each other and with the body."""
    solver = body.solver
    if solver.objective is None or solver.bound is None or not body.performance:
        yield "no objective, no bound or no speed: nothing is proved"
        return
    gap = (solver.objective - solver.bound) / solver.objective if solver.objective else None
    if (gap is None) != (solver.gap is None) or abs((gap or 0) - (solver.gap or 0)) > TOLERANCE:
        yield f"gap is {solver.gap}, should be {gap}"
    cost = body.cost.hourly_usd if "/h" in solver.unit else body.cost.purchase_usd
    parts = {"USD": cost, "USD/h": cost, "s/token": 1 / body.performance[0].tokens_per_second.best}
    true = 1.0
    for part in solver.unit.split(" x "):
        true *= parts.get(part) or 0
    if not abs(true - solver.objective) <= rounding(body) * true:
        yield f"objective is {solver.objective} {solver.unit}, the plan's own is {true}"
    if solver.bound > solver.objective * (1 + TOLERANCE):
        yield f"bound {solver.bound} above objective {solver.objective}"
    if solver.status == "optimal" and solver.bound < solver.objective * (1 - TOLERANCE):
        yield f"called optimal, but bound {solver.bound} is below {solver.objective}"


def rounding(body: Body) -> float:
    """Share of a token's time by which the solver's may differ."""
    slots = sum(device.slots for device in body.devices)
    speed = body.performance[0].tokens_per_second.best
    return max(_ROUNDED, _ROUNDED_PER_SLOT * slots * speed)


def differences(path: str, true: object, said: object) -> Iterator[str]:
    """Fields in which a plan body differs from the same numbers done again."""
    if isinstance(true, Value) and isinstance(said, Value):
        for name in type(true).model_fields:
            where = f"{path}.{name}" if path else name
            yield from differences(where, getattr(true, name), getattr(said, name))
    elif isinstance(true, tuple) and isinstance(said, tuple):
        if len(true) != len(said):
            yield f"{path} has {len(said)} entries, should have {len(true)}"
            return
        for index, (a, b) in enumerate(zip(true, said, strict=True)):
            yield from differences(f"{path}[{index}]", a, b)
    elif isinstance(true, float) and isinstance(said, (int, float)):
        if not abs(true - said) <= TOLERANCE * abs(true):
            yield f"{path} is {said}, should be {true}"
    elif true != said:
        yield f"{path} is {said}, should be {true}"


def network_of(catalog: Catalog, body: Body) -> Network | None:
    """The network that joins the nodes of a body; None for a single node.

    Raises:
        ValueError: there is none where there must be, or the other way round.
    """
    nodes = sum(entry.count for entry in body.cluster)
    name = body.cost.network
    if (name is None) != (nodes == 1):
        raise ValueError(f"{nodes} nodes joined by network {name}")
    if name is None:
        return None
    if name not in catalog.networks:
        raise ValueError(f"no network '{name}' in the catalog")
    for entry in body.cluster:
        if name not in catalog.node(entry.node_type).networks:
            raise ValueError(f"{entry.node_type} cannot join network {name}")
    return catalog.networks[name]


def node_of(catalog: Catalog, cluster: Sequence[ClusterNode], device: Device) -> tuple[str, int]:
    """Node type and number of a device, as its id says.

    Raises:
        ValueError: no machine of the cluster has it.
    """
    for entry in cluster:
        node = catalog.node(entry.node_type)
        if entry.count > MOST_NODES:
            raise ValueError(f"{entry.count} nodes of {entry.node_type}")
        for number in range(1, entry.count + 1):
            for index in range(node.gpus):
                machine = accounting.machine_of(node, number, index)
                if device.id == f"{machine}.{index}" and device.node == machine:
                    return entry.node_type, number
    raise ValueError(f"device {device.id} is in no machine of the cluster")
