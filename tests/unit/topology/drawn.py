"""Topologies drawn by hand: machines of the issue's questions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from planner.topology.parts import Kind, Medium, Part, Topology, Wire

_KINDS: dict[str, Kind] = {
    "gpu": "gpu",
    "nvs": "switch",
    "pcie": "pcie-switch",
    "root": "root",
    "socket": "socket",
}


def drawn(parts: str, *wires: Iterable[str], model: str = "") -> Topology:
    """Parts by name; wires as `one other medium GB/s [seconds]`."""
    found = []
    for name in parts.split():
        kind = _KINDS[re.sub(r"\d+$", "", name)]
        found.append(Part(name=name, kind=kind, model=model if kind == "gpu" else ""))
    return Topology(
        title="drawn",
        parts=tuple(found),
        wires=tuple(_wire(text) for group in wires for text in group),
    )


def _wire(text: str) -> Wire:
    one, other, medium, rate, *latency = text.split()
    return Wire(
        one=one,
        other=other,
        medium=_medium(medium),
        bandwidth=float(rate) * 1e9,
        latency=float(latency[0]) if latency else 0.0,
    )


def _medium(text: str) -> Medium:
    media: tuple[Medium, ...] = ("nvlink", "xgmi", "c2c", "pcie", "socket", "network")
    return next(medium for medium in media if medium == text)


def gpus(count: int) -> str:
    return " ".join(f"gpu{number}" for number in range(count))


def bridged_3090s(pairs: tuple[str, str] = ("gpu0 gpu1", "gpu2 gpu3")) -> Topology:
    """Four RTX 3090 on one root complex, two pairs with bridges."""
    return drawn(
        f"{gpus(4)} root0",
        (f"{pair} nvlink 56.25" for pair in pairs),
        (f"gpu{number} root0 pcie 25" for number in range(4)),
    )


def two_roots() -> Topology:
    """Eight RTX 4090, four on each of two root complexes."""
    return drawn(
        f"{gpus(8)} root0 root1",
        (f"gpu{number} root{number // 4} pcie 25" for number in range(8)),
        ("root0 root1 socket 30",),
    )


def b200_with_one_gpu_off() -> Topology:
    """Eight B200, of which GPU 2 reaches the others over PCIe only."""
    return drawn(
        f"{gpus(8)} nvs0 " + " ".join(f"root{n}" for n in range(8)) + " socket0 socket1",
        (f"gpu{number} nvs0 nvlink 900" for number in range(8) if number != 2),
        (f"gpu{number} root{number} pcie 63" for number in range(8)),
        (f"root{number} socket{number // 4} pcie 63" for number in range(8)),
        ("socket0 socket1 socket 40",),
    )
