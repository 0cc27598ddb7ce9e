"""Judges a plan from the physics alone: what it says must be true of its own split and cluster.

Knows nothing of the solver. Every device is asked of the engine's accounting again, every sum is
done again, every limit of the request is held against the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from planner import accounting, market
from planner.accounting import Assigned
from planner.catalog.load import Catalog
from planner.catalog.schema import Network
from planner.errors import PlannerError
from planner.model.tensors import active_parameters
from planner.plan import Body, ClusterNode, Device, Plan
from planner.request import PlanRequest
from planner.subject import Subject, subject_of_request
from planner.values import Value

_TOLERANCE = 1e-9
MOST_NODES = 1000
"""Nodes of one type in a plan; more is a mistake."""
_ROUNDED = 1e-5
"""Share by which the solver's figures may differ from the plan's own."""
_ROUNDED_PER_SLOT = 2e-9
"""Seconds by which they may besides: its times are whole nanoseconds of a slot and of a hop to the
next, rounded up, which shows in networks of microseconds."""


def verify(plan: Plan, catalog: Catalog) -> tuple[str, ...]:
    """What is wrong with a plan, one sentence each; empty where it holds.

    Raises:
        PlannerError: the plan names a model, quantization or build the catalogs do not have.
    """
    subject = subject_of_request(plan.request, catalog, plan.model.quant)
    found = list(_summary(plan, subject, catalog))
    found.extend(check_body(plan.request, subject, catalog, plan))
    choices = plan.choices
    named = {"best value": choices.best_value, "fastest": choices.fastest}
    for name, choice in {"cheapest": choices.cheapest, **named}.items():
        if choice is None:
            found.append(f"the choice '{name}' is missing")
    bodies = {name: body for name, body in named.items() if body is not None}
    bodies |= {f"alternative {entry.name}": entry.body for entry in plan.alternatives}
    for name, body in bodies.items():
        wrong = check_body(plan.request, subject, catalog, body)
        found.extend(f"{name}: {text}" for text in wrong)
    if choices.cheapest is not None:
        top = Body(**{name: getattr(plan, name) for name in Body.model_fields})
        found.extend(f"cheapest: {text}" for text in _differences("", top, choices.cheapest))
    if not found:
        found.extend(_contradictions(plan, [plan, *bodies.values()]))
    return tuple(found)


def _contradictions(plan: Plan, bodies: Sequence[Body]) -> Iterator[str]:
    """Choices that another cluster of the same answer beats at its own goal."""

    def money(body: Body) -> float:
        spent = body.cost.hourly_usd if market.rented(plan.request) else body.cost.purchase_usd
        assert spent is not None
        return spent

    def seconds(body: Body) -> float:
        return 1 / body.performance[0].tokens_per_second.best

    goals = {
        "cheapest": (plan.choices.cheapest, money),
        "fastest": (plan.choices.fastest, seconds),
        "best value": (plan.choices.best_value, lambda body: money(body) * seconds(body)),
    }
    for name, (choice, score) in goals.items():
        assert choice is not None
        best = min(score(body) for body in bodies)
        if choice.solver.status == "optimal" and score(choice) > best * (1 + _rounding(choice)):
            yield f"the {name} is beaten by another cluster of the same answer"


def check_body(
    request: PlanRequest, subject: Subject, catalog: Catalog, body: Body
) -> tuple[str, ...]:
    """What is wrong with one plan body for a request; empty where it holds."""
    found = list(_placement(subject, body.devices))
    if found:
        return tuple(found)
    try:
        split = split_of(catalog, body)
        network = _network(catalog, body)
        found.extend(_memory(subject, catalog, body, split))
        found.extend(_limits(request, subject, catalog, body, split, network))
        again = accounting.body(
            subject,
            catalog,
            split,
            network,
            body.solver,
            input_tokens=request.input_tokens,
            budget=market.budget(request),
            rented=market.rented(request),
        )
    except (PlannerError, ValueError) as error:
        return (*found, f"it cannot be: {error}")
    again = again.model_copy(update={"remedies": body.remedies})
    found.extend(_differences("", again, body))
    found.extend(_proof(body))
    return tuple(found)


def _summary(plan: Plan, subject: Subject, catalog: Catalog) -> Iterator[str]:
    """Model and settings as asked and as planned."""
    asked = plan.request.quant
    if asked != "auto" and catalog.quantization(asked).name != plan.model.quant:
        yield f"{asked} was asked, the plan is for {plan.model.quant}"
    if plan.download is not None and plan.download.bytes != subject.weights.total_bytes:
        yield f"download.bytes is {plan.download.bytes}, the file has {subject.weights.total_bytes}"
    engine, settings = plan.engine, subject.settings
    pairs = [
        ("model.layers", plan.model.layers, subject.architecture.depth),
        ("model.parameters", plan.model.parameters, subject.row.parameters),
        (
            "model.active_parameters",
            plan.model.active_parameters,
            active_parameters(subject.architecture),
        ),
        ("engine.name", engine.name, subject.build.engine),
        ("model.name", plan.model.name, subject.row.name),
        ("model.context", plan.model.context, subject.context),
        ("model.concurrency", plan.model.concurrency, subject.concurrency),
        ("model.file_bytes", plan.model.file_bytes, subject.weights.total_bytes),
        ("engine.build", engine.build, subject.build.name),
        ("engine.context", engine.context, settings.context),
        ("engine.slots", engine.slots, settings.slots),
        ("engine.ubatch", engine.ubatch, settings.ubatch),
        ("engine.batch", engine.batch, settings.batch),
        ("engine.kv_type", engine.kv_type, settings.key_type),
        ("engine.flash_attention", engine.flash_attention, settings.flash_attention),
        ("engine.swa_full", engine.swa_full, settings.swa_full),
    ]
    for name, said, true in pairs:
        if said != true:
            yield f"{name} is {said}, should be {true}"


def _placement(subject: Subject, devices: Sequence[Device]) -> Iterator[str]:
    """Every slot once and in order, the output last, stages counted, ids unique."""
    used = [device for device in devices if device.slots]
    if len({device.id for device in devices}) != len(devices):
        yield "two devices have the same id"
    if [device.stage for device in used] != list(range(len(used))):
        yield "stages are not numbered in pipeline order"
    total = sum(device.slots for device in used)
    if total != subject.slots or any(device.slots < 0 for device in devices):
        yield f"{total} slots are placed, the model has {subject.slots}"
    layer = 0
    for device in used:
        held = range(device.first_layer or 0, (device.last_layer or 0) + 1)
        count = 0 if device.first_layer is None or device.last_layer is None else len(held)
        if count and device.first_layer != layer:
            yield f"{device.id} starts at layer {device.first_layer}, {layer} is next"
        layer += count
    if layer != subject.architecture.depth:
        yield f"{layer} layers are placed, the model has {subject.architecture.depth}"
    if [device.id for device in devices if device.output] != [used[-1].id if used else None]:
        yield "the output is not on the last device alone"
    if len(used) > subject.build.max_devices:
        yield f"{len(used)} devices, the engine takes {subject.build.max_devices}"


def split_of(catalog: Catalog, body: Body) -> tuple[Assigned, ...]:
    """The plan's devices as an assignment; the cluster's node types in order of machines."""
    found = []
    position = 0
    for device in body.devices:
        node_type, number = _node_of(catalog, body.cluster, device)
        index = int(device.id.rpartition(".")[2])
        found.append(
            Assigned(
                node=node_type,
                number=number,
                index=index,
                first=position,
                stop=position + device.slots,
            )
        )
        position += device.slots
    return tuple(found)


def _node_of(catalog: Catalog, cluster: Sequence[ClusterNode], device: Device) -> tuple[str, int]:
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


def _network(catalog: Catalog, body: Body) -> Network | None:
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


def _memory(
    subject: Subject, catalog: Catalog, body: Body, split: Sequence[Assigned]
) -> Iterator[str]:
    """Each device asked of the engine's accounting, and held against its own capacity."""
    count, pipelined = accounting.running(subject, catalog, split)
    for device, assigned in zip(body.devices, split, strict=True):
        budget = device.budget
        parts = budget.weights + budget.kv_cache + budget.compute + budget.runtime + budget.reserve
        if parts != budget.total:
            yield f"{device.id}: the parts are {parts} bytes, the total says {budget.total}"
        if device.capacity_bytes is None:
            yield f"{device.id}: no capacity"
        elif device.headroom_bytes != device.capacity_bytes - budget.total:
            yield f"{device.id}: headroom is not capacity less total"
        elif budget.total > device.capacity_bytes:
            yield f"{device.id}: {budget.total} bytes needed, {device.capacity_bytes} there"
        if assigned.stop == assigned.first:
            continue
        graph = subject.memory.device(
            assigned.first, assigned.stop, devices=count, pipelined=pipelined
        )
        said = (budget.weights, budget.kv_cache, budget.compute)
        if said != tuple(graph):
            yield f"{device.id}: weights, cache, compute are {said}, the engine takes {graph[:]}"
    for host in body.hosts:
        room = None if host.unified else host.memory_bytes
        if room is not None and host.budget.total > room:
            yield f"{host.node}: {host.budget.total} bytes of host memory needed"


