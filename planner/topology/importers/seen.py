"""What a dump of a machine says, before any catalog is asked. Values only; topology layer.

Parts are named as in `nvidia-smi topo`: `GPU0`, `NIC3`. Numbers are base units.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from planner.values import Value

_LONGEST = 80


def _clean(text: str) -> str:
    """`text` without what a terminal would obey or a file could not hold, and not too long."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown[:_LONGEST]


Name = Annotated[str, AfterValidator(_clean)]
"""What a dump calls something."""

PcieKind = Literal["PIX", "PXB", "PHB", "NODE", "SYS"]
"""One PCIe switch; several; one host bridge; one NUMA node; another socket."""

PairKind = Literal["NV", "XGMI", "PIX", "PXB", "PHB", "NODE", "SYS"]

PCIE_KINDS: tuple[PcieKind, ...] = ("PIX", "PXB", "PHB", "NODE", "SYS")
"""Nearest first."""


class Slice(Value):
    """One slice of a device that was cut up (MIG)."""

    profile: Name = ""
    """Its name as printed, e.g. `2g.35gb`; empty where not printed."""
    instance: Name = ""
    """GPU instance it is part of; slices of one instance share its memory. Empty: not printed."""
    memory: int | None = None
    """Bytes in all."""
    free: int | None = None
    """Bytes free."""


class SeenDevice(Value):
    """One GPU."""

    index: int
    """Its number in the dump."""
    bus: str = ""
    """PCI bus id as `0000:18:00.0`; empty where not printed."""
    name: Name = ""
    """Product name as printed."""
    pci: str = ""
    """PCI vendor and device, e.g. `10de:2330`."""
    memory: int | None = None
    """Bytes in all."""
    free: int | None = None
    """Bytes free."""
    silent: bool = False
    """The dump has a place for the memory, and no figure stands there (`[N/A]`)."""
    place: Name = ""
    """What tells NUMA nodes apart: the NUMA affinity, else the CPU affinity, as printed."""
    generation: int | None = None
    """PCIe generation it can reach in its slot."""
    width: int | None = None
    """PCIe lanes it is connected with."""
    full_width: int | None = None
    """PCIe lanes it could be connected with."""
    nvlinks: int | None = None
    """NVLinks that are up."""
    nvlinks_down: int = 0
    """NVLinks that are not."""
    slices: tuple[Slice, ...] = ()
    """What it is cut into."""

    @property
    def label(self) -> str:
        """Its name among the parts of the dump."""
        return f"GPU{self.index}"


class SeenAdapter(Value):
    """One network adapter."""

    label: str
    """Its name among the parts of the dump."""
    name: Name = ""
    """What the system calls it, e.g. `mlx5_0`."""
    bus: str = ""
    """PCI bus id; empty where not printed."""
    rate: int | None = None
    """Bytes per second and direction of its port; None where not printed."""
    generation: int | None = None
    """PCIe generation it is connected with."""
    width: int | None = None
    """PCIe lanes it is connected with."""


class Pair(Value):
    """How two parts reach each other."""

    one: str
    other: str
    kind: PairKind
    count: int = 1
    """Links in parallel (NVLink)."""
    weight: int | None = None
    """Distance that ROCm prints."""


class Branch(Value):
    """One vertex of a printed tree of the machine."""

    name: str
    """Unique in the dump; a device or adapter has its label."""
    parent: str
    """Vertex above it; empty for a socket."""
    kind: Literal["gpu", "nic", "pcie-switch", "root", "socket"]
    bus: str = ""
    model: Name = ""
    generation: int | None = None
    """PCIe generation of the link upwards."""
    width: int | None = None
    """PCIe lanes of the link upwards."""
    bandwidth: float | None = None
    """Bytes per second of the link upwards, where the dump prints that itself."""


class Beside(Value):
    """A link from a device to something that is no device: an NVSwitch, its host."""

    device: str
    kind: Literal["nvswitch", "c2c"]
    count: int = 1


class PeerStatus(Value):
    """Whether one device reaches the memory of another over PCIe, as the driver puts it."""

    one: str
    other: str
    status: str


class Dump(Value):
    """Everything one text says."""

    format: str
    """Name of the format, e.g. `nvidia-smi topo -m`."""
    devices: tuple[SeenDevice, ...] = ()
    adapters: tuple[SeenAdapter, ...] = ()
    pairs: tuple[Pair, ...] = ()
    """Every pair that is printed, each once."""
    tree: tuple[Branch, ...] = ()
    """Sockets, host bridges, switches, devices and adapters; empty where not printed."""
    beside: tuple[Beside, ...] = ()
    peers: tuple[PeerStatus, ...] = ()
    host_memory: int | None = None
    host_free: int | None = None
    links_known: bool = False
    """Whether the dump would show NVLink or xGMI, were there any."""
    findings: tuple[str, ...] = ()
    """What a reader must know."""
