"""The memory of every device and host of a split, bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Node
from planner.engines.llama_cpp import overheads
from planner.model.architecture import MixtureOfExperts
from planner.plan import Device, Host, MemoryBudget, Verdict
from planner.subject import Subject

TIGHT_SHARE = 0.02
"""Headroom under this share of a device is `tight`: legal, flagged."""
ASSUMED_RESERVED = 650 * 2**20
"""Bytes a driver keeps on an idle device where nobody has published it; known: 479-614 MiB."""
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


def running(subject: Subject, catalog: Catalog, split: Sequence[Assigned]) -> tuple[int, bool]:
    """Devices of a split that hold something, and whether they are pipelined."""
    used = [device for device in split if device.stop > device.first]
    return len(used), subject.pipelined(len(used), len(machines_in(catalog, used)))


def memory_assumptions(catalog: Catalog, subject: Subject, gpus: Iterable[str]) -> list[str]:
    """What was assumed to know the memory of these GPU models, one line each."""
    lines = []
    for gpu in map(catalog.gpu, dict.fromkeys(gpus)):
        runtime = overheads.runtime(gpu, subject.architecture, subject.settings)
        lines += [*capacity_assumptions(catalog, [gpu.name]), runtime.assumption]
    return [text for text in dict.fromkeys(lines) if text]


def capacity_assumptions(catalog: Catalog, gpus: Iterable[str]) -> list[str]:
    """What was assumed to know what is free on these GPU models while they idle."""
    known = map(capacity_of, map(catalog.gpu, dict.fromkeys(gpus)))
    return [entry.assumption for entry in known if entry is not None and entry.assumption]


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
    count, pipelined = running(subject, catalog, split)
    depth = subject.architecture.depth
    found = []
    stage = 0
    for assigned in split:
        node = catalog.node(assigned.node)
        gpu = catalog.gpu(node.gpu)
        free = capacity_of(gpu)
        capacity = 0 if free is None else free.bytes
        budget = device_budget(
            subject, gpu, assigned.first, assigned.stop, devices=count, pipelined=pipelined
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
    held = [x.network.experts for x in layers if isinstance(x.network, MixtureOfExperts)]
    return max(held, default=None)


def hosts_of(subject: Subject, catalog: Catalog, split: Sequence[Assigned]) -> tuple[Host, ...]:
    """Memory of every machine outside its devices; the head holds embedding and graph inputs."""
    count, pipelined = running(subject, catalog, split)
    machines = {
        machine_of(node, device.number, device.index): node
        for node, device in ((catalog.node(device.node), device) for device in split)
    }
    head, *_ = machines
    return tuple(
        Host(
            node=name,
            memory_bytes=None if node.host_memory is None else node.host_memory // node.machines,
            unified=catalog.gpu(node.gpu).unified,
            budget=head_budget(subject, devices=count, pipelined=pipelined)
            if name == head
            else _NO_MEMORY,
        )
        for name, node in machines.items()
    )


def host_holds(subject: Subject, node: Node, gpu: Gpu) -> bool:
    """Whether a machine of `node` can be the head by its host memory; unified ones are asked later.

    Where the host's memory is not known, it is taken to be enough.
    """
    if gpu.unified or node.host_memory is None:
        return True
    return sum(subject.memory.host(devices=2, pipelined=True)) <= node.host_memory // node.machines


def head_budget(subject: Subject, *, devices: int, pipelined: bool) -> MemoryBudget:
    """What llama-server holds on the host of its machine: embedding and graph inputs, bytes."""
    memory = subject.memory.host(devices=devices, pipelined=pipelined)
    return MemoryBudget(
        weights=memory.weights,
        kv_cache=memory.kv_cache,
        compute=memory.compute,
        runtime=0,
        reserve=0,
        total=sum(memory),
    )


def least_headroom(devices: Sequence[Device]) -> int:
    """Free bytes of the tightest device; devices without a capacity count as full."""
    return min(device.headroom_bytes or 0 for device in devices)