def _limits(
    request: PlanRequest,
    subject: Subject,
    catalog: Catalog,
    body: Body,
    split: Sequence[Assigned],
    network: Network | None,
) -> Iterator[str]:
    """Budget, stock, machines, families, allowed nodes, neighbours, minimum speed."""
    allowed = {node.name for node, _ in market.considered(request, catalog)}
    stock = {entry.node: entry.count for entry in request.stock}
    for entry in body.cluster:
        node = catalog.node(entry.node_type)
        reason = market.left_out(request, catalog, node, catalog.gpu(node.gpu))
        if node.name not in allowed or reason is not None:
            yield f"{node.name} may not be taken" + (f": {reason}" if reason else "")
        if entry.count > stock.get(node.name, entry.count):
            yield f"{entry.count}x {node.name}, {stock[node.name]} in stock"
    machines = len(accounting.machines_in(catalog, split))
    if machines > request.max_nodes:
        yield f"{machines} machines, at most {request.max_nodes} asked"
    if network is not None and machines > max(network.ports, network.direct):
        yield f"{machines} machines, {network.name} joins {network.ports}"
    families = {catalog.gpu(catalog.node(e.node_type).gpu).family for e in body.cluster}
    if len(families) > 1 and not request.mixed_families:
        yield f"device families {', '.join(sorted(families))} are mixed"
    order = [(device.node, device.number) for device in split]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    if changes != len(set(order)) - 1:
        yield "the devices of a node are not neighbours"
    cost = body.cost.hourly_usd if market.rented(request) else body.cost.purchase_usd
    budget = market.budget(request)
    if cost is None:
        yield "the cluster has no price"
    elif budget is not None and cost > float(budget) * (1 + _TOLERANCE):
        yield f"it costs {cost}, the budget is {budget}"
    if request.min_speed > 0:
        seconds = accounting.floor_seconds(subject, catalog, split, network)
        speed = 1 / (seconds * subject.concurrency)
        if speed < request.min_speed * (1 - _TOLERANCE):
            yield f"{speed:.3f} tokens/s per user, {request.min_speed} asked"


