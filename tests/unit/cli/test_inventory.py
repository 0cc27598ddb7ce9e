"""`plan inventory` from the outside: what it prints, writes and asks for."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import planner.services.inventory_scan
from planner.cli import main
from planner.inventory import Inventory, from_toml
from planner.services.inventory_scan import Ways
from planner.topology.importers.detect import LARGEST
from tests.reality.topo.samples import content
from tests.unit.services.test_inventory import query
from tests.unit.topology.machines import FAULTY, every, table


@pytest.fixture
def dumps(tmp_path: Path) -> list[str]:
    card = ("NVIDIA GeForce RTX 3090", "24576 MiB", "24258 MiB")
    (tmp_path / "topo.txt").write_text(table(["X NV4 PHB", "NV4 X PHB", "PHB PHB X"]))
    (tmp_path / "gpus.csv").write_text(query(card, card, card))
    return [str(tmp_path / "topo.txt"), str(tmp_path / "gpus.csv")]


def test_import_draws_writes_and_show_draws_the_same(capsys, tmp_path: Path, dumps) -> None:
    rig = tmp_path / "rig.toml"
    assert main(["inventory", "import", *dumps, "-o", str(rig)]) == 0
    drawn = capsys.readouterr()
    assert "3x rtx-3090-24" in drawn.out
    assert "gpu0  rtx-3090-24  0000:10:00.0  23.7 of 24.0 GiB free" in drawn.out
    assert "islands  gpu0, gpu1" in drawn.out
    assert "gpu0  -     NV4   PHB" in drawn.out
    assert "gpu2 has no NVLink, though 2 other devices have" in drawn.out.replace("\n  ", " ")
    assert drawn.err == ""
    assert main(["inventory", "show", str(rig)]) == 0
    assert capsys.readouterr().out == drawn.out


def test_json_is_the_inventory_itself(capsys, tmp_path: Path, dumps) -> None:
    rig = tmp_path / "rig.toml"
    assert main(["inventory", "import", *dumps, "-o", str(rig), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["kind"] == "inventory"
    found = Inventory.model_validate(printed)
    assert found == from_toml(rig.read_text(), "rig.toml")


def test_an_old_file_is_kept_unless_told_otherwise(capsys, tmp_path: Path, dumps) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text("mine")
    assert main(["inventory", "import", *dumps, "-o", str(rig)]) == 3
    assert rig.read_text() == "mine"
    assert "exists" in capsys.readouterr().err
    assert main(["inventory", "import", *dumps, "-o", str(rig), "--force"]) == 0
    assert rig.read_text() != "mine"


def test_a_gpu_nobody_knows_is_asked_for_on_stderr(capsys, tmp_path: Path) -> None:
    (tmp_path / "topo.txt").write_text(FAULTY)
    assert main(["inventory", "import", str(tmp_path / "topo.txt")]) == 0
    printed = capsys.readouterr()
    assert "8x unknown GPU" in printed.out
    assert "note: GPU not known of machine: gpu0, machine: gpu1" in printed.err
    assert "hint: name it with --gpu ROW or --gpu gpu0=ROW" in printed.err
    arguments = ["inventory", "import", str(tmp_path / "topo.txt"), "--gpu", "b200-sxm-180"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "nvswitch0  gpu0 to gpu7: 18 NVLinks each, 900 GB/s" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["import", "none.txt"], 3, "cannot read none.txt"),
        (["show", "none.toml"], 3, "cannot read none.toml"),
        (["import"], 2, "missing argument"),
        (["import", "x", "--host-memory", "512"], 2, "--host-memory: not a size: '512'"),
        (["import", "x", "--host-memory", "0 GiB"], 2, "is no memory"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, arguments: list[str], code: int, said: str) -> None:
    assert main(["inventory", *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_hostile_name_does_not_reach_the_terminal(capsys, tmp_path: Path) -> None:
    (tmp_path / "gpus.csv").write_text(query(("\x1b]0;evil\x07", "1 MiB", "1 MiB")))
    assert main(["inventory", "import", str(tmp_path / "gpus.csv")]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err


def test_scan_says_what_it_could_not_ask(capsys, monkeypatch) -> None:
    here = Ways(
        module=lambda: None,
        find=lambda name: name if name == "nvidia-smi" else None,
        run=lambda words: (
            (0, query(("NVIDIA L4", "23034 MiB", "22000 MiB")))
            if words[1].startswith("--query")
            else (1, "no")
        ),
        meminfo=lambda: "",
    )
    scan = planner.services.inventory_scan.scan
    monkeypatch.setattr(
        planner.services.inventory_scan, "scan", lambda rows, told: scan(rows, told, here)
    )
    assert main(["inventory", "scan"]) == 0
    printed = capsys.readouterr()
    assert "1x l4-24" in printed.out
    assert "note: not asked: rocm-smi is not installed" in printed.err


def test_a_dump_comes_from_stdin_too(capsys, monkeypatch) -> None:
    text = query(("NVIDIA L4", "23034 MiB", "22000 MiB")).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert main(["inventory", "import", "-"]) == 0
    assert "1x l4-24" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b" " * (LARGEST + 1))))
    assert main(["inventory", "import", "-"]) == 3
    assert "stdin has more than 16 MiB" in capsys.readouterr().err


def test_slices_and_memory_are_drawn(capsys, tmp_path: Path) -> None:
    text = content("capture_linux-x86_64__nvidia-h200-mig__590.48.01.txt")
    (tmp_path / "smi.txt").write_text(text)
    (tmp_path / "meminfo").write_text("MemTotal: 125829120 kB\nMemAvailable: 104857600 kB\n")
    files = [str(tmp_path / name) for name in ("smi.txt", "meminfo")]
    assert main(["inventory", "import", *files]) == 0
    drawn = capsys.readouterr().out
    assert "machine: 1x h200-sxm-141, host memory 120 GiB, 100 free" in drawn
    assert "cut into 5 slices" in drawn
    assert "gpu0     2       2g.35gb      3          32.5 GiB   32.5 GiB" in drawn


def test_several_machines_are_drawn_one_below_the_other(capsys, tmp_path: Path, dumps) -> None:
    assert main(["inventory", "import", f"a={dumps[1]}", f"b={dumps[1]}"]) == 0
    drawn = capsys.readouterr().out
    assert drawn.startswith("a: 3x rtx-3090-24\n")
    assert "\n\nb  3x rtx-3090-24\n" in drawn


def test_machines_of_many_devices_are_drawn_without_the_table(capsys, tmp_path: Path) -> None:
    (tmp_path / "topo.txt").write_text(table(every(20, "PHB")))
    assert main(["inventory", "import", str(tmp_path / "topo.txt"), "--gpu", "l4-24"]) == 0
    drawn = capsys.readouterr().out
    assert "gpu19  l4-24" in drawn
    assert "Links" not in drawn
