"""Which row a device is: by name, PCI id and memory, and never by guess."""

from __future__ import annotations

import pytest

from planner.catalog import load_catalog
from planner.topology.importers.seen import SeenDevice
from planner.topology.names import _DRIVER_NAMES, _PCI_IDS, gpu_row, near
from planner.units import MIB

CATALOG = load_catalog()


def row(name: str = "", mib: int | None = None, pci: str = "") -> str:
    memory = None if mib is None else mib * MIB
    found = gpu_row(SeenDevice(index=0, name=name, memory=memory, pci=pci), CATALOG)
    return found.name if found else ""


@pytest.mark.parametrize(
    ("name", "mib", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "h100-sxm-80"),
        ("NVIDIA H100 PCIe", 81559, "h100-pcie-80"),
        ("NVIDIA H200", None, "h200-sxm-141"),
        ("NVIDIA B200", 183359, "b200-sxm-180"),
        ("NVIDIA GB10", None, "gb10-128"),
        ("NVIDIA A100-SXM4-40GB", 40960, "a100-sxm-40"),
        ("Tesla V100-SXM2-16GB", 16384, "v100-sxm2-16"),
        ("Tesla T4", 15360, "t4-16"),
        ("NVIDIA GeForce RTX 3090", 24576, "rtx-3090-24"),
        ("GeForce RTX 3090", 24576, "rtx-3090-24"),
        ("NVIDIA GeForce RTX 4090", 24564, "rtx-4090-24"),
        ("NVIDIA GeForce RTX 4090", 49140, "rtx-4090-48-mod"),
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "rtx-4060ti-16"),
        ("NVIDIA RTX A6000", 46068, "rtx-a6000-48"),
        ("NVIDIA RTX 6000 Ada Generation", 49140, "rtx-6000-ada-48"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 97887, "rtx-pro-6000-ws-96"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 97887, "rtx-pro-6000-maxq-96"),
        ("AMD Instinct MI300X", 196592, "mi300x-192"),
    ],
)
def test_what_a_driver_prints_is_known(name: str, mib: int | None, expected: str) -> None:
    assert row(name, mib) == expected


@pytest.mark.parametrize(
    ("name", "mib"),
    [
        ("NVIDIA GeForce RTX 4060 Ti", 8188),
        ("NVIDIA GeForce RTX 3080", 12288),
        ("NVIDIA GeForce RTX 4090", None),
        ("NVIDIA RTX PRO 5000 Blackwell", None),
        ("NVIDIA GeForce RTX 2080 SUPER", 8192),
        ("Radeon Instinct MI50 32GB", 32768),
        ("", 24576),
    ],
)
def test_what_fits_no_row_or_two_is_not_guessed(name: str, mib: int | None) -> None:
    assert row(name, mib) == ""


def test_a_pci_id_stands_in_for_a_name_that_is_not_printed() -> None:
    assert row(pci="10de:2330") == "h100-sxm-80"
    assert row("something else", pci="10de:2330") == ""


def test_every_name_known_by_heart_is_of_a_row() -> None:
    rows = {row for rows in _DRIVER_NAMES.values() for row in rows} | set(_PCI_IDS.values())
    assert rows <= set(CATALOG.gpus)


def test_rows_like_a_name_are_named_in_the_hint() -> None:
    device = SeenDevice(index=0, name="NVIDIA GeForce RTX 4060 Ti")
    assert near(device, CATALOG)[0] == "rtx-4060ti-16"
    assert near(SeenDevice(index=0), CATALOG) == ()
