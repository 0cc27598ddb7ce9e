"""Tables of `topo -m` for machines made up in tests, and the machines they become."""

from __future__ import annotations

from collections.abc import Sequence

from planner.catalog import load_catalog
from planner.topology.build import build
from planner.topology.importers.nvidia_smi_topo import read
from planner.topology.parts import Topology, Wire


def table(cells: Sequence[str], places: Sequence[str] = ()) -> str:
    """A table from its rows, `X NV18 SYS`, with NUMA nodes."""
    labels = [f"GPU{number}" for number in range(len(cells))]
    nodes = places or [""] * len(cells)
    rows = [
        "\t".join([label, *row.split(), *(["0-7", node, "", "N/A"] if node else [])])
        for label, row, node in zip(labels, cells, nodes, strict=True)
    ]
    head = "\t" + "\t".join([*labels, "CPU Affinity", "NUMA Affinity", "GPU NUMA ID"])
    return "\n".join([head, *rows, ""])


def every(count: int, kind: str) -> list[str]:
    """Rows in which every pair is linked alike."""
    return [" ".join("X" if i == j else kind for j in range(count)) for i in range(count)]


def topology(text: str, gpu: str = "") -> Topology:
    """The topology of a table whose devices are all of one GPU."""
    catalog = load_catalog()
    dump = read(text, "dump")
    row = catalog.gpus[gpu] if gpu else None
    return build(dump, [row] * len(dump.devices), catalog, "machine", "dump")


def wires(found: Topology, medium: str) -> list[Wire]:
    """Wires of one medium."""
    return [wire for wire in found.wires if wire.medium == medium]


FAULTY = table(
    [
        "X NV18 NODE NV18 NV18 NV18 NV18 NV18",
        "NV18 X NODE NV18 NV18 NV18 NV18 NV18",
        "NODE NODE X NODE SYS SYS SYS SYS",
        "NV18 NV18 NODE X NV18 NV18 NV18 NV18",
        "NV18 NV18 SYS NV18 X NV18 NV18 NV18",
        "NV18 NV18 SYS NV18 NV18 X NV18 NV18",
        "NV18 NV18 SYS NV18 NV18 NV18 X NV18",
        "NV18 NV18 SYS NV18 NV18 NV18 NV18 X",
    ],
    ["0"] * 4 + ["1"] * 4,
)
"""A B200 box whose third GPU is off NVLink."""
