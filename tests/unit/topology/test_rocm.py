"""ROCm's tables, where hops cannot be believed and weights can."""

from __future__ import annotations

import json

import pytest

from planner.errors import FileError
from planner.topology.importers.detect import read
from planner.topology.importers.seen import Dump
from planner.units import MIB


def table(title: str, cells: list[list[str]]) -> str:
    names = [f"GPU{number}" for number in range(len(cells))]
    head = "       " + "".join(f"{name:<13}" for name in names)
    rows = [
        f"{n:<7}" + "".join(f"{c:<13}" for c in row) for n, row in zip(names, cells, strict=True)
    ]
    return "\n".join([f"{f' {title} ':=^90}", head, *rows, ""])


def showtopo(weights: list[list[str]], hops: list[list[str]], types: list[list[str]]) -> str:
    numa = "".join(
        f"GPU[{number}]\t\t: (Topology) Numa Node: {number // 2}\n" for number in range(len(types))
    )
    return "\n".join(
        [
            table("Weight between two GPUs", weights),
            table("Hops between two GPUs", hops),
            table("Link Type between two GPUs", types),
            f"{' Numa Nodes ':=^90}\n{numa}",
        ]
    )


def links(found: Dump) -> list[tuple[str, str, str]]:
    return [(pair.one, pair.other, pair.kind) for pair in found.pairs]


XGMI = showtopo(
    [["0", "15", "30"], ["15", "0", "15"], ["30", "15", "0"]],
    [["0", "1", "1"], ["1", "0", "1"], ["1", "1", "0"]],
    [["0", "XGMI", "XGMI"], ["XGMI", "0", "XGMI"], ["XGMI", "XGMI", "0"]],
)


def test_xgmi_through_another_device_is_no_link_of_the_pair() -> None:
    (found,) = read(XGMI, "dump")
    assert links(found) == [("GPU0", "GPU1", "XGMI"), ("GPU1", "GPU2", "XGMI")]
    assert found.findings == ("1 pairs reach each other over xGMI through other devices only",)
    assert [device.place for device in found.devices] == ["NUMA 0", "NUMA 0", "NUMA 1"]


def test_pcie_is_near_through_one_cpu_and_far_through_two() -> None:
    text = showtopo(
        [["0", "40", "72"], ["40", "0", "72"], ["72", "72", "0"]],
        [["0", "2", "3"], ["2", "0", "3"], ["3", "3", "0"]],
        [["0", "PCIE", "PCIE"], ["PCIE", "0", "PCIE"], ["PCIE", "PCIE", "0"]],
    )
    (found,) = read(text, "dump")
    assert links(found) == [
        ("GPU0", "GPU1", "NODE"),
        ("GPU0", "GPU2", "SYS"),
        ("GPU1", "GPU2", "SYS"),
    ]


def test_halves_of_a_table_that_differ_are_refused() -> None:
    # a copy in which somebody altered a cell
    altered = XGMI.replace("GPU1   15 ", "GPU1   14 ")
    with pytest.raises(FileError, match="weight of GPU0 to GPU1 is 15, but of GPU1 to GPU0 14"):
        read(altered, "dump")


def test_a_pair_without_a_link_type_is_refused() -> None:
    with pytest.raises(FileError, match="GPU0 to GPU2 has link type UNKNOWN"):
        read(
            XGMI.replace("GPU0   0            XGMI         XGMI", "GPU0 0 XGMI UNKNOWN").replace(
                "GPU2   XGMI", "GPU2 UNKNOWN"
            ),
            "dump",
        )


def test_without_weights_every_xgmi_pair_counts_and_that_is_told() -> None:
    types = table("Link Type between two GPUs", [["0", "XGMI"], ["XGMI", "0"]])
    (found,) = read(types, "dump")
    assert links(found) == [("GPU0", "GPU1", "XGMI")]
    assert found.findings == (
        "weights are not printed: every xGMI pair is taken to be linked directly",
    )
    near = table("Weight between two GPUs", [["0", "40"], ["40", "0"]])
    (found,) = read(near + types.replace("XGMI", "PCIE"), "dump")
    assert links(found) == [("GPU0", "GPU1", "NODE")]


def test_json_gives_devices_and_pairs() -> None:
    card = {
        "Card Series": "AMD Instinct MI300X",
        "PCI Bus": "0000:0C:00.0",
        "Device ID": "0x74a1",
        "VRAM Total Memory (B)": str(196592 * MIB),
        "VRAM Total Used Memory (B)": str(592 * MIB),
        "pcie clock level": "3 (32.0GT/s x16)",
        "(Topology) Numa Node": "1",
    }
    other = card | {"PCI Bus": "0000:0D:00.0", "VRAM Total Memory (B)": "N/A"}
    system = {
        "(Topology) Weight between DRM devices 0 and 1": "15",
        "(Topology) Hops between DRM devices 0 and 1": "1",
        "(Topology) Link type between DRM devices 0 and 1": "XGMI",
    }
    (found,) = read(json.dumps({"card0": card, "card1": other, "system": system}), "dump")
    first, second = found.devices
    assert (first.bus, first.pci, first.place) == ("0000:0c:00.0", "1002:74a1", "NUMA 1")
    assert (first.memory, first.free) == (196592 * MIB, 196000 * MIB)
    assert (first.generation, first.width) == (5, 16)
    assert (second.memory, second.silent) == (None, True)
    assert links(found) == [("GPU0", "GPU1", "XGMI")]


AMD = """
WEIGHT TABLE:
             0000:0c:00.0 0000:22:00.0
0000:0c:00.0 0            15
0000:22:00.0 15           0

HOPS TABLE:
             0000:0c:00.0 0000:22:00.0
0000:0c:00.0 0            1
0000:22:00.0 1            0

LINK TYPE TABLE:
             0000:0c:00.0 0000:22:00.0
0000:0c:00.0 SELF         XGMI
0000:22:00.0 XGMI         SELF

NUMA BW TABLE:
             0000:0c:00.0 0000:22:00.0
0000:0c:00.0 N/A          50000-50000
0000:22:00.0 50000-50000  N/A
"""


def amd(bus: str, other: str) -> dict[str, object]:
    link = {"bdf": other, "weight": 15, "num_hops": 1, "link_type": "XGMI"}
    own = {"bdf": bus, "weight": 0, "num_hops": 0, "link_type": "SELF"}
    return {"gpu": 0, "bdf": bus, "links": [own, link]}


@pytest.mark.parametrize(
    "text",
    [AMD, json.dumps([amd("0000:0c:00.0", "0000:22:00.0"), amd("0000:22:00.0", "0000:0c:00.0")])],
    ids=["text", "json"],
)
def test_amd_smi_is_keyed_by_bus_id(text: str) -> None:
    (found,) = read(text, "dump")
    assert [device.bus for device in found.devices] == ["0000:0c:00.0", "0000:22:00.0"]
    assert links(found) == [("GPU0", "GPU1", "XGMI")]


@pytest.mark.parametrize(
    "text", ["{}", "[]", "[1]", '{"card": 1}', '[{"bdf": 1, "links": 2}]', "{"]
)
def test_json_of_no_known_kind_is_refused(text: str) -> None:
    with pytest.raises(FileError):
        read(text, "dump")
