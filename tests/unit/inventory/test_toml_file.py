"""The inventory file: written and read without loss, and refused with what is wrong in it."""

from __future__ import annotations

import pytest

from planner.errors import FileError
from planner.inventory import Adapter, Inventory, Machine, OwnedDevice, from_toml, to_toml
from planner.inventory.values import DeviceSlice
from planner.topology.parts import Part, Topology, Wire
from planner.units import GIB, MIB

DEVICES = (
    OwnedDevice(
        part="gpu0",
        gpu="h100-sxm-80",
        reported='NVIDIA "H100"\x7f\\',
        bus="0000:18:00.0",
        memory=81559 * MIB,
        free=0,
        slices=(DeviceSlice(profile="1g.10gb", instance="3", memory=10 * GIB, free=5),),
    ),
    OwnedDevice(part="gpu1", gpu="gb10-128", shares_host=True),
)
MACHINE = Machine(
    name="rig",
    devices=DEVICES,
    adapters=(Adapter(part="nic0", name="mlx5_0", bus="0000:19:00.0", rate=50 * 10**9),),
    host_memory=512 * GIB,
    host_free=100 * MIB + 1,
    sources=("nvidia-smi topo -m",),
    topology=Topology(
        title="rig",
        parts=(
            Part(
                name="gpu0",
                kind="gpu",
                model="h100-sxm-80",
                bus="0000:18:00.0",
                memory=81559 * MIB,
                free=0,
            ),
            Part(name="gpu1", kind="gpu", model="gb10-128"),
            Part(name="root0", kind="root"),
            Part(name="nic0", kind="nic", model="mlx5_0", bus="0000:19:00.0"),
        ),
        wires=(
            Wire(one="gpu0", other="gpu1", medium="nvlink", bandwidth=56.25e9, lanes=4, link="x"),
            Wire(one="gpu0", other="root0", medium="pcie", bandwidth=63e9, latency=4e-7),
        ),
        peer_to_peer=False,
        findings=("one", "two"),
    ),
)
INVENTORY = Inventory(machines=(MACHINE, MACHINE.model_copy(update={"name": "other"})))
TEXT = to_toml(INVENTORY)


def test_an_inventory_survives_its_file() -> None:
    other = MACHINE.topology.model_copy(update={"title": "other"})
    renamed = INVENTORY.machines[1].model_copy(update={"topology": other})
    expected = Inventory(machines=(MACHINE, renamed))
    assert from_toml(TEXT, "rig.toml") == expected
    assert to_toml(expected) == TEXT


def test_sizes_and_rates_are_written_for_people() -> None:
    for line in (
        'memory = "81559 MiB"',
        'free = "0 B"',
        'host_memory = "512 GiB"',
        'host_free = "104857601 B"',
        'other = "root0", medium = "pcie", bandwidth = "63 GB/s", latency = 4e-07 }',
        'bandwidth = "56250 MB/s", lanes = 4',
    ):
        assert line in TEXT


def test_free_memory_counts_before_all_of_it_and_shared_memory_is_the_hosts() -> None:
    first, second = MACHINE.devices
    assert first.capacity == 0
    assert first.model_copy(update={"free": None}).capacity == 81559 * MIB
    assert second.capacity is None
    assert MACHINE.capacity(second) == MACHINE.host_free
    without = MACHINE.model_copy(update={"host_free": None})
    assert without.capacity(second) == 512 * GIB
    assert without.capacity(first) == 0


def test_several_machines_are_one_graph_with_names_of_their_own() -> None:
    graph = INVENTORY.topology
    assert [part.name for part in graph.gpus] == ["0.gpu0", "0.gpu1", "1.gpu0", "1.gpu1"]
    assert {part.machine for part in graph.parts} == {0, 1}
    assert (graph.wires[2].one, graph.wires[2].other) == ("1.gpu0", "1.gpu1")
    assert graph.findings == ("rig: one", "rig: two", "other: one", "other: two")
    assert not graph.peer_to_peer
    assert Inventory(machines=(MACHINE,)).topology is MACHINE.topology


def test_devices_nobody_named_are_listed() -> None:
    unnamed = DEVICES[1].model_copy(update={"gpu": ""})
    machine = MACHINE.model_copy(update={"devices": (DEVICES[0], unnamed)})
    assert Inventory(machines=(machine,)).unknown == (("rig", "gpu1"),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema_version = 1", "schema_version = 2", "has schema version 2; this planner reads 1"),
        ("schema_version = 1", "schema_version = ", "is no TOML"),
        ("schema_version = 1", "schema_version = 1\nextra = 1", "is no inventory"),
        ("[[machine]]", "[machine]", "is no"),
        ('"81559 MiB"', '"81559"', "machine 'rig': memory: not a size: '81559'"),
        ('"81559 MiB"', "-1", "machine 'rig': parts.0.memory|machine 'rig': devices.0.memory"),
        ('"63 GB/s"', '"63 GB"', "machine 'rig': bandwidth: not a rate"),
        ('"63 GB/s"', "0", "needs a bandwidth and lanes above zero"),
        ('"63 GB/s"', "nan", "machine 'rig': wires.1.bandwidth"),
        ('other = "root0"', 'other = "root9"', "there is no part 'root9'"),
        ('other = "gpu1", medium', 'other = "gpu0", medium', "a link from 'gpu0' to itself"),
        ('name = "root0"', 'name = "gpu0"', "part 'gpu0' is there twice"),
        ('kind = "root"', 'kind = "rot"', "machine 'rig': parts.2.kind"),
        ('gpu = "h100-sxm-80"', 'chip = "h100-sxm-80"', "machine 'rig': devices.0.chip"),
        ("peer_to_peer = false", "links = 5", "machine 'rig': links is no list of tables"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(old: str, new: str, message: str) -> None:
    text = TEXT.replace(old, new, 1)
    if new == "links = 5":
        text = "\n".join(["[[machine]]", 'name = "rig"', "links = 5", "schema_version = 1"])
        text = "schema_version = 1\n" + "\n".join(text.split("\n")[:3])
    assert text != TEXT
    with pytest.raises(FileError, match=message) as refusal:
        from_toml(text, "rig.toml")
    assert refusal.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = " + "[" * 5000,
        "machine = 5",
        "machine = [1]\nschema_version = 1",
        "a = 1" + "0" * 5000,
        "a" + ".a" * 200_000 + " = 1",
    ],
)
def test_a_hostile_file_is_refused(text: str) -> None:
    with pytest.raises(FileError):
        from_toml(text, "rig.toml")
