"""A layer split of llama.cpp, judged: every device is asked of the engine's accounting again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from planner import accounting, market
from planner.accounting import Assigned
from planner.catalog.load import Catalog
from planner.catalog.schema import Network
from planner.errors import PlannerError
from planner.plan import Body, Device
from planner.request import PlanRequest
from planner.subject import Subject
from planner.verify.common import (
    budget_sums,
    cluster_limits,
    differences,
    machine_limits,
    network_of,
    node_of,
    proof,
    speed_limit,
)


def check_body(
    request: PlanRequest, subject: Subject, catalog: Catalog, body: Body
) -> tuple[str, ...]:
    """What is wrong with one plan body for a request; empty where it holds."""
    found = list(_placement(subject, body.devices))
    if found:
        return tuple(found)
    try:
        split = split_of(catalog, body)
        network = network_of(catalog, body)
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
    found.extend(differences("", again, body))
    found.extend(proof(body))
    return tuple(found)


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
    if len(used) > subject.max_devices:
        yield f"{len(used)} devices, the engine takes {subject.max_devices}"


def split_of(catalog: Catalog, body: Body) -> tuple[Assigned, ...]:
    """The plan's devices as an assignment; the cluster's node types in order of machines."""
    found = []
    position = 0
    for device in body.devices:
        node_type, number = node_of(catalog, body.cluster, device)
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


def _memory(
    subject: Subject, catalog: Catalog, body: Body, split: Sequence[Assigned]
) -> Iterator[str]:
    """Each device asked of the engine's accounting, and held against its own capacity."""
    count, pipelined = accounting.running(subject, catalog, split)
    for device, assigned in zip(body.devices, split, strict=True):
        budget = device.budget
        yield from budget_sums(device.id, budget)
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
    """Those of the cluster, machines, neighbours, minimum speed."""
    yield from cluster_limits(request, catalog, body)
    machines = len(accounting.machines_in(catalog, split))
    yield from machine_limits(request, network, machines)
    order = [(device.node, device.number) for device in split]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    if changes != len(set(order)) - 1:
        yield "the devices of a node are not neighbours"
    if market.token_limit(request) is not None:
        seconds = accounting.floor_seconds(subject, catalog, split, network)
        yield from speed_limit(request, seconds, subject.concurrency)
