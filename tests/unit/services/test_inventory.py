"""Importing files: names of machines, GPUs the user names, memory that is missing or nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.catalog import load_catalog
from planner.errors import ConflictingOptions, FactsError, FileError, UnknownName
from planner.inventory import Inventory, to_toml
from planner.services.inventory import Told, ask, import_files, require_known
from planner.units import GIB, MIB
from tests.unit.topology.machines import every, table

CATALOG = load_catalog()
HEADER = "index, name, pci.bus_id, memory.total [MiB], memory.free [MiB]\n"


def query(*rows: tuple[str, str, str]) -> str:
    """A CSV of devices: name, total and free memory."""
    lines = [
        f"{n}, {name}, 00000000:{n + 16:02x}:00.0, {total}, {free}\n"
        for n, (name, total, free) in enumerate(rows)
    ]
    return HEADER + "".join(lines)


@pytest.fixture
def load(tmp_path: Path):
    def load(texts: dict[str, str], *told: str, host: int | None = None) -> Inventory:
        arguments = []
        for key, text in texts.items():
            name, _, file = key.rpartition("=")
            (tmp_path / file).write_text(text)
            arguments.append(f"{name}={tmp_path / file}" if name else str(tmp_path / file))
        return import_files(arguments, CATALOG, Told(gpus=told, host_memory=host))

    return load


def notes(found: Inventory) -> str:
    return "\n".join(found.machines[0].topology.findings)


def test_links_and_memory_of_one_machine_come_together(load) -> None:
    card = ("NVIDIA GeForce RTX 3090", "24576 MiB", "24258 MiB")
    found = load({"topo.txt": table(every(2, "NV4"), ["0", "0"]), "gpus.csv": query(card, card)})
    (rig,) = found.machines
    assert [(d.part, d.gpu, d.capacity) for d in rig.devices] == [
        ("gpu0", "rtx-3090-24", 24258 * MIB),
        ("gpu1", "rtx-3090-24", 24258 * MIB),
    ]
    assert rig.topology.wires[0].bandwidth == 56.25e9
    assert rig.topology.gpus[0].free == 24258 * MIB
    assert rig.sources == ("nvidia-smi --query-gpu", "nvidia-smi topo -m")


def test_files_of_several_machines_carry_their_names(load) -> None:
    card = ("NVIDIA L4", "23034 MiB", "22000 MiB")
    first = load({"one=a.csv": query(card), "two=b.csv": query(card, card)})
    assert [(m.name, len(m.devices)) for m in first.machines] == [("one", 1), ("two", 2)]
    more = load({"old.toml": to_toml(first), "three=c.csv": query(card)})
    assert [machine.name for machine in more.machines] == ["one", "two", "three"]
    with pytest.raises(FileError, match="two machines are called 'one'"):
        load({"old.toml": to_toml(first), "one=c.csv": query(card)})


def test_files_of_different_machines_without_names_are_refused(load) -> None:
    card = ("NVIDIA L4", "23034 MiB", "22000 MiB")
    with pytest.raises(FileError, match=r"topo.txt and gpus.csv: .* has 1 devices") as refusal:
        load({"topo.txt": table(every(2, "PHB")), "gpus.csv": query(card)})
    assert "NAME=FILE" in refusal.value.hint


def test_a_gpu_nobody_knows_is_asked_for(load) -> None:
    found = load({"topo.txt": table(every(2, "NV4"))})
    assert found.unknown == (("machine", "gpu0"), ("machine", "gpu1"))
    assert "--gpu gpu0=ROW" in ask(found, CATALOG)
    assert "--query-gpu" in ask(found, CATALOG)
    with pytest.raises(FactsError, match="nobody knows what GPU gpu0 is"):
        require_known(found, CATALOG)
    named = load({"topo.txt": table(every(2, "NV4"))}, "rtx-3090-24", "gpu1=rtx-a6000-48")
    assert [device.gpu for device in named.machines[0].devices] == ["rtx-3090-24", "rtx-a6000-48"]
    assert ask(named, CATALOG) == ""
    require_known(named, CATALOG)


def test_a_name_without_a_row_is_quoted_and_like_rows_are_named(load) -> None:
    found = load({"gpus.csv": query(("NVIDIA GeForce RTX 4060 Ti", "8188 MiB", "8000 MiB"))})
    assert found.machines[0].devices[0].gpu == ""
    assert "no row of the GPU catalog is a 'NVIDIA GeForce RTX 4060 Ti' with 8,188" in notes(found)
    assert "like it: rtx-4060ti-16" in ask(found, CATALOG)


def test_what_the_user_names_must_exist(load) -> None:
    text = {"topo.txt": table(every(2, "NV4"))}
    with pytest.raises(UnknownName, match="unknown gpu 'rtx-3090'"):
        load(text, "rtx-3090")
    with pytest.raises(ConflictingOptions, match="there is no gpu7"):
        load(text, "gpu7=rtx-3090-24")


def test_a_full_device_is_told_from_one_that_prints_nothing(load) -> None:
    full = load({"gpus.csv": query(("NVIDIA L4", "23034 MiB", "0 MiB"))})
    assert full.machines[0].devices[0].capacity == 0
    assert "gpu0 is full: 0 of 23,034 MiB are free" in notes(full)

    shared = load({"gpus.csv": query(("NVIDIA GB10", "[N/A]", "[N/A]"))}, host=119 * GIB)
    device = shared.machines[0].devices[0]
    assert (device.gpu, device.shares_host, device.capacity) == ("gb10-128", True, None)
    assert shared.machines[0].capacity(device) == 119 * GIB
    assert "gpu0 (NVIDIA GB10) prints no memory of its own: it shares the host's" in notes(shared)
    assert "full" not in notes(shared)

    mute = load({"gpus.csv": query(("NVIDIA L4", "[N/A]", "[N/A]"))})
    assert "prints no memory, though it has some of its own: unknown, not full" in notes(mute)
    alien = load({"gpus.csv": query(("NVIDIA GB99", "[N/A]", "[N/A]"))})
    assert "it is not full, but may share the host's" in notes(alien)


def test_shared_memory_needs_the_memory_of_the_host(load) -> None:
    text = query(("NVIDIA GB10", "[N/A]", "[N/A]"))
    assert "the memory of the host is not printed" in notes(load({"gpus.csv": text}))
    meminfo = "MemTotal: 125829120 kB\nMemAvailable: 104857600 kB\n"
    (spark,) = load({"gpus.csv": text, "meminfo.txt": meminfo}).machines
    assert (spark.host_memory, spark.host_free) == (120 * GIB, 100 * GIB)
    assert spark.capacity(spark.devices[0]) == 100 * GIB


@pytest.mark.parametrize(
    ("name", "total", "free", "note"),
    [
        ("NVIDIA L4", "0 MiB", "0 MiB", "prints 0 MiB free of 0 MiB, which makes no sense"),
        ("NVIDIA L4", "23034 MiB", "40000 MiB", "40,000 MiB free of 23,034 MiB, which makes no"),
        ("NVIDIA GB10", "512 MiB", "500 MiB", "prints 512 MiB: a part set aside"),
    ],
)
def test_memory_that_makes_no_sense_does_not_count(
    load, name: str, total: str, free: str, note: str
) -> None:
    found = load({"gpus.csv": query((name, total, free))}, "l4-24" if "L4" in name else "gb10-128")
    assert found.machines[0].devices[0].capacity is None
    assert note in notes(found)
    assert "full" not in notes(found)


def test_a_device_in_use_is_told(load) -> None:
    found = load({"gpus.csv": query(("NVIDIA L4", "23034 MiB", "12000 MiB"))})
    assert "gpu0 is in use: 12,000 of 23,034 MiB are free" in notes(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "no text in UTF-8 or UTF-16"),
        (b"\x80", "no text in UTF-8 or UTF-16"),
        (b"", "dump.txt: no format known"),
    ],
)
def test_a_file_of_no_kind_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "dump.txt").write_bytes(content)
    with pytest.raises(FileError, match=message):
        import_files([str(tmp_path / "dump.txt")], CATALOG, Told())


def test_text_of_powershell_is_read(tmp_path: Path) -> None:
    text = query(("NVIDIA L4", "23034 MiB", "22000 MiB")).replace("\n", "\r\n")
    (tmp_path / "gpus.csv").write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    found = import_files([str(tmp_path / "gpus.csv")], CATALOG, Told())
    assert found.machines[0].devices[0].gpu == "l4-24"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder, not a file"):
        import_files([str(tmp_path)], CATALOG, Told())
