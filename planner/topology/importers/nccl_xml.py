"""NCCL's and RCCL's XML: the topology of a machine, or the graph of rings they found in it.

Topologies come as written by the library (`<gpu>` in its `<pci>`, with `<nvlink>`, `<xgmi>` and
`<net>`) or as bare trees of PCI devices told apart by their class, as clouds ship them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from planner.errors import FileError
from planner.topology.importers.seen import Beside, Branch, Dump, Pair, SeenAdapter, SeenDevice
from planner.topology.importers.trees import pruned
from planner.topology.importers.words import bus_id, count, generation, refuse_crowd, refuse_twice
from planner.topology.importers.xml_tree import Element

FORMAT = "NCCL topology"
GRAPH = "NCCL graph"
ROOT = "system"
GRAPH_ROOT = "graphs"
_DUMP = "let the library write it on the machine: NCCL_TOPO_DUMP_FILE=topo.xml"
_MEGABIT = 1_000_000 // 8
_NVSWITCH = "0x0680"
_GPU_CLASSES = ("0x0300", "0x0302", "0x0380", "0x1200")
_NIC_CLASSES = ("0x0200", "0x0207")
"""PCI classes: display, 3D, other display, accelerator; Ethernet, InfiniBand."""
_BRIDGE_CLASS = "0x0604"


@dataclass
class _Machine:
    """What has been met so far."""

    where: str
    devices: list[tuple[SeenDevice, Element | None]] = field(default_factory=list)
    adapters: list[SeenAdapter] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    bridges: int = 0

    def branch(
        self,
        name: str,
        parent: str,
        kind: Literal["gpu", "nic", "pcie-switch", "root", "socket"],
        element: Element,
    ) -> None:
        """A vertex with what its element says of the link upwards."""
        self.branches.append(
            Branch(
                name=name,
                parent=parent,
                kind=kind,
                bus=bus_id(element.get("busid")),
                generation=generation(element.get("link_speed")),
                width=count(element.get("link_width"), 32) or None,
            )
        )


def read(root: Element, where: str) -> Dump:
    """The machine in a topology.

    Raises:
        FileError: no CPU or no device in it, PCI devices without a class, a device twice, or a
            link to a device that is not in it.
    """
    machine = _Machine(where=where)
    for number, cpu in enumerate(root.all("cpu")):
        socket, bridge = f"socket{number}", f"root{number}"
        place = cpu.get("numaid")
        machine.branches.append(
            Branch(name=socket, parent="", kind="socket", model=f"NUMA {place}" if place else "")
        )
        machine.branches.append(Branch(name=bridge, parent=socket, kind="root"))
        for child in cpu.children:
            _walk(machine, child, bridge)
    if not machine.devices:
        raise FileError(f"{where}: no GPU in it", hint=_DUMP)
    refuse_crowd(len(machine.devices) + len(machine.adapters), where)
    devices = tuple(device for device, _ in machine.devices)
    refuse_twice(devices, where)
    pairs, beside = _links(machine)
    return Dump(
        format=FORMAT,
        devices=devices,
        adapters=tuple(machine.adapters),
        pairs=pairs,
        beside=beside,
        tree=pruned(machine.branches),
        links_known=any(gpu is not None for _, gpu in machine.devices),
        findings=("NCCL prints no host bridges: what is on one socket is taken to share one",),
    )


def _walk(machine: _Machine, element: Element, parent: str) -> None:
    """Everything in `element`, which hangs below `parent`."""
    if element.tag == "nic":
        for net in element.all("net"):
            _adapter(machine, element, net, parent)
        return
    if element.tag != "pci":
        return
    code = element.get("class")
    gpu = element.child("gpu")
    nic = element.child("nic")
    if gpu is not None or (nic is None and code.startswith(_GPU_CLASSES)):
        _device(machine, element, gpu, parent)
    elif nic is not None:
        for net in nic.all("net"):
            _adapter(machine, element, net, parent)
    elif code.startswith(_NIC_CLASSES):
        _adapter(machine, element, None, parent)
    elif code.startswith(_BRIDGE_CLASS) or element.children:
        name = f"pcie{machine.bridges}"
        machine.bridges += 1
        machine.branch(name, parent, "pcie-switch", element)
        for child in element.children:
            _walk(machine, child, name)
    elif not code:
        raise FileError(
            f"{machine.where}: PCI device {element.get('busid') or '?'} has no class: nothing says "
            "which devices are GPUs",
            hint=_DUMP,
        )


def _device(machine: _Machine, pci: Element, gpu: Element | None, parent: str) -> None:
    number = count(gpu.get("dev"), 9_999) if gpu is not None else None
    vendor, product = pci.get("vendor").removeprefix("0x"), pci.get("device").removeprefix("0x")
    device = SeenDevice(
        index=len(machine.devices) if number is None else number,
        bus=bus_id(pci.get("busid")),
        pci=f"{vendor}:{product}".lower() if vendor and product else "",
        generation=generation(pci.get("link_speed")),
        width=count(pci.get("link_width"), 32) or None,
    )
    machine.devices.append((device, gpu))
    machine.branch(device.label, parent, "gpu", pci)


def _adapter(machine: _Machine, pci: Element, net: Element | None, parent: str) -> None:
    label = f"NIC{len(machine.adapters)}"
    speed = count(net.get("speed"), 10_000_000) if net is not None else None
    machine.adapters.append(
        SeenAdapter(
            label=label,
            name=net.get("name") if net is not None else "",
            bus=bus_id(pci.get("busid")),
            rate=speed * _MEGABIT if speed else None,
            generation=generation(pci.get("link_speed")),
            width=count(pci.get("link_width"), 32) or None,
        )
    )
    machine.branch(label, parent, "nic", pci)


def _links(machine: _Machine) -> tuple[tuple[Pair, ...], tuple[Beside, ...]]:
    """NVLink and xGMI between devices, each pair once, and links to switches and hosts."""
    by_bus = {device.bus: device.label for device, _ in machine.devices if device.bus}
    counts: dict[tuple[str, str, str], int] = {}
    beside: list[Beside] = []
    for device, gpu in machine.devices:
        switched = 0
        for link in gpu.children if gpu is not None else ():
            links = count(link.get("count"), 64) or 1
            if link.tag == "nvlink" and link.get("tclass").startswith(_NVSWITCH):
                switched += links
            elif link.tag in ("nvlink", "xgmi"):
                other = _target(machine, by_bus, link, device)
                kind = "NV" if link.tag == "nvlink" else "XGMI"
                one, two = sorted((device.label, other), key=lambda label: int(label[3:]))
                counts[one, two, kind] = max(counts.get((one, two, kind), 0), links)
            elif link.tag == "c2c":
                beside.append(Beside(device=device.label, kind="c2c", count=links))
        if switched:
            beside.append(Beside(device=device.label, kind="nvswitch", count=switched))
    pairs = [
        Pair.model_validate({"one": one, "other": other, "kind": kind, "count": links})
        for (one, other, kind), links in counts.items()
    ]
    return tuple(pairs), tuple(beside)


def _target(machine: _Machine, by_bus: dict[str, str], link: Element, device: SeenDevice) -> str:
    other = by_bus.get(bus_id(link.get("target")))
    if other is None or other == device.label:
        raise FileError(
            f"{machine.where}: {device.label} has a link to {link.get('target') or '?'}, which is "
            "no other device in the file",
            hint=_DUMP,
        )
    return other


def read_graph(root: Element, where: str) -> Dump:
    """The devices in a graph, and how fast its rings were taken to be.

    Raises:
        FileError: no device in it.
    """
    found = {count(gpu.get("dev"), 9_999) for gpu in root.walk() if gpu.tag == "gpu"}
    numbers = sorted(number for number in found if number is not None)
    devices = tuple(SeenDevice(index=number) for number in numbers)
    refuse_crowd(len(devices), where)
    if not devices:
        raise FileError(f"{where}: no <gpu dev=...> in it", hint=_DUMP)
    graph = root.child("graph")
    notes = []
    if graph is not None and graph.get("speedintra") and graph.get("typeintra"):
        channels, speed = graph.get("nchannels") or "?", graph.get("speedintra")
        notes.append(
            f"NCCL found {channels} channels at {speed} GB/s over {graph.get('typeintra')}"
        )
    return Dump(format=GRAPH, devices=devices, findings=tuple(notes))
