"""Parts of an interconnect and the links between them. Values only; topology layer."""

from __future__ import annotations

from typing import Literal

from planner.values import Value

Kind = Literal["gpu", "switch", "pcie-switch", "root", "socket", "nic", "network-switch"]
"""Devices; NVSwitch and the like; PCIe switches; PCIe root complexes (host bridges); CPU sockets;
adapters; leaf and spine switches between machines."""

Medium = Literal["nvlink", "xgmi", "c2c", "pcie", "socket", "network"]
"""NVLink; AMD's link between devices; chip to chip; PCIe; between sockets; between machines."""


class Part(Value):
    """One vertex."""

    name: str
    """Unique in the topology, e.g. `gpu0`, `pcie0`, `socket1`; of several machines `1.gpu0`."""
    kind: Kind
    machine: int = 0
    """Which machine it is in, from 0."""
    model: str = ""
    """What the dump or the catalog calls it."""
    bus: str = ""
    """PCI bus id as `0000:18:00.0`; empty where not printed."""
    memory: int | None = None
    """Memory of a device in all, bytes."""
    free: int | None = None
    """Memory of a device that is free, bytes."""


class Wire(Value):
    """One edge: both directions alike."""

    one: str
    other: str
    medium: Medium
    bandwidth: float
    """Bytes per second in each direction, data sheet."""
    latency: float = 0.0
    """Seconds one way."""
    lanes: int = 1
    """Links in parallel whose sum `bandwidth` is, where that is known."""
    link: str = ""
    """Row of the link catalog it was taken from."""


class Topology(Value):
    """Machines and what links their parts."""

    title: str
    parts: tuple[Part, ...]
    wires: tuple[Wire, ...]
    peer_to_peer: bool = True
    """Whether devices reach each other's memory over PCIe; else through the host's."""
    findings: tuple[str, ...] = ()
    """What a reader must know: a device without NVLink, links that are down, guesses."""

    @property
    def gpus(self) -> tuple[Part, ...]:
        """The devices, in order."""
        return tuple(part for part in self.parts if part.kind == "gpu")
