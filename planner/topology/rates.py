"""Bytes per second of the links a dump names, from the link catalog. Topology layer."""

from __future__ import annotations

from dataclasses import dataclass

from planner.catalog import Catalog
from planner.catalog.schema import Gpu

SOCKET_LINK = 40e9
"""Bytes per second between two sockets, each way: the low end of 39 to 51 GB/s measured between
GPUs on two sockets (voipmonitor/rtx6kpro hardware/pcie-bandwidth.md @29f3863, 2026-05-04)."""

USUAL_GENERATION = 4
"""PCIe generation taken where neither the dump nor the GPU tells."""

_LANES = 16
_OLD_LANE = {1: 0.25e9, 2: 0.5e9}
"""Bytes per second of one lane of the generations no catalog row has (PCI Express Base 1.1, 2.0:
2.5 and 5 GT/s, eight bits of ten)."""

_GENERATIONS = {
    "pascal": 3,
    "volta": 3,
    "turing": 3,
    "ampere": 4,
    "ada": 4,
    "hopper": 5,
    "blackwell": 5,
    "blackwell-ultra": 6,
    "cdna1": 4,
    "cdna2": 4,
    "cdna3": 5,
    "cdna4": 5,
    "rdna3": 4,
    "rdna4": 5,
    "xe2": 5,
    "gaudi2": 4,
    "gaudi3": 5,
}
"""PCIe generation of a GPU by its architecture (vendors' data sheets)."""

_LINK_COUNTS = {
    "nvlink2": 6,
    "nvlink3": 12,
    "nvlink3-bridge": 4,
    "nvlink4": 18,
    "nvlink4-bridge": 12,
    "nvlink5": 18,
    "nvl72": 18,
}
"""NVLinks of one device, whose sum the bandwidth of the row is (notes of the rows)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One link, or several in parallel."""

    bandwidth: float
    link: str = ""
    """Catalog row."""
    latency: float = 0.0
    assumed: bool = False
    """Nothing printed or known says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NvLinks:
    """The NVLinks of one GPU."""

    row: str
    each: float
    """Bytes per second of one link."""
    count: int
    """Links it has; of a GPU nobody knows, as many as any has."""
    assumed: bool = False


def pcie(catalog: Catalog, generation: int, width: int) -> Rate:
    """PCIe of one generation and so many lanes; a share of 16 lanes where there is no row."""
    row = catalog.links.get(f"pcie{generation}-x{width}")
    if row is not None:
        return Rate(
            bandwidth=row.bandwidth_per_direction, link=row.name, latency=row.latency or 0.0
        )
    whole = catalog.links.get(f"pcie{generation}-x{_LANES}")
    if whole is None:
        lane = _OLD_LANE.get(generation, _OLD_LANE[1])
        return Rate(bandwidth=lane * width)
    return Rate(
        bandwidth=whole.bandwidth_per_direction * width / _LANES,
        link=whole.name,
        latency=whole.latency or 0.0,
    )


def device_pcie(
    catalog: Catalog, gpu: Gpu | None, generation: int | None, width: int | None
) -> Rate:
    """PCIe of a device: as printed, else what its GPU has, else generation 4 with 16 lanes."""
    known = generation or (_GENERATIONS.get(gpu.architecture) if gpu else None)
    rate = pcie(catalog, known or USUAL_GENERATION, width or _LANES)
    return Rate(
        bandwidth=rate.bandwidth,
        link=rate.link,
        latency=rate.latency,
        assumed=known is None,
    )


def nvlinks(catalog: Catalog, gpu: Gpu | None) -> NvLinks:
    """The NVLinks of a GPU; of an unknown one those of a Hopper, and that is assumed."""
    name = _nvlink_row(gpu)
    row = catalog.links[name or "nvlink4"]
    links = _LINK_COUNTS[row.name]
    return NvLinks(
        row=row.name,
        each=row.bandwidth_per_direction / links,
        count=8 if gpu is not None and gpu.name.startswith("a800") else links,
        assumed=not name,
    )


def _nvlink_row(gpu: Gpu | None) -> str:
    if gpu is None:
        return ""
    graphics = (gpu.memory_kind or "").startswith("GDDR")
    match gpu.architecture:
        case "volta":
            return "nvlink2"
        case "ampere":
            return "nvlink3-bridge" if graphics else "nvlink3"
        case "hopper":
            bridged = "pcie" in gpu.name or "nvl" in gpu.name
            return "nvlink4-bridge" if bridged else "nvlink4"
        case "blackwell" | "blackwell-ultra" if gpu.name.startswith("gb"):
            return "nvl72"
        case "blackwell" | "blackwell-ultra":
            return "" if graphics else "nvlink5"
        case _:
            return ""


def xgmi(catalog: Catalog, gpu: Gpu | None) -> Rate:
    """One xGMI link to a peer; of an unknown GPU the slowest there is, and that is assumed."""
    rows = {"cdna4": "xgmi-mi355x", "cdna3": "xgmi-mi300x", "cdna2": "xgmi-mi250x"}
    name = rows.get(gpu.architecture, "") if gpu else ""
    row = catalog.links[name or "xgmi-mi250x"]
    return Rate(
        bandwidth=row.bandwidth_per_direction,
        link=row.name,
        latency=row.latency or 0.0,
        assumed=not name,
    )


def chip_to_chip(catalog: Catalog) -> Rate:
    """From a GPU to the CPU on its board."""
    row = catalog.links["nvlink-c2c"]
    return Rate(bandwidth=row.bandwidth_per_direction, link=row.name, latency=row.latency or 0.0)
