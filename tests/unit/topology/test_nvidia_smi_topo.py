"""`topo -m` and `topo -p2p` in every shape people paste them."""

from __future__ import annotations

import pytest

from planner.errors import FileError
from planner.topology.importers.detect import read as detect
from planner.topology.importers.nvidia_smi_topo import holds, holds_peers, read, read_peers
from planner.topology.importers.seen import Pair
from planner.topology.importers.words import plain

TABLE = """\
\tGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID
GPU0\t X \tNV4\tPIX\t0-31\t0\t\tN/A
GPU1\tNV4\t X \tSYS\t32-63\t1\t\tN/A
NIC0\tPIX\tSYS\t X \t\t\t\t

NIC Legend:

  NIC0: mlx5_0
"""
PAIRS = (
    Pair(one="GPU0", other="GPU1", kind="NV", count=4),
    Pair(one="GPU0", other="NIC0", kind="PIX"),
    Pair(one="GPU1", other="NIC0", kind="SYS"),
)


def spaced(text: str) -> str:
    return text.replace("\t", "     ")


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        spaced(TABLE),
        TABLE.replace("\tGPU0\tGPU1", "\t\x1b[4mGPU0\tGPU1").replace("ID\n", "ID\x1b[0m\n"),
        TABLE.replace("\n", "\r\n"),
        "\n".join("    " + line for line in spaced(TABLE).split("\n")),
        TABLE.replace(" X ", " x "),
        TABLE.replace("SYS", "SOC"),
        "$ nvidia-smi topo -m\n" + TABLE,
    ],
    ids=["tabs", "spaces", "colours", "windows", "indented", "lower x", "old SOC", "prompt"],
)
def test_a_table_is_read_in_every_dress(text: str) -> None:
    (found,) = detect(text, "dump")
    assert found.pairs == PAIRS
    assert [device.place for device in found.devices] == ["NUMA 0", "NUMA 1"]
    assert [(nic.label, nic.name) for nic in found.adapters] == [("NIC0", "mlx5_0")]
    assert found.findings == ()


def test_adapters_under_their_own_names_are_numbered() -> None:
    text = TABLE.split("\n\n")[0].replace("NIC0", "mlx5_bond_0")
    found = read(text, "dump")
    assert [(nic.label, nic.name) for nic in found.adapters] == [("NIC0", "mlx5_bond_0")]
    assert found.pairs == PAIRS


def test_a_missing_header_is_told_from_the_rows() -> None:
    found = read("\n".join(TABLE.split("\n")[1:4]), "dump")
    assert found.pairs == PAIRS


def test_two_cells_run_together_are_parted() -> None:
    text = "GPU0 GPU1 GPU2\nGPU0 X SYSSYS\nGPU1 SYS X NV18\nGPU2 SYSNV18X"
    found = read(text, "dump")
    assert [(p.one, p.other, p.kind, p.count) for p in found.pairs] == [
        ("GPU0", "GPU1", "SYS", 1),
        ("GPU0", "GPU2", "SYS", 1),
        ("GPU1", "GPU2", "NV", 18),
    ]


def test_a_row_cut_off_is_filled_from_the_other_half_and_told() -> None:
    text = "\n".join([*TABLE.split("\n")[:2], "GPU1\tNV4"])
    found = read(text, "dump")
    assert found.pairs == PAIRS[:2]
    assert found.findings == (
        "row GPU1 is cut off after 1 of 3 cells",
        "NIC0: the rows are cut off",
    )


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ("GPU0 X 0-23 N/A", "CPU 0-23"),
        ("GPU0 X 6,14,22,30 3 N/A", "NUMA 3"),
        ("GPU0 X 0-71 0,3-9,11-17 2", "NUMA 0,3-9,11-17"),
        ("GPU0 X NUMA 1", "NUMA 1"),
        ("GPU0\t X \t\t\t\tN/A", ""),
        ("GPU0 X", ""),
    ],
)
def test_the_numa_node_is_read_from_whatever_follows(row: str, place: str) -> None:
    text = "GPU0 CPU Affinity NUMA Affinity GPU NUMA ID\n" + row
    assert read(text, "dump").devices[0].place == place


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "GPU1\tNV4",
            "GPU1\tPIX",
            "dump: GPU0 to GPU1 is NV4, but GPU1 to GPU0 is PIX",
        ),
        ("GPU0\t X \tNV4", "GPU0\tNV4\t X ", "dump: row GPU0 has its X under GPU1"),
        ("GPU0\t X ", "GPU0\tPIX", "dump: row GPU0 has its X under no column"),
        ("\tPIX\t0-31", "\tNV2\t0-31", "dump: GPU0 to NIC0 is NV2, but NIC0 to GPU0 is PIX"),
        ("\tNV4\tPIX", "\tNV4PIXSYS", "dump: row GPU0 has 4 cells for 3 columns"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(FileError) as refusal:
        read(TABLE.replace(old, new), "dump")
    assert refusal.value.message == message


def test_nvlink_to_an_adapter_is_refused() -> None:
    with pytest.raises(FileError, match="adapters have no NVLink"):
        read(TABLE.replace("PIX", "NV2"), "dump")


def test_devices_without_a_word_between_them_are_refused() -> None:
    text = "\tGPU0\tGPU1\tGPU2\nGPU0\t X \tPIX\tPIX\n"
    with pytest.raises(FileError, match="the rows of GPU1, GPU2 are cut off: nothing says"):
        read(text, "dump")


def test_more_parts_than_a_machine_has_are_refused() -> None:
    labels = [f"GPU{number}" for number in range(200)]
    with pytest.raises(FileError, match="200 devices"):
        read("\t".join(labels) + "\nGPU0\tX", "dump")


PEERS = " \tGPU0\tGPU1\t\n GPU0\tX\tGNS\t\n GPU1\tGNS\tX\t\n"


def test_peer_to_peer_states_are_read() -> None:
    found = read_peers(PEERS, "dump")
    assert [(p.one, p.other, p.status) for p in found.peers] == [
        ("GPU0", "GPU1", "GNS"),
        ("GPU1", "GPU0", "GNS"),
    ]
    assert len(found.devices) == 2


def test_both_tables_in_one_paste_are_told_apart() -> None:
    assert holds(TABLE)
    assert not holds_peers(TABLE)
    assert holds_peers(PEERS)
    assert not holds(PEERS)
    found = detect(TABLE + "\n# nvidia-smi topo -p2p r\n" + PEERS, "dump")
    assert [dump.format for dump in found] == ["nvidia-smi topo -m", "nvidia-smi topo -p2p"]


def test_a_table_of_one_device_is_no_table_of_peers() -> None:
    assert not holds_peers("\tGPU0\tCPU Affinity\nGPU0\t X \t0-7\n")


def test_a_text_without_a_table_is_refused() -> None:
    for reader in (read, read_peers):
        with pytest.raises(FileError, match="no table of"):
            reader(plain("nothing"), "dump")
