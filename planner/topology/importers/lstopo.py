"""hwloc's XML (`lstopo out.xml`): sockets, host bridges, PCI devices and the memory of the host."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from planner.errors import FileError
from planner.topology.importers.seen import Branch, Dump, SeenAdapter, SeenDevice
from planner.topology.importers.trees import pruned
from planner.topology.importers.words import MOST_MEMORY, bus_id, count, refuse_crowd, refuse_twice
from planner.topology.importers.xml_tree import Element

FORMAT = "lstopo"
ROOT = "topology"
_TYPE = re.compile(r"([0-9a-f]{4}) \[([0-9a-f]{4}):([0-9a-f]{4})\].*")
_GPU_CLASSES = ("0300", "0302", "0380", "1200")
_NIC_CLASSES = ("0200", "0207", "0c06")
"""PCI classes: display, 3D, other display, accelerator; Ethernet, InfiniBand old and new."""
_MAKERS = ("10de", "1002", "1da3")
"""NVIDIA, AMD, Habana. A display controller of others is no GPU one could run a model on."""
_INTEL = "8086"
_GIGA = 1e9
_KIB = 1024


@dataclass
class _Machine:
    """What has been met so far."""

    devices: list[SeenDevice] = field(default_factory=list)
    adapters: list[SeenAdapter] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def name(self, stem: str) -> str:
        """The next name for a vertex above devices."""
        self.counts[stem] += 1
        return f"{stem}{self.counts[stem] - 1}"


def read(root: Element, where: str) -> Dump:
    """The machine in a topology.

    Raises:
        FileError: no machine or no device in it, or a device twice.
    """
    machine = _Machine()
    memory = 0
    tops = root.all("object")
    for top in tops:
        _walk(machine, top, "")
        memory += sum(
            count(node.get("local_memory"), MOST_MEMORY) or 0
            for node in top.walk()
            if node.tag == "object" and node.get("type") == "NUMANode"
        )
    refuse_crowd(len(machine.devices) + len(machine.adapters), where)
    if not machine.devices:
        raise FileError(
            f"{where}: no GPU among its PCI devices",
            hint="run 'lstopo --whole-io out.xml' on a machine with GPUs",
        )
    devices = _numbered(machine)
    refuse_twice(devices, where)
    return Dump(
        format=FORMAT,
        devices=devices,
        adapters=tuple(machine.adapters),
        tree=pruned(machine.branches),
        host_memory=memory if 0 < memory <= MOST_MEMORY else None,
        findings=(
            "hwloc prints the present speed of PCIe links, which is lower while a device idles",
        ),
    )


def _walk(machine: _Machine, element: Element, parent: str) -> None:
    """Everything in `element`, which hangs below `parent`; empty is above every socket."""
    kind, name = element.get("type"), parent
    if kind == "Package":
        name = machine.name("socket")
        machine.branches.append(Branch(name=name, parent="", kind="socket"))
    elif kind == "Bridge":
        host = element.get("bridge_type").startswith("0")
        if not parent:
            parent = machine.name("socket")
            machine.branches.append(Branch(name=parent, parent="", kind="socket"))
        name = machine.name("root" if host else "pcie")
        machine.branches.append(
            Branch(
                name=name,
                parent=parent,
                kind="root" if host else "pcie-switch",
                bus=bus_id(element.get("pci_busid")),
                bandwidth=None if host else _speed(element),
            )
        )
    elif kind == "PCIDev":
        _pci(machine, element, parent)
        return
    for child in element.all("object"):
        _walk(machine, child, name)


def _pci(machine: _Machine, element: Element, parent: str) -> None:
    match = _TYPE.fullmatch(element.get("pci_type"))
    if match is None or not parent:
        return
    bus = bus_id(element.get("pci_busid"))
    software = [child for child in element.all("object") if child.get("type") == "OSDev"]
    if match[1] in _GPU_CLASSES and _is_gpu(match[1], match[2], bus):
        label = f"GPU{len(machine.devices)}"
        machine.devices.append(
            SeenDevice(
                index=len(machine.devices),
                bus=bus,
                name=_model(software, element),
                pci=f"{match[2]}:{match[3]}",
                place=_index(software),
                memory=_memory(software),
            )
        )
        kind = "gpu"
    elif match[1] in _NIC_CLASSES:
        label = f"NIC{len(machine.adapters)}"
        names = [device.get("name") for device in software]
        machine.adapters.append(SeenAdapter(label=label, bus=bus, name=names[-1] if names else ""))
        kind = "nic"
    else:
        return
    branch = {"name": label, "parent": parent, "kind": kind, "bus": bus}
    machine.branches.append(Branch.model_validate(branch | {"bandwidth": _speed(element)}))


def _is_gpu(code: str, vendor: str, bus: str) -> bool:
    """By its maker; Intel's, unless it is the graphics of the processor at 00:02.0."""
    return vendor in _MAKERS or (vendor == _INTEL and not bus.endswith(":00:02.0"))


def _info(element: Element, name: str) -> str:
    return next((i.get("value") for i in element.all("info") if i.get("name") == name), "")


def _model(software: list[Element], element: Element) -> str:
    """What its driver calls it, NVML and CUDA first; else the list of PCI devices."""
    order = ("NVML", "CUDA", "RSMI", "OpenCL", "LevelZero")
    ranked = sorted(
        (device for device in software if device.get("subtype") in order),
        key=lambda device: order.index(device.get("subtype")),
    )
    return next(
        (model for device in ranked if (model := _info(device, "GPUModel"))),
        _info(element, "PCIDevice"),
    )


def _memory(software: list[Element]) -> int | None:
    """Bytes that CUDA sees, printed in KiB; what OpenCL offers is less than the device has."""
    sizes = [count(_info(device, "CUDAGlobalMemorySize"), 2**40) for device in software]
    known = [size * _KIB for size in sizes if size]
    return known[0] if known else None


def _index(software: list[Element]) -> str:
    """Number that the driver's own tools give it: `nvml2`, `cuda2`, `rsmi2`."""
    for stem in ("nvml", "cuda", "rsmi"):
        for device in software:
            match = re.fullmatch(rf"{stem}(\d{{1,3}})", device.get("name"))
            if match:
                return match[1]
    return ""


def _numbered(machine: _Machine) -> tuple[SeenDevice, ...]:
    """Devices under the driver's numbers where every device has one; the tree follows."""
    numbers = [device.place for device in machine.devices]
    ordered = len(set(numbers)) == len(numbers) and all(numbers)
    renamed: dict[str, str] = {}
    devices = []
    for device in machine.devices:
        index = int(device.place) if ordered else device.index
        fresh = device.model_copy(update={"index": index, "place": ""})
        renamed[device.label] = fresh.label
        devices.append(fresh)
    machine.branches = [
        branch.model_copy(update={"name": renamed.get(branch.name, branch.name)})
        for branch in machine.branches
    ]
    return tuple(sorted(devices, key=lambda device: device.index))


def _speed(element: Element) -> float | None:
    """Bytes per second of the link upwards; hwloc prints GB/s, and 0 where it does not know."""
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,9})", element.get("pci_link_speed"))
    rate = float(match[0]) * _GIGA if match else 0.0
    return rate or None
