"""From what a dump says to wires with rates: NVLink or switch, PCIe slots, what is assumed."""

from __future__ import annotations

import pytest

from planner.catalog import load_catalog
from planner.errors import FileError
from planner.topology.build import build
from planner.topology.importers.seen import Beside, Dump, PeerStatus, SeenDevice
from planner.topology.kinds import kind, linked_groups
from planner.topology.parts import Topology
from tests.unit.topology.machines import FAULTY, every, table, topology, wires


@pytest.mark.parametrize(
    ("count", "cell", "gpu", "rate", "row"),
    [
        (8, "NV18", "h100-sxm-80", 450e9, "nvlink4"),
        (8, "NV18", "b200-sxm-180", 900e9, "nvlink5"),
        (4, "NV18", "gb200-186", 900e9, "nvl72"),
        (8, "NV12", "a100-sxm-80", 300e9, "nvlink3"),
        (8, "NV8", "a800-sxm-80", 200e9, "nvlink3"),
        (16, "NV6", "v100-sxm2-32", 150e9, "nvlink2"),
    ],
)
def test_more_links_than_a_device_has_mean_a_switch(
    count: int, cell: str, gpu: str, rate: float, row: str
) -> None:
    found = topology(table(every(count, cell)), gpu)
    links = wires(found, "nvlink")
    assert {(wire.other, wire.bandwidth, wire.link) for wire in links} == {("nvswitch0", rate, row)}
    assert len(links) == count
    assert kind(found, "gpu0", "gpu3") == cell


@pytest.mark.parametrize(
    ("count", "cell", "gpu", "rate", "row"),
    [
        (2, "NV4", "rtx-3090-24", 56.25e9, "nvlink3-bridge"),
        (2, "NV4", "rtx-a6000-48", 56.25e9, "nvlink3-bridge"),
        (4, "NV6", "h100-sxm-80", 150e9, "nvlink4"),
        (2, "NV12", "h100-nvl-94", 300e9, "nvlink4-bridge"),
        (4, "NV4", "a100-sxm-80", 100e9, "nvlink3"),
    ],
)
def test_as_many_links_as_a_device_has_go_from_device_to_device(
    count: int, cell: str, gpu: str, rate: float, row: str
) -> None:
    found = topology(table(every(count, cell)), gpu)
    links = wires(found, "nvlink")
    assert len(links) == count * (count - 1) // 2
    assert {(wire.bandwidth, wire.link) for wire in links} == {(rate, row)}
    assert {part.kind for part in found.parts} == {"gpu", "root", "socket"}


def test_a_gpu_off_nvlink_is_seen_and_told() -> None:
    found = topology(FAULTY, "b200-sxm-180")
    assert linked_groups(found) == [
        ("gpu0", "gpu1", "gpu3", "gpu4", "gpu5", "gpu6", "gpu7"),
        ("gpu2",),
    ]
    assert kind(found, "gpu1", "gpu2") == "NODE"
    assert kind(found, "gpu2", "gpu7") == "SYS"
    assert (
        "gpu2 has no NVLink, though 7 other devices have: a faulty link, or none fitted; groups "
        "of devices that talk much should leave it out"
    ) in found.findings


def test_links_to_the_switch_that_are_down_are_told() -> None:
    rows = ["X NV9 NV9 NV9", "NV9 X NV18 NV18", "NV9 NV18 X NV18", "NV9 NV18 NV18 X"]
    found = topology(table(rows), "h100-sxm-80")
    weak = next(wire for wire in wires(found, "nvlink") if wire.one == "gpu0")
    assert (weak.lanes, weak.bandwidth) == (9, 225e9)
    assert kind(found, "gpu0", "gpu1") == "NV9"
    assert "gpu0 has 9 NVLinks to the switch, others have 18: links are down" in found.findings


def test_counts_that_no_switch_explains_are_refused() -> None:
    rows = ["X NV18 NV18 NV18", "NV18 X NODE NV18", "NV18 NODE X NV18", "NV18 NV18 NV18 X"]
    with pytest.raises(FileError, match="GPU1 to GPU2 has 0 NVLinks; on the switch that"):
        topology(table(rows), "h100-sxm-80")


def test_an_unknown_gpu_gets_the_usual_links_and_that_is_told() -> None:
    found = topology(table(every(2, "NV4")))
    assert wires(found, "nvlink")[0].bandwidth == 100e9
    assert "NVLink generation unknown: 25 GB/s a link and direction assumed" in found.findings
    assert "gpu0, gpu1: PCIe 4.0 with 16 lanes assumed" in found.findings


def tree(found: Topology) -> dict[str, str]:
    return {wire.one: wire.other for wire in wires(found, "pcie")}


def test_switches_in_switches_hang_below_each_other() -> None:
    rows = ["X PIX PXB NODE", "PIX X PXB NODE", "PXB PXB X NODE", "NODE NODE NODE X"]
    found = topology(table(rows), "l40s-48")
    above = tree(found)
    assert above["gpu0"] == above["gpu1"] == "pcie1"
    assert above["pcie1"] == above["pcie2"] == "pcie0"
    assert above["gpu2"] == "pcie2"
    assert (above["pcie0"], above["gpu3"]) == ("root0", "root1")
    assert above["root0"] == above["root1"] == "socket0"
    rates = {wire.one: wire.bandwidth for wire in wires(found, "pcie")}
    assert rates["gpu0"] == rates["pcie0"] == rates["pcie1"] == 31.5e9


