"""Which catalog row a device is, by what its driver calls it, its PCI id and its memory.

Topology layer. A name that fits no row, or more than one, gives none: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from planner.catalog import Catalog
from planner.catalog.schema import Gpu
from planner.topology.importers.seen import SeenDevice

_SAME = 0.07
"""Share by which the memory of a device may differ from its row's: ECC and the driver's own."""

_DROPPED = re.compile(
    r"\((?:r|tm|one of two dies|one gpu|hopper part)\)|\b(?:nvidia|amd|tesla|corporation|generation"
    r"|graphics|oam)\b|[^a-z0-9+ ]"
)
_MEMORY = re.compile(r" \d{1,3}gb$")

_DRIVER_NAMES: Mapping[str, tuple[str, ...]] = {
    "h100 80gb hbm3": ("h100-sxm-80",),
    "h100 pcie": ("h100-pcie-80",),
    "h100 nvl": ("h100-nvl-94",),
    "h200": ("h200-sxm-141",),
    "h200 nvl": ("h200-nvl-141",),
    "gh200 480gb": ("gh200-96",),
    "gh200 144g hbm3e": ("gh200-141",),
    "gb10": ("gb10-128",),
    "radeon 8060s": ("strix-halo-128",),
    "b200": ("b200-sxm-180",),
    "b300 sxm6 ac": ("b300-sxm-288",),
    "a100 sxm4 80gb": ("a100-sxm-80",),
    "a100 sxm4 40gb": ("a100-sxm-40",),
    "a100 sxm 80gb": ("a100-sxm-80",),
    "a100 80gb pcie": ("a100-pcie-80",),
    "a100 pcie 40gb": ("a100-pcie-40",),
    "a800 sxm4 80gb": ("a800-sxm-80",),
    "v100 sxm2 32gb": ("v100-sxm2-32",),
    "v100 sxm2 16gb": ("v100-sxm2-16",),
    "v100 pcie 32gb": ("v100-pcie-32",),
    "p100 pcie 16gb": ("p100-16",),
    "rtx pro 6000 blackwell workstation edition": ("rtx-pro-6000-ws-96",),
    "rtx pro 6000 blackwell server edition": ("rtx-pro-6000-se-96",),
    "rtx pro 6000 blackwell max q workstation edition": ("rtx-pro-6000-maxq-96",),
    "rtx pro 5000 blackwell": ("rtx-pro-5000-48", "rtx-pro-5000-72"),
    "rtx 4000 sff ada": ("rtx-4000-ada-sff-20",),
    "geforce rtx 4090": ("rtx-4090-24", "rtx-4090-48-mod"),
}
"""What `nvidia-smi` prints, without the maker, where that is not the title of the row."""

_PCI_IDS: Mapping[str, str] = {
    "10de:1eb8": "t4-16",
    "10de:20b0": "a100-sxm-40",
    "10de:20b2": "a100-sxm-80",
    "10de:2330": "h100-sxm-80",
    "10de:2335": "h200-sxm-141",
    "10de:26b9": "l40s-48",
    "10de:2702": "rtx-4080s-16",
    "10de:27b0": "rtx-4000-ada-sff-20",
    "1002:74a1": "mi300x-192",
}
"""PCI ids that stand beside a product name in the samples of tests/reality/topo."""


def gpu_row(device: SeenDevice, catalog: Catalog) -> Gpu | None:
    """The row of `device`; None where its name fits none, or its memory not the one it fits."""
    if device.name:
        names = _rows_called(device.name, catalog)
    else:
        name = _PCI_IDS.get(device.pci, "")
        names = (name,) if name in catalog.gpus else ()
    fitting = [name for name in names if _fits(device, catalog.gpus[name])]
    return catalog.gpus[fitting[0]] if len(fitting) == 1 else None


def near(device: SeenDevice, catalog: Catalog) -> tuple[str, ...]:
    """Rows to name in a hint: those whose words are most like the device's name."""
    words = set(_folded(device.name).split())
    scores = {
        name: len(words & set(_folded(row.title).split())) for name, row in catalog.gpus.items()
    }
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    return tuple(name for name in ranked[:3] if scores[name] > 1)


def _rows_called(name: str, catalog: Catalog) -> tuple[str, ...]:
    folded = _folded(name)
    listed = _DRIVER_NAMES.get(folded)
    if listed is not None:
        return tuple(row for row in listed if row in catalog.gpus)
    titles = {row: _folded(gpu.title) for row, gpu in catalog.gpus.items()}
    exact = tuple(row for row, title in titles.items() if title == folded)
    return exact or tuple(row for row, title in titles.items() if _MEMORY.sub("", title) == folded)


def _folded(name: str) -> str:
    spaced = name.casefold().replace("-", " ")
    return " ".join(_DROPPED.sub(" ", spaced).split())


def _fits(device: SeenDevice, gpu: Gpu) -> bool:
    """Whether the memory printed is about the row's; unified memory is what the host has."""
    if device.memory is None or gpu.usable_memory is None or gpu.unified:
        return True
    return abs(device.memory - gpu.usable_memory) <= _SAME * gpu.usable_memory
