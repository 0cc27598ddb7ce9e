"""Several dumps of one machine: one says what another leaves out; contradictions are refused."""

from __future__ import annotations

import pytest

from planner.errors import FileError
from planner.topology.importers.merge import merge
from planner.topology.importers.seen import (
    Beside,
    Branch,
    Dump,
    Pair,
    SeenAdapter,
    SeenDevice,
    Slice,
)

TABLE = Dump(
    format="nvidia-smi topo -m",
    devices=(SeenDevice(index=0, place="NUMA 0"), SeenDevice(index=1, place="NUMA 1")),
    adapters=(SeenAdapter(label="NIC0"),),
    pairs=(
        Pair(one="GPU0", other="GPU1", kind="NV", count=4),
        Pair(one="GPU0", other="NIC0", kind="PIX"),
    ),
    links_known=True,
)
QUERY = Dump(
    format="nvidia-smi --query-gpu",
    devices=(
        SeenDevice(index=0, bus="0000:18:00.0", name="first", memory=10, free=7),
        SeenDevice(index=1, bus="0000:3b:00.0", name="second", memory=10),
    ),
)
TREE = Dump(
    format="lstopo",
    devices=(SeenDevice(index=0, bus="0000:3b:00.0"), SeenDevice(index=1, bus="0000:18:00.0")),
    tree=(
        Branch(name="socket0", parent="", kind="socket"),
        Branch(name="root0", parent="socket0", kind="root"),
        Branch(name="GPU0", parent="root0", kind="gpu"),
        Branch(name="GPU1", parent="root0", kind="gpu"),
    ),
    host_memory=99,
)


@pytest.mark.parametrize("dumps", [(TABLE, QUERY), (QUERY, TABLE)])
def test_links_and_memory_come_together_in_any_order(dumps: tuple[Dump, ...]) -> None:
    found = merge(dumps, "dump")
    assert [device.name for device in found.devices] == ["first", "second"]
    assert [device.place for device in found.devices] == ["NUMA 0", "NUMA 1"]
    assert (found.devices[0].free, found.devices[1].free) == (7, None)
    assert found.pairs == TABLE.pairs
    assert found.links_known


def test_devices_are_told_by_bus_id_and_a_tree_replaces_the_table_of_pcie() -> None:
    found = merge((TREE, QUERY, TABLE), "dump")
    assert [device.bus for device in found.devices] == ["0000:18:00.0", "0000:3b:00.0"]
    assert [branch.name for branch in found.tree[2:]] == ["GPU1", "GPU0"]
    assert found.pairs == TABLE.pairs[:1]
    assert found.adapters == ()
    assert found.host_memory == 99


def test_slices_get_names_from_one_tool_and_memory_from_another() -> None:
    named = Dump(format="a", devices=(SeenDevice(index=0, slices=(Slice(profile="1g.18gb"),)),))
    sized = Dump(format="b", devices=(SeenDevice(index=0, slices=(Slice(memory=5, free=4),)),))
    (device,) = merge((named, sized), "dump").devices
    assert device.slices == (Slice(profile="1g.18gb", memory=5, free=4),)


def test_a_memory_that_one_dump_prints_is_not_silent() -> None:
    mute = Dump(format="a", devices=(SeenDevice(index=0, silent=True),))
    told = Dump(format="b", devices=(SeenDevice(index=0, memory=5),))
    assert merge((mute,), "dump").devices[0].silent
    assert not merge((mute, told), "dump").devices[0].silent


def test_a_table_of_pairs_stands_for_the_links_to_switches() -> None:
    beside = (Beside(device="GPU0", kind="nvswitch", count=4), Beside(device="GPU0", kind="c2c"))
    xml = TABLE.model_copy(update={"format": "NCCL topology", "pairs": (), "beside": beside})
    assert merge((xml,), "dump").beside == beside
    found = merge((TABLE, xml), "dump")
    assert found.beside == beside[1:]
    assert found.pairs == TABLE.pairs


ONE = Dump(format="one", devices=(SeenDevice(index=0),))


@pytest.mark.parametrize(
    ("dumps", "message"),
    [
        ((), "dump: no devices in it"),
        ((Dump(format="/proc/meminfo", host_memory=5),), "dump: no devices in it"),
        ((TABLE, ONE), "has 2 devices, one has 1"),
        (
            (ONE, Dump(format="other", devices=(SeenDevice(index=3),))),
            "other has no device GPU0|has no device GPU",
        ),
        (
            (TABLE, TABLE.model_copy(update={"format": "other", "pairs": TABLE.pairs[1:]})),
            "show different links of the devices",
        ),
        ((Dump(format="NCCL graph", devices=(SeenDevice(index=0),)),), "an NCCL graph says"),
    ],
)
def test_dumps_of_different_machines_are_refused(dumps: tuple[Dump, ...], message: str) -> None:
    with pytest.raises(FileError, match=message) as refusal:
        merge(dumps, "dump")
    assert refusal.value.hint