def test_a_host_bridge_carries_all_that_is_below_it() -> None:
    found = topology(table(every(4, "PHB")), "l40s-48")
    assert {w.bandwidth for w in wires(found, "pcie") if w.one == "root0"} == {4 * 31.5e9}


def test_affinity_parts_sockets_and_sys_parts_numa_nodes() -> None:
    found = topology(table(every(2, "NV4"), ["0", "1"]), "rtx-3090-24")
    assert len(wires(found, "socket")) == 1
    torn = topology(table(every(2, "SYS"), ["0", "0"]), "l40s-48")
    assert len(wires(torn, "socket")) == 1
    assert any("NUMA 0: the table has SYS between parts of one node" in f for f in torn.findings)


def test_a_table_that_is_no_tree_is_refused() -> None:
    rows = ["X PIX SYS", "PIX X PIX", "SYS PIX X"]
    with pytest.raises(FileError, match="GPU0 to GPU2 is SYS, but by the rest of the table it is"):
        topology(table(rows))


def test_an_adapter_at_an_impossible_distance_is_told_and_the_devices_count() -> None:
    text = "\tGPU0\tGPU1\tNIC0\nGPU0\t X \tPHB\tPIX\nGPU1\tPHB\t X \tSYS\nNIC0\tPIX\tSYS\t X \n"
    found = topology(text, "l40s-48")
    assert kind(found, "gpu0", "gpu1") == "PHB"
    assert "nic0: the table puts them at distances that no tree of PCIe has" in found.findings


def made(*devices: SeenDevice, **fields: object) -> Dump:
    return Dump.model_validate({"format": "test", "devices": devices, "links_known": True} | fields)


def built(dump: Dump, gpu: str = "") -> Topology:
    catalog = load_catalog()
    rows = [catalog.gpus[gpu] if gpu else None] * len(dump.devices)
    return build(dump, rows, catalog, "machine", "dump")


@pytest.mark.parametrize(
    ("generation", "width", "rate", "row"),
    [
        (5, 16, 63e9, "pcie5-x16"),
        (5, 8, 31.5e9, "pcie5-x8"),
        (4, 8, 15.75e9, "pcie4-x16"),
        (3, 4, 15.75e9 / 4, "pcie3-x16"),
        (1, 16, 4e9, ""),
        (None, None, 31.5e9, "pcie4-x16"),
    ],
)
def test_a_slot_is_as_fast_as_printed(
    generation: int | None, width: int | None, rate: float, row: str
) -> None:
    device = SeenDevice(index=0, generation=generation, width=width, full_width=16)
    found = built(made(device), "" if generation else "l40s-48")
    (wire,) = [wire for wire in found.wires if wire.one == "gpu0"]
    assert (wire.bandwidth, wire.link) == (rate, row)
    assert (f"gpu0 has {width} PCIe lanes of 16" in found.findings) == (width in (4, 8))


def test_peer_to_peer_is_as_the_driver_says_else_off_for_geforce() -> None:
    two = (SeenDevice(index=0), SeenDevice(index=1))
    peers = [PeerStatus(one="GPU0", other="GPU1", status="OK")]
    assert built(made(*two, peers=peers), "rtx-3090-24").peer_to_peer
    off = built(made(*two, peers=[peers[0].model_copy(update={"status": "CNS"})]), "l4-24")
    assert not off.peer_to_peer
    assert any("is off for 1 of 1 pairs (CNS)" in finding for finding in off.findings)
    assert not built(made(*two), "rtx-4090-24").peer_to_peer
    assert built(made(*two), "rtx-pro-6000-ws-96").peer_to_peer
    assert built(made(two[0]), "rtx-4090-24").peer_to_peer


def test_links_beside_devices_become_wires() -> None:
    beside = [
        *(Beside(device=f"GPU{number}", kind="nvswitch", count=18) for number in (0, 1)),
        Beside(device="GPU0", kind="c2c"),
    ]
    found = built(made(SeenDevice(index=0), SeenDevice(index=1), beside=beside), "gh200-96")
    assert {w.other for w in wires(found, "nvlink")} == {"nvswitch0"}
    assert [(w.one, w.other, w.bandwidth) for w in wires(found, "c2c")] == [
        ("gpu0", "socket0", 450e9)
    ]


def test_links_nobody_speaks_of_are_told() -> None:
    dump = made(SeenDevice(index=0), SeenDevice(index=1), links_known=False)
    assert any("nothing says whether NVLink" in finding for finding in built(dump).findings)


def test_a_driver_that_counts_links_down_is_quoted() -> None:
    found = built(made(SeenDevice(index=0, nvlinks=16, nvlinks_down=2)), "h100-sxm-80")
    assert "gpu0 has 2 NVLinks that are down" in found.findings
