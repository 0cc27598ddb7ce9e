"""From a cluster and a split to the numbers of a plan: memory, money, speed. No choices here.

Used by the solver to write its answer, by `evaluate`, and, device by device, by `verify`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from planner import cost
from planner.catalog import prices
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Network, Node
from planner.engines.llama_cpp import overheads
from planner.model.architecture import MixtureOfExperts
from planner.performance import calibration, estimate, roofline
from planner.performance.prefill import Stage
from planner.plan import (
    Body,
    ClusterNode,
    Cost,
    Device,
    Host,
    Layout,
    MemoryBudget,
    Performance,
    Prefill,
    Solver,
    Verdict,
)
from planner.subject import Subject
from planner.values import Range

TIGHT_SHARE = 0.02
"""Headroom under this share of a device is `tight`: legal, flagged."""
ASSUMED_RESERVED = 650 * 2**20
"""Bytes a driver keeps on an idle device where nobody has published it; known: 479-614 MiB."""
PREFILL_TOKENS = (4_000, 100_000)
"""Prompts whose time to first token every answer gives."""
_NO_MEMORY = MemoryBudget(weights=0, kv_cache=0, compute=0, runtime=0, reserve=0, total=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """One device and its slots [first, stop); first == stop where it idles."""

    node: str
    """Node type."""
    number: int
    """Which node of that type in the cluster, from 1."""
    index: int
    """Which device of that node, from 0."""
    first: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Memory free on an idle device, bytes, and what was assumed to know it."""

    bytes: int
    assumption: str | None


def capacity_of(gpu: Gpu) -> Capacity | None:
    """Memory free on an idle device; None where its memory is not known."""
    if gpu.usable_memory is None:
        return None
    if gpu.reserved_memory is not None:
        return Capacity(bytes=gpu.usable_memory - gpu.reserved_memory, assumption=None)
    if gpu.unified:
        return Capacity(bytes=gpu.usable_memory, assumption=None)
    return Capacity(
        bytes=gpu.usable_memory - ASSUMED_RESERVED,
        assumption=f"{gpu.title}: the driver keeps {ASSUMED_RESERVED // 2**20} MiB of an idle "
        "device (not published; cards that are known keep 479-614 MiB)",
    )


