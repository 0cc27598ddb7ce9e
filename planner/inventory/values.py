"""Machines somebody owns, with their devices, memory and links. Values only."""

from __future__ import annotations

from typing import Literal

from planner.catalog.schema import Share, Size
from planner.topology.parts import Part, Topology, Wire
from planner.values import Value


class DeviceSlice(Value):
    """One slice of a device that was cut up (MIG)."""

    profile: str = ""
    """Its name, e.g. `2g.35gb`; empty where not printed."""
    instance: str = ""
    """GPU instance; slices of one instance share its memory."""
    memory: Share | None = None
    """Bytes in all."""
    free: Share | None = None
    """Bytes free."""


class OwnedDevice(Value):
    """One GPU of a machine."""

    part: str
    """Its name in the topology of the machine."""
    gpu: str = ""
    """Row of the GPU catalog; empty where nobody knows it."""
    reported: str = ""
    """What its driver calls it."""
    bus: str = ""
    """PCI bus id; empty where not printed."""
    memory: Share | None = None
    """Bytes in all; None where not printed, or shared with the host."""
    free: Share | None = None
    """Bytes free; None where not printed, or shared with the host."""
    shares_host: bool = False
    """Whether it uses the host's memory and has none of its own."""
    slices: tuple[DeviceSlice, ...] = ()
    """What it is cut into; then it cannot be used whole."""

    @property
    def capacity(self) -> int | None:
        """Bytes a process may use: what is free, else all; None where unknown or shared."""
        return self.memory if self.free is None else self.free


class Adapter(Value):
    """One network adapter of a machine."""

    part: str
    """Its name in the topology of the machine."""
    name: str = ""
    """What the system calls it, e.g. `mlx5_0`."""
    bus: str = ""
    """PCI bus id; empty where not printed."""
    rate: Size | None = None
    """Bytes per second and direction of its port; None where not printed."""


class Machine(Value):
    """One machine."""

    name: str
    """What its owner calls it."""
    devices: tuple[OwnedDevice, ...]
    adapters: tuple[Adapter, ...] = ()
    host_memory: Size | None = None
    """Bytes of the host in all; None where not printed."""
    host_free: Share | None = None
    """Bytes of it a program may still take; None where not printed."""
    sources: tuple[str, ...] = ()
    """Formats it was read from."""
    topology: Topology
    """What links its parts, and what a reader must know of it."""

    def capacity(self, device: OwnedDevice) -> int | None:
        """Bytes a process may use on `device`; of shared memory what the host has free."""
        if device.shares_host and device.capacity is None:
            return self.host_memory if self.host_free is None else self.host_free
        return device.capacity


class Inventory(Value):
    """All machines."""

    kind: Literal["inventory"] = "inventory"
    schema_version: Literal[1] = 1
    machines: tuple[Machine, ...]

    @property
    def unknown(self) -> tuple[tuple[str, str], ...]:
        """Machine and part of each device whose GPU nobody knows."""
        return tuple(
            (machine.name, device.part)
            for machine in self.machines
            for device in machine.devices
            if not device.gpu
        )

    @property
    def topology(self) -> Topology:
        """All machines in one graph; of several, parts are called `MACHINE.PART`, from 0."""
        if len(self.machines) == 1:
            return self.machines[0].topology
        parts: list[Part] = []
        wires: list[Wire] = []
        findings: list[str] = []
        for number, machine in enumerate(self.machines):
            inner = machine.topology
            parts += [
                part.model_copy(update={"name": f"{number}.{part.name}", "machine": number})
                for part in inner.parts
            ]
            wires += [
                wire.model_copy(
                    update={"one": f"{number}.{wire.one}", "other": f"{number}.{wire.other}"}
                )
                for wire in inner.wires
            ]
            findings += [f"{machine.name}: {finding}" for finding in inner.findings]
        return Topology(
            title=", ".join(machine.name for machine in self.machines),
            parts=tuple(parts),
            wires=tuple(wires),
            peer_to_peer=all(machine.topology.peer_to_peer for machine in self.machines),
            findings=tuple(findings),
        )
