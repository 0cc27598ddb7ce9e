"""NCCL's XML and hwloc's: which devices hang where, and what links them."""

from __future__ import annotations

import pytest

from planner.errors import FileError
from planner.topology.importers import lstopo, nccl_xml
from planner.topology.importers.seen import Beside, Dump, Pair
from planner.topology.importers.xml_tree import parse


def nccl(body: str) -> Dump:
    return nccl_xml.read(parse(f'<system version="1">{body}</system>', "dump"), "dump")


def pci(bus: str, inside: str = "", code: str = "0x030200", speed: str = "32.0 GT/s PCIe") -> str:
    head = f'<pci busid="0000:{bus}:00.0" class="{code}" link_speed="{speed}" link_width="16"'
    return f"{head}>{inside}</pci>"


def xgmi(bus: str) -> str:
    return f'<xgmi target="0000:{bus}:00.0" count="1"/>'


def gpu(number: int, links: str = "") -> str:
    return f'<gpu dev="{number}" sm="90" rank="{number}">{links}</gpu>'


def test_a_device_keeps_its_number_its_bus_and_its_slot() -> None:
    found = nccl(f'<cpu numaid="3">{pci("1b", gpu(0))}</cpu>')
    (device,) = found.devices
    assert (device.index, device.bus, device.generation, device.width) == (0, "0000:1b:00.0", 5, 16)
    assert [branch.model for branch in found.tree if branch.kind == "socket"] == ["NUMA 3"]


def test_a_bridge_that_only_passes_on_is_no_switch() -> None:
    lone = pci("02", pci("03", pci("04", gpu(0)), "0x060400", "8 GT/s"), "0x060400")
    shared = pci("05", pci("06", gpu(1)) + pci("07", gpu(2)), "0x060400")
    found = nccl(f'<cpu numaid="0">{lone}{shared}</cpu>')
    parents = {branch.name: branch.parent for branch in found.tree}
    assert parents["GPU0"] == "root0"
    assert parents["GPU1"] == parents["GPU2"] == "pcie2"
    slot = next(branch for branch in found.tree if branch.name == "GPU0")
    assert slot.generation == 3


def test_links_to_devices_switches_and_the_host_are_told_apart() -> None:
    peer = '<nvlink target="0000:02:00.0" count="4" tclass="0x030200"/>'
    back = '<nvlink target="0000:01:00.0" count="4" tclass="0x030200"/>'
    switch = '<nvlink target="fffffff:ffff:ff" count="6" tclass="0x068000"/>' * 3
    host = '<c2c bw="390000" count="1"/>'
    body = pci("01", gpu(0, peer + host)) + pci("02", gpu(1, back + switch))
    found = nccl(f'<cpu numaid="0">{body}</cpu>')
    assert found.pairs == (Pair(one="GPU0", other="GPU1", kind="NV", count=4),)
    assert found.beside == (
        Beside(device="GPU0", kind="c2c"),
        Beside(device="GPU1", kind="nvswitch", count=18),
    )


def test_the_speed_of_a_port_is_in_megabits() -> None:
    net = '<nic><net name="mlx5_0" dev="0" speed="400000" port="1"/></nic>'
    found = nccl(f'<cpu numaid="0">{pci("01", gpu(0))}{pci("02", net, "0x020700")}</cpu>')
    (adapter,) = found.adapters
    assert (adapter.name, adapter.rate) == ("mlx5_0", 50_000_000_000)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "no GPU in it"),
        ('<cpu><pci busid="0000:00:16.0"/></cpu>', "PCI device 0000:00:16.0 has no class"),
        (f"<cpu>{pci('01', gpu(0))}{pci('02', gpu(0))}</cpu>", "GPU 0 is there twice"),
        (
            f"<cpu>{pci('01', gpu(0, xgmi('09')))}</cpu>",
            "GPU0 has a link to 0000:09:00.0, which is no other device",
        ),
        (
            f"<cpu>{pci('01', gpu(0, xgmi('01')))}</cpu>",
            "which is no other device",
        ),
    ],
)
def test_a_topology_that_makes_no_sense_is_refused(body: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        nccl(body)


def test_a_graph_says_how_many_devices_it_is_of() -> None:
    text = (
        '<graphs version="1"><graph id="0" nchannels="2" speedintra="12" typeintra="SYS">'
        '<channel><gpu dev="1"/><gpu dev="0"/></channel></graph></graphs>'
    )
    found = nccl_xml.read_graph(parse(text, "dump"), "dump")
    assert [device.index for device in found.devices] == [0, 1]
    assert found.findings == ("NCCL found 2 channels at 12 GB/s over SYS",)
    with pytest.raises(FileError, match="no <gpu"):
        nccl_xml.read_graph(parse("<graphs/>", "dump"), "dump")


def hwloc(*devices: str) -> Dump:
    body = "".join(devices)
    text = (
        '<topology version="2.0"><object type="Machine"><object type="Package">'
        '<object type="NUMANode" local_memory="1024"/>'
        f'<object type="Bridge" bridge_type="0-1">{body}</object>'
        "</object></object></topology>"
    )
    return lstopo.read(parse(text, "dump"), "dump")


def card(bus: str, kind: str, inside: str = "") -> str:
    return (
        f'<object type="PCIDev" pci_busid="0000:{bus}:00.0" pci_type="{kind} [0000:0000] a1" '
        f'pci_link_speed="15.753846">{inside}</object>'
    )


def software(name: str, subtype: str, model: str, size: int = 0) -> str:
    memory = f'<info name="CUDAGlobalMemorySize" value="{size}"/>' if size else ""
    return (
        f'<object type="OSDev" name="{name}" subtype="{subtype}">'
        f'<info name="GPUModel" value="{model}"/>{memory}</object>'
    )


def test_hwloc_gives_the_drivers_numbers_names_and_the_memory_of_the_host() -> None:
    found = hwloc(
        card("18", "0302 [10de:1eb8]", software("nvml1", "NVML", "Tesla T4")),
        card(
            "19",
            "0302 [10de:1eb8]",
            software("nvml0", "NVML", "T4") + software("c", "CUDA", "x", 9),
        ),
        card("20", "0207 [15b3:1021]", '<object type="OSDev" name="mlx5_0"/>'),
        card("21", "0300 [102b:0532]"),
    )
    assert [(d.index, d.bus, d.name) for d in found.devices] == [
        (0, "0000:19:00.0", "T4"),
        (1, "0000:18:00.0", "Tesla T4"),
    ]
    assert found.devices[0].memory == 9 * 1024
    assert found.host_memory == 1024
    assert [adapter.name for adapter in found.adapters] == ["mlx5_0"]
    assert [b.bandwidth for b in found.tree if b.name == "GPU0"] == [15.753846e9]


def test_graphics_of_a_mainboard_are_no_gpu() -> None:
    with pytest.raises(FileError, match="no GPU among its PCI devices"):
        hwloc(card("00", "0300 [102b:0532]"))
