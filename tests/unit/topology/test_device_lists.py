"""Lists of devices: --query-gpu CSV, -q -x XML, -q text, -L and nvlink -s, /proc/meminfo."""

from __future__ import annotations

import pytest

from planner.errors import FileError
from planner.topology.importers import meminfo, nvidia_smi_query, nvidia_smi_text, nvidia_smi_xml
from planner.topology.importers.seen import SeenDevice
from planner.topology.importers.xml_tree import parse
from planner.units import MIB

HEADER = (
    "index, name, pci.bus_id, pci.device_id, memory.total [MiB], memory.free [MiB], "
    "pcie.link.gen.max, pcie.link.gen.hostmax, pcie.link.width.current, pcie.link.width.max\n"
)
ROW = "0, NVIDIA L4, 00000000:3B:00.0, 0x27B810DE, 23034 MiB, 22000 MiB, 4, 3, 8, 16\n"


def query(text: str) -> SeenDevice:
    return nvidia_smi_query.read(text, "dump").devices[0]


def test_a_row_of_the_csv_is_a_device() -> None:
    assert query(HEADER + ROW) == SeenDevice(
        index=0,
        bus="0000:3b:00.0",
        name="NVIDIA L4",
        pci="10de:27b8",
        memory=23034 * MIB,
        free=22000 * MIB,
        generation=3,
        width=8,
        full_width=16,
    )


def test_units_may_stand_in_the_header_only() -> None:
    assert query(HEADER + ROW.replace(" MiB", "")).memory == 23034 * MIB


@pytest.mark.parametrize("silence", ["[N/A]", "[Not Supported]", "N/A", "[Unknown Error]"])
def test_a_memory_that_is_not_printed_is_told_from_none_asked_for(silence: str) -> None:
    device = query(HEADER + ROW.replace("23034 MiB", silence).replace("22000 MiB", silence))
    assert (device.memory, device.free, device.silent) == (None, None, True)
    assert not query("index, name\n0, NVIDIA L4\n").silent


def test_the_csv_of_another_query_is_not_of_devices() -> None:
    assert not nvidia_smi_query.holds("timestamp, gpu_name, gpu_bus_id, pid, process_name\n")
    assert nvidia_smi_query.holds(HEADER)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "without rows"),
        (HEADER + ROW.replace(", 16", ""), "line 2 has 9 fields for 10 in the header"),
        (HEADER + ROW + ROW, "GPU 0 is there twice"),
        (HEADER + ROW + ROW.replace("0, NV", "1, NV"), "bus id 0000:3b:00.0 is there twice"),
        ("name\n", "no header"),
    ],
)
def test_a_csv_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        nvidia_smi_query.read(text, "dump")


XML = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <gpu id="00000000:0F:00.0">
    <product_name>NVIDIA GB10</product_name>
    <mig_devices><mig_device><gpu_instance_id>3</gpu_instance_id>
      <fb_memory_usage><total>19968 MiB</total><free>19955 MiB</free></fb_memory_usage>
    </mig_device></mig_devices>
    <fb_memory_usage><total>N/A</total><used>N/A</used><free>N/A</free></fb_memory_usage>
    <pci><pci_device_id>2E1210DE</pci_device_id><pci_gpu_link_info>
      <pcie_gen><max_link_gen>5</max_link_gen><max_host_link_gen>4</max_host_link_gen></pcie_gen>
      <link_widths><max_link_width>16x</max_link_width>
        <current_link_width>4x</current_link_width></link_widths>
    </pci_gpu_link_info></pci>
  </gpu>
</nvidia_smi_log>"""


def test_the_xml_names_the_device_its_slot_and_its_slices() -> None:
    device = nvidia_smi_xml.read(parse(XML, "dump"), "dump").devices[0]
    assert (device.bus, device.name, device.pci) == ("0000:0f:00.0", "NVIDIA GB10", "10de:2e12")
    assert (device.memory, device.free, device.silent) == (None, None, True)
    assert (device.generation, device.width, device.full_width) == (4, 4, 16)
    assert [(s.instance, s.memory) for s in device.slices] == [("3", 19968 * MIB)]


def test_an_xml_without_devices_is_refused() -> None:
    with pytest.raises(FileError, match="no <gpu> in it"):
        nvidia_smi_xml.read(parse("<nvidia_smi_log/>", "dump"), "dump")


LOG = """
==============NVSMI LOG==============

GPU 00000000:83:00.0
    Product Name                          : NVIDIA H200
    MIG Device
        Index                             : 0
        GPU Instance ID                   : 2
        Shared FB Memory Usage
            Total                         : 71424 MiB
            Free                          : 71403 MiB
    PCI
        GPU Link Info
            PCIe Generation
                Max                       : 5
                Host Max                  : N/A
            Link Width
                Max                       : 16x
                Current                   : 16x
    FB Memory Usage
        Total                             : 143771 MiB
        Free                              : 143103 MiB
"""


def test_the_text_of_q_says_the_same_as_its_xml() -> None:
    device = nvidia_smi_text.read_query(LOG, "dump").devices[0]
    assert (device.bus, device.name) == ("0000:83:00.0", "NVIDIA H200")
    assert (device.memory, device.free) == (143771 * MIB, 143103 * MIB)
    assert (device.generation, device.width) == (5, 16)
    assert [(s.instance, s.free) for s in device.slices] == [("2", 71403 * MIB)]


LIST = """\
GPU 0: NVIDIA H200 (UUID: GPU-0)
  MIG 1c.3g.71gb  Device  0: (UUID: MIG-0)
  MIG 2g.35gb     Device  1: (UUID: MIG-1)
GPU 1: NVIDIA H200 (UUID: GPU-1)
\t Link 0: 26.562 GB/s
\t Link 1: 26.562 GB/s
\t Link 2: <inactive>
"""


def test_the_list_names_slices_and_counts_links() -> None:
    first, second = nvidia_smi_text.read_list(LIST, "dump").devices
    assert [part.profile for part in first.slices] == ["1c.3g.71gb", "2g.35gb"]
    assert (first.nvlinks, second.nvlinks, second.nvlinks_down) == (None, 2, 1)


def test_the_memory_of_the_host_is_read() -> None:
    found = meminfo.read("MemTotal:  125000000 kB\nMemFree: 1 kB\nMemAvailable: 99 kB\n", "dump")
    assert (found.host_memory, found.host_free) == (125000000 * 1024, 99 * 1024)
    with pytest.raises(FileError, match="no sensible MemTotal"):
        meminfo.read("MemTotal:  1 kB\nMemAvailable: 99 kB\n", "dump")
