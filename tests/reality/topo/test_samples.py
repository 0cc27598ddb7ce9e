"""Every dump of a real machine becomes the graph that its own text describes, or is refused.

`expected.csv` was written from the dumps' text: devices, bus ids, the upper half of the table of
links row by row (`PIX,NODE*2` is PIX once and NODE twice), islands (each device linked to each
other by NVLink or xGMI), groups held together by such links, memory of the first device.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from planner.errors import FileError
from planner.inventory import Machine, from_toml, to_toml
from planner.services.inventory import gathered
from planner.topology.importers.words import memory
from planner.topology.islands import islands
from planner.topology.kinds import kind, linked_groups
from tests.reality.topo.samples import EXPECTED, SAMPLES, content, imported, rows

IMPORTED = [row for row in EXPECTED if not row["refused"]]
REFUSED = [row for row in EXPECTED if row["refused"]]


def named(row: dict[str, str]) -> str:
    return row["file"]


def links(machine: Machine) -> str:
    """The upper half of the table of links, written as in `expected.csv`."""
    names = [part.name for part in machine.topology.gpus]
    lines = []
    for i, one in enumerate(names[:-1]):
        cells = [kind(machine.topology, one, other) for other in names[i + 1 :]]
        runs = re.findall(r"((\S+)(?: \2(?!\S))*)", " ".join(cells))
        counts = [(cell, len(run.split())) for run, cell in runs]
        lines.append(",".join(cell if n == 1 else f"{cell}*{n}" for cell, n in counts))
    return "/".join(lines)


def written(groups: Iterable[tuple[str, ...]]) -> str:
    """Groups of devices, written as in `expected.csv`."""
    return " ".join("+".join(name.removeprefix("gpu") for name in group) for group in groups)


def test_every_sample_has_a_row_and_a_source() -> None:
    names = sorted(path.name for path in SAMPLES.iterdir())
    index = rows("index.csv")
    assert names == sorted(map(named, EXPECTED)) == sorted(map(named, index))
    assert all(row["source"] for row in index)
    assert [len((SAMPLES / row["file"]).read_bytes()) for row in index] == [
        int(row["bytes"]) for row in index
    ]
    assert len(REFUSED) == 5


@pytest.mark.parametrize("row", IMPORTED, ids=named)
def test_a_sample_becomes_the_graph_of_its_text(row: dict[str, str]) -> None:
    found = imported(content(row["file"]), row["file"])
    assert len(found.devices) == len(found.topology.gpus) == int(row["devices"])
    printed = row["bus"].split() or ["-"] * len(found.devices)
    assert [device.bus or "-" for device in found.devices] == printed
    assert links(found) == row["links"]
    assert written(linked_groups(found.topology)) == row["linked"]
    assert written(islands(found.topology)) == row["islands"]
    assert {device.gpu for device in found.devices} == {row["gpu"]}


@pytest.mark.parametrize("row", IMPORTED, ids=named)
def test_memory_is_as_printed_and_free_memory_counts(row: dict[str, str]) -> None:
    first = imported(content(row["file"]), row["file"]).devices[0]
    assert first.memory == memory(row["total"])
    assert first.free == memory(row["free"])
    assert first.capacity == memory(row["free"] or row["total"])
    assert len(first.slices) == int(row["slices"] or 0)


@pytest.mark.parametrize("row", REFUSED, ids=named)
def test_a_sample_that_says_too_little_is_refused_precisely(row: dict[str, str]) -> None:
    with pytest.raises(FileError) as refusal:
        imported(content(row["file"]), row["file"])
    assert refusal.value.message == row["refused"]
    assert refusal.value.hint


@pytest.mark.parametrize("row", IMPORTED, ids=named)
def test_an_inventory_survives_its_file(row: dict[str, str]) -> None:
    found = gathered([imported(content(row["file"]), row["file"])])
    assert from_toml(to_toml(found), "rig.toml") == found


def test_the_whole_machine_is_read_from_several_outputs() -> None:
    name = "capture_linux-x86_64__nvidia-h200-mig__590.48.01.txt"
    device = imported(content(name), name).devices[0]
    assert device.reported == "NVIDIA H200"
    assert [part.profile for part in device.slices] == [
        *("1c.3g.71gb", "2c.3g.71gb", "2g.35gb", "1g.18gb", "1g.18gb")
    ]
    assert [part.instance for part in device.slices] == ["2", "2", "3", "9", "10"]
    assert [part.memory for part in device.slices] == [
        *map(memory, ("71424 MiB", "71424 MiB", "33280 MiB", "16384 MiB", "16384 MiB"))
    ]
