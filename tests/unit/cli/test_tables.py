"""Looking things up in the catalogs."""

from __future__ import annotations

import json

import pytest

from planner.catalog import load_catalog
from planner.cli import main
from planner.cli.tables import SUMMARIES

FIELDS = {"quants": "quantizations", "engines": "engine_builds"}


@pytest.mark.parametrize("table", sorted(SUMMARIES))
def test_a_table_lists_every_row_by_a_name_that_can_be_shown(capsys, table):
    assert main([table]) == 0
    printed = capsys.readouterr().out
    names = list(getattr(load_catalog(), FIELDS.get(table, table)))
    words = set(printed.split())
    assert set(names) <= words
    assert main([table, "--json"]) == 0
    assert set(names) <= {row["name"] for row in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize(
    ("table", "name"), [("gpus", "rtx-5090-32"), ("nodes", "dgx-spark"), ("engines", "b11434")]
)
def test_a_row_is_shown_with_its_source(capsys, table, name):
    assert main([table, "show", name, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["name"] == name
    assert main([table, "show", name]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"source {' '.join(row['source'].split())}" in printed


def test_only_builds_of_llama_cpp_show_its_limits(capsys):
    assert main(["engines", "show", "b11434"]) == 0
    assert "rpc pipelines" in capsys.readouterr().out
    assert main(["engines", "show", "0.32.0"]) == 0
    printed = capsys.readouterr().out
    assert "rpc pipelines" not in printed
    assert "max devices" not in printed
    assert main(["engines"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["b11434", "llama.cpp", "yes", "yes", "15"] in rows
    assert ["0.32.0", "vllm", "yes"] in rows


def test_a_node_shows_what_it_costs_and_who_says_so(capsys):
    assert main(["nodes", "show", "dgx-spark"]) == 0
    printed = capsys.readouterr().out
    assert "to buy" in printed
    assert "price source" in printed


def test_an_overlay_wins_and_is_named(capsys, tmp_path):
    (tmp_path / "mine.toml").write_text(
        '[[engine_build]]\nname = "b11434"\nengine = "llama.cpp"\nrpc_pipelines = false\n'
        'mtp_has_kv = false\nmax_devices = 3\nsource = "mine"\nchecked = 2026-11-25\n',
        encoding="utf-8",
    )
    assert main(["engines", "show", "b11434", "--json", "--catalog", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["max_devices"] == 3
    assert printed.err == "note: your catalog replaces engine_build b11434\n"


@pytest.mark.parametrize(
    "content",
    [b"[[gpu]\n", b"\xff\xfe", b'[[gpu]]\nname = "x"\n', b'[[plane]]\nname = "x"\n', b"gpu = 1\n"],
)
@pytest.mark.parametrize("command", ["gpus", "catalog check", "kimi-k2"])
def test_a_broken_overlay_is_one_message(capsys, tmp_path, content, command):
    (tmp_path / "broken.toml").write_bytes(content)
    assert main([*command.split(), "--catalog", str(tmp_path)]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "broken.toml" in printed.err
    assert printed.err.count("\nhint: ") == 1


def test_the_schema_has_every_table(capsys):
    assert main(["catalog", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"gpu", "node", "price", "model"} <= set(schema["properties"])
    assert "usable_memory" in schema["$defs"]["Gpu"]["properties"]


def test_the_check_exits_by_its_verdict(capsys, tmp_path):
    (tmp_path / "odd.toml").write_text(
        '[[node]]\nname = "odd"\ntitle = "Odd"\nkind = "whole"\ngpu = "no-such-gpu"\ngpus = 1\n'
        'vendor = "me"\nsource = "mine"\nchecked = 2026-11-25\n',
        encoding="utf-8",
    )
    assert main(["catalog", "check", "--json", "--catalog", str(tmp_path)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["sound"] is False
    assert any(
        finding["level"] == "error" and finding["name"] == "odd" for finding in report["findings"]
    )
    assert main(["catalog", "check", "--catalog", str(tmp_path)]) == 1
    assert "no-such-gpu" in capsys.readouterr().out