def _proof(body: Body) -> Iterator[str]:
    solver = body.solver
    if solver.objective is None or solver.bound is None or not body.performance:
        yield "no objective, no bound or no speed: nothing is proved"
        return
    gap = (solver.objective - solver.bound) / solver.objective if solver.objective else None
    if (gap is None) != (solver.gap is None) or abs((gap or 0) - (solver.gap or 0)) > _TOLERANCE:
        yield f"gap is {solver.gap}, should be {gap}"
    cost = body.cost.hourly_usd if "/h" in solver.unit else body.cost.purchase_usd
    parts = {"USD": cost, "USD/h": cost, "s/token": 1 / body.performance[0].tokens_per_second.best}
    true = 1.0
    for part in solver.unit.split(" x "):
        true *= parts.get(part) or 0
    if not abs(true - solver.objective) <= _rounding(body) * true:
        yield f"objective is {solver.objective} {solver.unit}, the plan's own is {true}"
    if solver.bound > solver.objective * (1 + _TOLERANCE):
        yield f"bound {solver.bound} above objective {solver.objective}"
    if solver.status == "optimal" and solver.bound < solver.objective * (1 - _TOLERANCE):
        yield f"called optimal, but bound {solver.bound} is below {solver.objective}"


def _rounding(body: Body) -> float:
    """Share of a token's time by which the solver's may differ."""
    slots = sum(device.slots for device in body.devices)
    speed = body.performance[0].tokens_per_second.best
    return max(_ROUNDED, _ROUNDED_PER_SLOT * slots * speed)


def _differences(path: str, true: object, said: object) -> Iterator[str]:
    """Fields in which a plan body differs from the same numbers done again."""
    if isinstance(true, Value) and isinstance(said, Value):
        for name in type(true).model_fields:
            where = f"{path}.{name}" if path else name
            yield from _differences(where, getattr(true, name), getattr(said, name))
    elif isinstance(true, tuple) and isinstance(said, tuple):
        if len(true) != len(said):
            yield f"{path} has {len(said)} entries, should have {len(true)}"
            return
        for index, (a, b) in enumerate(zip(true, said, strict=True)):
            yield from _differences(f"{path}[{index}]", a, b)
    elif isinstance(true, float) and isinstance(said, (int, float)):
        if not abs(true - said) <= _TOLERANCE * abs(true):
            yield f"{path} is {said}, should be {true}"
    elif true != said:
        yield f"{path} is {said}, should be {true}"
