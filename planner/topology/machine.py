"""One machine: its parts and the wires inside it. Topology layer.

PCIe wires go from the part below to the part above.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from planner.catalog.schema import Link
from planner.topology.parts import Kind, Medium, Part, Wire
from planner.topology.rates import SOCKET_LINK, Rate

_HYBRID_MESH = (
    ((0, 1), 1), ((0, 2), 1), ((0, 3), 2), ((0, 4), 2), ((1, 2), 2), ((1, 3), 1), ((1, 5), 2),
    ((2, 3), 2), ((2, 6), 1), ((3, 7), 1), ((4, 5), 1), ((4, 6), 1), ((4, 7), 2), ((5, 6), 2),
    ((5, 7), 1), ((6, 7), 2),
)  # fmt: skip
"""NVLinks between the V100s of a DGX-1 or p3.16xlarge (nvidia-smi topo -m of p3.16xlarge)."""
_HYBRID_LINKS = 6
"""NVLinks of one V100."""
_HYBRID_DEVICES = 8
_MESHES = ("nvlink4-mesh4", "xgmi-mi300x", "xgmi-mi355x", "xgmi-mi250x")
"""Links that join every device with every other by a link of its own, whose rate the row is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is told about one machine."""

    number: int = 0
    prefix: str = ""
    home: str = ""
    """Prefix of the first machine of its node, where switches that join its devices are."""
    devices: int
    model: str = ""
    fabric: Link | None
    bridge: Link | None = None
    slot: Rate
    """PCIe of a device."""
    shared_memory: float | None = None
    """Rate of the memory that devices share with the host, where they do."""
    sockets: int
    rails: int = 0
    """Adapters."""

    def name(self, stem: str, number: int) -> str:
        """Of one of its parts."""
        return f"{self.prefix}{stem}{number}"

    def part(self, stem: str, kind: Kind, number: int, model: str = "") -> Part:
        """One of its parts."""
        return Part(name=self.name(stem, number), kind=kind, machine=self.number, model=model)

    @property
    def is_hybrid(self) -> bool:
        """Whether these are eight V100s, whose mesh is not all to all."""
        named = self.fabric is not None and self.fabric.name == "nvlink2"
        return named and self.devices == _HYBRID_DEVICES

    @property
    def is_switched(self) -> bool:
        """Whether a switch joins the devices."""
        row = self.fabric
        if row is None or row.kind != "scale-up" or self.is_hybrid:
            return False
        return self.devices > 1 and row.name not in _MESHES and row != self.bridge

    @property
    def is_railed(self) -> bool:
        """Whether every device shares a PCIe switch with an adapter of its own."""
        return self.rails == self.devices > 1


def parts_of(machine: Machine, network: str) -> Iterator[Part]:
    """Its devices, switches and adapters, and the host's part of PCIe."""
    for number in range(machine.devices):
        yield machine.part("gpu", "gpu", number, machine.model)
    if machine.is_switched and machine.prefix == machine.home:
        yield machine.part("switch", "switch", 0, machine.fabric.name if machine.fabric else "")
    for number in range(machine.rails):
        yield machine.part("nic", "nic", number, network)
    for number in range(machine.devices):
        if machine.is_railed:
            yield machine.part("pcie", "pcie-switch", number)
        yield machine.part("root", "root", number)
    for number in range(machine.sockets):
        yield machine.part("socket", "socket", number)


def wires_of(machine: Machine) -> Iterator[Wire]:
    """All that is inside it."""
    yield from _own_links(machine)
    yield from _to_host(machine)
    for one, other in itertools.combinations(range(machine.sockets), 2):
        names = machine.name("socket", one), machine.name("socket", other)
        yield Wire(one=names[0], other=names[1], medium="socket", bandwidth=SOCKET_LINK)


def _to_host(machine: Machine) -> Iterator[Wire]:
    """From devices and adapters up to the sockets."""
    slot, sockets = machine.slot, machine.sockets

    def pcie(one: str, other: str) -> Wire:
        return Wire(
            one=one,
            other=other,
            medium="pcie",
            bandwidth=slot.bandwidth,
            latency=slot.latency,
            link=slot.link,
        )

    for number in range(machine.devices):
        device, root = machine.name("gpu", number), machine.name("root", number)
        if machine.shared_memory is not None:
            yield Wire(one=device, other=root, medium="c2c", bandwidth=machine.shared_memory)
        elif machine.is_railed:
            switch = machine.name("pcie", number)
            yield pcie(device, switch)
            yield pcie(machine.name("nic", number), switch)
            yield pcie(switch, root)
        else:
            yield pcie(device, root)
        yield pcie(root, machine.name("socket", number * sockets // machine.devices))
    if not machine.is_railed:
        for number in range(machine.rails):
            yield pcie(machine.name("nic", number), machine.name("socket", number % sockets))


def _own_links(machine: Machine) -> Iterator[Wire]:
    """NVLink and xGMI."""
    names = [machine.name("gpu", number) for number in range(machine.devices)]
    fabric, bridge = machine.fabric, machine.bridge
    if bridge is not None:
        for one, other in zip(names[::2], names[1::2], strict=False):
            yield _own(bridge, one, other, bridge.bandwidth_per_direction)
    if fabric is None or fabric.kind != "scale-up" or fabric == bridge:
        return
    if machine.is_switched:
        for name in names:
            yield _own(fabric, name, f"{machine.home}switch0", fabric.bandwidth_per_direction)
    elif machine.is_hybrid:
        each = fabric.bandwidth_per_direction / _HYBRID_LINKS
        for (one_number, other_number), lanes in _HYBRID_MESH:
            yield _own(fabric, names[one_number], names[other_number], each * lanes, lanes)
    else:
        for one, other in itertools.combinations(names, 2):
            yield _own(fabric, one, other, fabric.bandwidth_per_direction)


def _own(row: Link, one: str, other: str, bandwidth: float, lanes: int = 1) -> Wire:
    medium: Medium = "xgmi" if row.name.startswith("xgmi") else "nvlink"
    return Wire(
        one=one,
        other=other,
        medium=medium,
        bandwidth=bandwidth,
        latency=row.latency or 0.0,
        lanes=lanes,
        link=row.name,
    )
