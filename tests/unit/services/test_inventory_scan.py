"""Scanning: NVML where it is installed, else the tools, and what is missing is said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from planner.catalog import load_catalog
from planner.errors import FileError
from planner.services.inventory import Told
from planner.services.inventory_scan import THIS_MACHINE, Ways, scan
from planner.topology.kinds import kind
from planner.units import MIB
from tests.unit.services.test_inventory import query
from tests.unit.topology.machines import every, table

CATALOG = load_catalog()
CARD = ("NVIDIA GeForce RTX 3090", "24576 MiB", "24258 MiB")


def ways(answers: dict[str, tuple[int, str]], module: Any = None, meminfo: str = "") -> Ways:
    """A machine on which commands answer so; a program none of whose commands do is missing."""

    def run(words: Sequence[str]) -> tuple[int, str]:
        said = " ".join(words)
        return next((answers[key] for key in answers if said.startswith(key)), (9, "no such"))

    return Ways(
        module=lambda: module,
        find=lambda name: name if any(key.startswith(name) for key in answers) else None,
        run=run,
        meminfo=lambda: meminfo,
    )


def test_the_tools_of_the_driver_are_asked_and_what_is_missing_is_said() -> None:
    machine = ways(
        {
            "nvidia-smi --query-gpu": (0, query(CARD, CARD)),
            "nvidia-smi topo -m": (0, table(every(2, "NV4"), ["0", "0"])),
            "nvidia-smi topo -p2p": (2, "\nInvalid option\n"),
        },
        meminfo="MemTotal: 65536000 kB\n",
    )
    found, missing = scan(CATALOG, Told(), machine)
    (rig,) = found.machines
    assert [device.gpu for device in rig.devices] == ["rtx-3090-24"] * 2
    assert kind(rig.topology, "gpu0", "gpu1") == "NV4"
    assert rig.host_memory == 65536000 * 1024
    assert missing == (
        "package nvidia-ml-py (module pynvml) is not installed",
        "'nvidia-smi topo -p2p' failed: Invalid option",
        "'nvidia-smi -L' failed: no such",
        "rocm-smi is not installed",
        "amd-smi is not installed",
        "lstopo is not installed",
    )


def test_a_machine_without_a_gpu_is_refused_and_says_what_was_tried() -> None:
    with pytest.raises(FileError, match="no GPU found on this machine") as refusal:
        scan(CATALOG, Told(), ways({}))
    assert "nvidia-smi is not installed" in refusal.value.message
    assert "nvidia-ml-py" in refusal.value.hint


def test_a_tool_that_contradicts_the_driver_is_left_out_and_that_is_said() -> None:
    answers = {
        "nvidia-smi --query-gpu": (0, query(CARD, CARD)),
        "nvidia-smi topo -m": (0, table(every(3, "PHB"))),
    }
    found, missing = scan(CATALOG, Told(), ways(answers))
    assert len(found.machines[0].devices) == 2
    assert any(text.startswith("left out nvidia-smi topo -m: machine:") for text in missing)


def test_a_command_is_run_and_one_that_cannot_be_is_said() -> None:
    code, output = THIS_MACHINE.run((sys.executable, "-c", "print('said')"))
    assert (code, output.split()) == (0, ["said"])
    code, output = THIS_MACHINE.run((sys.executable, "-c", "raise SystemExit('no')"))
    assert (code, output.split()) == (1, ["no"])
    code, output = THIS_MACHINE.run(("no-such-program-anywhere",))
    assert (code, output) == (-1, "No such file or directory")


def test_output_of_no_known_kind_is_said() -> None:
    answers = {"nvidia-smi --query-gpu": (0, query(CARD)), "nvidia-smi topo": (0, "Surprise!")}
    _, missing = scan(CATALOG, Told(), ways(answers))
    assert "nvidia-smi topo -m: no format known" in missing


class NvmlError(Exception):
    """What the stand-in raises where a device does not know a thing."""


def nvml(links: list[list[tuple[str, int]]], **changes: Any) -> Any:
    """A stand-in for the module: devices with NVLinks to bus ids."""
    buses = [f"00000000:{number + 16:02X}:00.0" for number in range(len(links))]

    def far(handle: int, link: int) -> Any:
        ends = [bus for bus, count in links[handle] for _ in range(count)]
        if link >= len(ends):
            raise NvmlError("no such link")
        return SimpleNamespace(busId=ends[link].encode())

    def up(handle: int, link: int) -> int:
        far(handle, link)
        return 1

    module = SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(links),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: b"NVIDIA H100 80GB HBM3",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=81559 * MIB, free=81081 * MIB),
        nvmlDeviceGetPciInfo=lambda handle: SimpleNamespace(
            busId=buses[handle].encode(), pciDeviceId=0x233010DE
        ),
        nvmlDeviceGetMaxPcieLinkGeneration=lambda handle: 5,
        nvmlDeviceGetCurrPcieLinkWidth=lambda handle: 16,
        nvmlDeviceGetMaxPcieLinkWidth=lambda handle: 16,
        nvmlDeviceGetNvLinkState=up,
        nvmlDeviceGetNvLinkRemotePciInfo=far,
        nvmlDeviceGetMemoryAffinity=lambda handle, words, scope: [1 << handle // 2, 0, 0, 0],
        nvmlDeviceGetTopologyCommonAncestor=lambda one, other: 50,
        nvmlDeviceGetP2PStatus=lambda one, other, index: 0,
    )
    for name, value in changes.items():
        setattr(module, name, value)
    return module


SWITCHED = [[("00000000:F0:00.0", 9), ("00000000:F1:00.0", 9)]] * 4


def test_nvml_gives_devices_memory_and_links_through_switches() -> None:
    found, _ = scan(CATALOG, Told(), ways({}, nvml(SWITCHED)))
    (rig,) = found.machines
    assert [(d.gpu, d.bus, d.free) for d in rig.devices][1] == (
        "h100-sxm-80",
        "0000:11:00.0",
        81081 * MIB,
    )
    assert {kind(rig.topology, "gpu0", f"gpu{n}") for n in (1, 2, 3)} == {"NV18"}
    assert rig.topology.peer_to_peer
    assert rig.sources == ("NVML",)
    sockets = [part.model for part in rig.topology.parts if part.kind == "socket"]
    assert sockets == ["NUMA 0", "NUMA 1"]


def test_nvml_gives_direct_links_and_pcie() -> None:
    pairs = [[("00000000:11:00.0", 4)], [("00000000:10:00.0", 4)], []]
    found, _ = scan(CATALOG, Told(), ways({}, nvml(pairs)))
    graph = found.machines[0].topology
    assert kind(graph, "gpu0", "gpu1") == "NV4"
    assert kind(graph, "gpu0", "gpu2") == "SYS"
    assert any("gpu2 has no NVLink" in finding for finding in graph.findings)


def test_a_memory_that_nvml_does_not_know_is_shared_not_full() -> None:
    def unknown(handle: int) -> None:
        raise NvmlError("Not Supported")

    module = nvml([[]], nvmlDeviceGetMemoryInfo=unknown, nvmlDeviceGetName=lambda h: "NVIDIA GB10")
    found, _ = scan(CATALOG, Told(), ways({}, module, "MemTotal: 125829120 kB\n"))
    device = found.machines[0].devices[0]
    assert (device.gpu, device.shares_host) == ("gb10-128", True)
    assert found.machines[0].capacity(device) == 120 * 2**30


def test_nvml_lists_the_slices_of_a_device() -> None:
    def part(handle: int, number: int) -> str:
        if number > 1:
            raise NvmlError("no such slice")
        return f"slice{number}"

    module = nvml(
        [[]],
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: 7,
        nvmlDeviceGetMigDeviceHandleByIndex=part,
        nvmlDeviceGetGpuInstanceId=lambda handle: 3,
    )
    found, _ = scan(CATALOG, Told(), ways({}, module))
    slices = found.machines[0].devices[0].slices
    assert [(s.instance, s.free) for s in slices] == [("3", 81081 * MIB)] * 2


def test_a_driver_that_does_not_answer_is_said() -> None:
    def broken() -> None:
        raise NvmlError("Driver Not Loaded")

    with pytest.raises(FileError, match="NVML: Driver Not Loaded; nvidia-smi is not installed"):
        scan(CATALOG, Told(), ways({}, nvml([], nvmlInit=broken)))