def machine_of(node: Node, number: int, index: int) -> str:
    """Name of the machine a device is in: `dgx-h100-1`; `dgx-spark-pair-1b` inside linked ones."""
    if node.machines == 1:
        return f"{node.name}-{number}"
    letter = "abcdefghijklmnopqrstuvwxyz"[index * node.machines // node.gpus]
    return f"{node.name}-{number}{letter}"


def machines_in(catalog: Catalog, devices: Sequence[Assigned]) -> list[str]:
    """Machines of a cluster in pipeline order, each once; the head first."""
    names = (machine_of(catalog.node(d.node), d.number, d.index) for d in devices)
    return list(dict.fromkeys(names))


def head_bytes(subject: Subject, gpu: Gpu, *, devices: int, pipelined: bool) -> int:
    """Bytes of the host's buffers that land in the memory of a unified head device."""
    if not gpu.unified:
        return 0
    host = subject.memory.host(devices=devices, pipelined=pipelined)
    return sum(host)


def device_budget(
    subject: Subject, gpu: Gpu, first: int, stop: int, *, devices: int, pipelined: bool
) -> MemoryBudget:
    """What one device holds for slots [first, stop), runtime and reserve included, bytes."""
    if first == stop:
        return _NO_MEMORY
    graph = subject.memory.device(first, stop, devices=devices, pipelined=pipelined)
    runtime = overheads.runtime(gpu, subject.architecture, subject.settings).bytes
    if overheads.pads_rows(gpu):
        runtime += subject.memory.cuda_padding(first, stop)
    if first == 0:
        runtime += head_bytes(subject, gpu, devices=devices, pipelined=pipelined)
    total = sum(graph) + runtime + overheads.RESERVE
    return MemoryBudget(
        weights=graph.weights,
        kv_cache=graph.kv_cache,
        compute=graph.compute,
        runtime=runtime,
        reserve=overheads.RESERVE,
        total=total,
    )


def verdict_of(devices: Sequence[Device]) -> Verdict:
    """`fits`, `tight` under 2 % of a device free, `no` where a device is over."""
    shares = [
        device.headroom_bytes / device.capacity_bytes
        for device in devices
        if device.headroom_bytes is not None and device.capacity_bytes
    ]
    if any(share < 0 for share in shares):
        return "no"
    return "tight" if any(share < TIGHT_SHARE for share in shares) else "fits"


def devices_of(subject: Subject, catalog: Catalog, split: Sequence[Assigned]) -> tuple[Device, ...]:
    """Every device with its layers and memory; stages count only devices with slots."""
    used = [device for device in split if device.stop > device.first]
    pipelined = subject.pipelined(len(used), len(machines_in(catalog, used)))
    depth = subject.architecture.depth
    found = []
    stage = 0
    for assigned in split:
        node = catalog.node(assigned.node)
        gpu = catalog.gpu(node.gpu)
        free = capacity_of(gpu)
        capacity = 0 if free is None else free.bytes
        budget = device_budget(
            subject, gpu, assigned.first, assigned.stop, devices=len(used), pipelined=pipelined
        )
        last = min(assigned.stop, depth) - 1
        has_layer = assigned.first <= last
        machine = machine_of(node, assigned.number, assigned.index)
        idle = assigned.first == assigned.stop
        found.append(
            Device(
                id=f"{machine}.{assigned.index}",
                node=machine,
                gpu=gpu.name,
                replica=0,
                stage=None if idle else stage,
                first_layer=assigned.first if has_layer else None,
                last_layer=last if has_layer else None,
                output=assigned.stop == subject.slots and not idle,
                experts=experts_held(subject, assigned.first, last),
                slots=assigned.stop - assigned.first,
                capacity_bytes=capacity,
                headroom_bytes=capacity - budget.total,
                budget=budget,
            )
        )
        stage += not idle
    return tuple(found)


def experts_held(subject: Subject, first: int, last: int) -> int | None:
    """Routed experts per mixture-of-experts layer in layers [first, last]; None without any."""
    layers = subject.architecture.layers[first : last + 1]
    held = [x.feed_forward.experts for x in layers if isinstance(x.feed_forward, MixtureOfExperts)]
    return max(held, default=None)


def hosts_of(subject: Subject, catalog: Catalog, split: Sequence[Assigned]) -> tuple[Host, ...]:
    """Memory of every machine outside its devices; the head holds embedding and graph inputs."""
    used = [device for device in split if device.stop > device.first]
    pipelined = subject.pipelined(len(used), len(machines_in(catalog, used)))
    hosts = []
    for number, name in enumerate(machines_in(catalog, split)):
        node = next(
            catalog.node(d.node)
            for d in split
            if machine_of(catalog.node(d.node), d.number, d.index) == name
        )
        whole = node.host_memory
        host = Host(
            node=name,
            memory_bytes=None if whole is None else whole // node.machines,
            unified=catalog.gpu(node.gpu).unified,
            budget=_NO_MEMORY,
        )
        if number == 0:
            head = head_host(subject, name, devices=len(used), pipelined=pipelined)
            host = host.model_copy(update={"budget": head.budget})
        hosts.append(host)
    return tuple(hosts)


def head_host(subject: Subject, name: str, *, devices: int, pipelined: bool) -> Host:
    """The machine llama-server runs on, of unknown memory: embedding and graph inputs."""
    memory = subject.memory.host(devices=devices, pipelined=pipelined)
    budget = MemoryBudget(
        weights=memory.weights,
        kv_cache=memory.kv_cache,
        compute=memory.compute,
        runtime=0,
        reserve=0,
        total=sum(memory),
    )
    return Host(node=name, memory_bytes=None, unified=False, budget=budget)


def slot_seconds(subject: Subject, gpu: Gpu, depth: int) -> tuple[Range, ...]:
    """Seconds per slot of one token with `depth` tokens cached."""
    return roofline.slot_seconds(
        subject.architecture,
        subject.weights,
        gpu,
        depth=depth,
        kv_type=subject.settings.key_type,
    )


def inner_network(catalog: Catalog, node: Node) -> Network | None:
    """What joins neighbouring devices of a node: None inside a machine."""
    return None if node.machines == 1 else catalog.networks[node.built_in_networks[0]]


def inner_hop(catalog: Catalog, node: Node) -> Range:
    """Seconds of one hop between neighbouring devices of a node."""
    network = inner_network(catalog, node)
    return roofline.local_hop() if network is None else roofline.network_hop(network)


def stages_of(
    catalog: Catalog, split: Sequence[Assigned], network: Network | None
) -> tuple[list[Stage], list[Network | None]]:
    """Devices with their slots, and what joins each to the next; None inside a machine."""
    used = [device for device in split if device.stop > device.first]
    stages = [(catalog.gpu(catalog.node(d.node).gpu), d.first, d.stop) for d in used]
    joins: list[Network | None] = []
    for before, device in itertools.pairwise(used):
        if (before.node, before.number) == (device.node, device.number):
            joins.append(inner_network(catalog, catalog.node(device.node)))
        else:
            joins.append(network)
    return stages, joins


def performance_of(
    subject: Subject,
    catalog: Catalog,
    split: Sequence[Assigned],
    network: Network | None,
    input_tokens: int,
) -> tuple[Performance, ...]:
    """Speed at the workload's depth and with every context full."""
    stages, joins = stages_of(catalog, split, network)
    return tuple(
        estimate.performance_of(
            subject.architecture,
            subject.weights,
            stages,
            joins,
            depth=depth,
            input_tokens=min(input_tokens, subject.context),
            kv_type=subject.settings.key_type,
            ubatch=subject.settings.step_tokens,
            users=subject.concurrency,
        )
        for depth in dict.fromkeys((subject.depth, subject.context))
    )


def prefills_of(
    subject: Subject, catalog: Catalog, split: Sequence[Assigned], network: Network | None
) -> tuple[Prefill, ...]:
    """Time to first token of a 4k and a 100k prompt, as far as the context holds them."""
    stages, joins = stages_of(catalog, split, network)
    return tuple(
        estimate.prefill_of(
            subject.architecture,
            subject.weights,
            stages,
            joins,
            tokens=tokens,
            ubatch=subject.settings.step_tokens,
        )
        for tokens in dict.fromkeys(min(tokens, subject.context) for tokens in PREFILL_TOKENS)
    )


def cluster_of(catalog: Catalog, counts: dict[str, int]) -> tuple[ClusterNode, ...]:
    """Each node type of the cluster with its prices."""
    found = []
    for name, count in counts.items():
        node = catalog.node(name)
        gpu = catalog.gpu(node.gpu)
        price = prices.purchase_quote(catalog, node)
        rent = prices.hourly_quote(catalog, node)
        shown = price or rent
        found.append(
            ClusterNode(
                node_type=name,
                title=node.title,
                count=count,
                machines=node.machines,
                gpu=gpu.name,
                gpus_per_node=node.gpus,
                family=gpu.family,
                purchase_usd=None if price is None else float(price.mid),
                purchase_low_usd=None if price is None else float(price.low),
                purchase_high_usd=None if price is None else float(price.high),
                hourly_usd=None if rent is None else float(rent.mid),
                price_source="none" if shown is None else shown.source,
                price_date=None if shown is None else shown.date.isoformat(),
                power_w=node.power,
                rack_units=node.rack_units,
                setting_command=None if gpu.setting is None else gpu.setting.command,
            )
        )
    return tuple(found)


def cost_of(
    catalog: Catalog,
    cluster: Sequence[ClusterNode],
    network: Network | None,
    *,
    budget: Decimal | None = None,
    rented: bool = False,
) -> Cost:
    """Money and power of the whole cluster; a sum is null where a part has no figure."""
    nodes = [(catalog.node(entry.node_type), entry.count) for entry in cluster]
    joining = cost.joining_cost(network, nodes)
    purchase = {
        level: _sum([(getattr(entry, level), entry.count) for entry in cluster])
        for level in ("purchase_usd", "purchase_low_usd", "purchase_high_usd")
    }
    hourly = _sum([(entry.hourly_usd, entry.count) for entry in cluster])
    spent = hourly if rented else _plus(purchase["purchase_usd"], float(joining))
    return Cost(
        purchase_usd=_plus(purchase["purchase_usd"], float(joining)),
        purchase_low_usd=_plus(purchase["purchase_low_usd"], float(joining)),
        purchase_high_usd=_plus(purchase["purchase_high_usd"], float(joining)),
        network_usd=float(joining),
        network=None if network is None else network.name,
        hourly_usd=hourly,
        power_w=_sum([(entry.power_w, entry.count) for entry in cluster]),
        rack_units=_sum([(entry.rack_units, entry.count) for entry in cluster]),
        remaining_usd=None if budget is None or spent is None else float(budget) - spent,
    )


def _sum(figures: Sequence[tuple[float | None, int]]) -> float | None:
    total = 0.0
    for value, count in figures:
        if value is None:
            return None
        total += value * count
    return round(total, 4)


def _plus(value: float | None, more: float) -> float | None:
    return None if value is None else value + more


def body(
    subject: Subject,
    catalog: Catalog,
    split: Sequence[Assigned],
    network: Network | None,
    solver: Solver,
    *,
    input_tokens: int,
    budget: Decimal | None = None,
    rented: bool = False,
) -> Body:
    """The whole plan body of a split."""
    counts: dict[str, int] = {}
    for name, _ in dict.fromkeys((device.node, device.number) for device in split):
        counts[name] = counts.get(name, 0) + 1
    cluster = cluster_of(catalog, counts)
    devices = devices_of(subject, catalog, split)
    return Body(
        cluster=cluster,
        cost=cost_of(catalog, cluster, network, budget=budget, rented=rented),
        layout=Layout(pipeline_parallel=sum(device.slots > 0 for device in devices)),
        verdict=verdict_of(devices),
        devices=devices,
        hosts=hosts_of(subject, catalog, split),
        performance=performance_of(subject, catalog, split, network, input_tokens),
        prefill=prefills_of(subject, catalog, split, network),
        solver=solver,
    )


def floor_case(subject: Subject, gpu: Gpu) -> Literal["low", "best"]:
    """The case a minimum speed is judged by: `low` where calibrated, `best` where not."""
    return "low" if calibration.is_calibrated(subject.architecture, gpu) else "best"


def floor_seconds(
    subject: Subject, catalog: Catalog, split: Sequence[Assigned], network: Network | None
) -> float:
    """Seconds per token at the workload's depth, each part in the case it is judged by.

    Hops between machines are a prior, so they count as best.
    """
    used = [device for device in split if device.stop > device.first]
    total = 0.0
    before: Assigned | None = None
    for device in used:
        node = catalog.node(device.node)
        gpu = catalog.gpu(node.gpu)
        case = floor_case(subject, gpu)
        times = slot_seconds(subject, gpu, subject.depth)
        total += sum(getattr(times[slot], case) for slot in range(device.first, device.stop))
        if before is not None:
            if (before.node, before.number) == (device.node, device.number):
                hop = inner_hop(catalog, node)
                total += hop.best if node.machines > 1 else getattr(hop, case)
            elif network is not None:
                total += roofline.network_hop(network).best
        before = device
    return total
