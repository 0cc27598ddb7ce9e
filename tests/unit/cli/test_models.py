"""`plan models`: the table, its filters and one model in full."""

from __future__ import annotations

import json

import pytest

from planner.catalog import load_catalog
from planner.cli import main

TOTAL = len(load_catalog().models)


def rows(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[2:-1]]


def test_the_table_says_what_each_model_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["models", "--family", "gpt-oss"]) == 0
    head, _, small, large, count = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "model", "parameters", "active", "layers", "attention", "context", "family",
    ]  # fmt: skip
    assert small.startswith("gpt-oss-20b ")
    assert small.split()[1:5] == ["20.9", "B", "4.19", "B"]
    assert small.endswith("24  window + grouped  131,072  gpt-oss")
    assert large.startswith("gpt-oss-120b")
    assert count == f"2 of {TOTAL} models"


def test_the_whole_table_counts_itself(capsys):
    assert main(["models"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{TOTAL} models"


def test_a_narrow_table_keeps_every_model(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "attention" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert set(rows(printed)) == set(load_catalog().models)


def test_filters_are_joined_and_json_honours_them(capsys):
    line = ["models", "--publisher", "qwen", "--moe", "--min-params", "200B"]
    line += ["--max-params", "1T", "--min-context", "262144"]
    assert main(line) == 0
    listed = rows(capsys.readouterr().out)
    assert "qwen3-235b-2507" in listed
    assert "qwen3-235b" not in listed
    assert main([*line, "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == listed


def test_dense_models_have_no_experts(capsys):
    assert main(["models", "--dense", "--publisher", "Mistral AI"]) == 0
    listed = rows(capsys.readouterr().out)
    assert "mistral-nemo" in listed
    assert "mixtral-8x7b" not in listed


def test_nothing_found_is_a_no(capsys):
    assert main(["models", "--min-params", "100T"]) == 1
    assert capsys.readouterr().out == f"none of {TOTAL} models is all of that\n"
    assert main(["models", "--min-params", "100T", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--family lama", "unknown family 'lama'"),
        ("--publisher metta", "unknown publisher 'metta'"),
        ("--min-params 70G", "--min-params: not a number of parameters"),
        ("--min-params 2B --max-params 1B", "is more than --max-params"),
        ("--min-context 1M", "--min-context: not a number of tokens"),
    ],
)
def test_a_wrong_filter_is_one_message_with_a_hint(capsys, line, said):
    assert main(["models", *line.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\nhint: ") == 1


def test_a_model_is_shown_with_everything_known_about_it(capsys):
    assert main(["models", "show", "moonshotai/Kimi-K2.5"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    row = load_catalog().model("kimi-k2.5")
    assert f"source {' '.join(row.source.split())}" in printed
    assert "the published total, 1,026,879,376,368, also counts the vision tower" in printed
    assert "active 32,861,500,928" in printed
    assert "experts 8 of 384 experts a token" in printed
    assert "vision yes" in printed
    for found in row.repositories:
        assert f"repository {found.id} ({found.kind}" in printed
    for source in row.sources.values():
        assert f"[{source}]" in printed
    assert "kv_lora_rank 512" in printed


def test_a_full_list_of_quantizations_is_told_from_a_part_of_it(capsys):
    assert main(["models", "show", "gpt-oss-20b"]) == 0
    assert "GGUF (gguf: MXFP4_MOE) " in capsys.readouterr().out
    assert main(["models", "show", "kimi-k2"]) == 0
    assert "(gguf: Q4_K_M, Q8_0 and more)" in capsys.readouterr().out


def test_a_checkpoint_repository_holds_one_format(capsys):
    assert main(["models", "show", "kimi-k2"]) == 0
    assert "moonshotai/Kimi-K2-Instruct (checkpoint: FP8)" in capsys.readouterr().out


def test_a_model_of_an_overlay_without_rules_is_listed(capsys, tmp_path):
    (tmp_path / "mine.toml").write_text(
        '[[model]]\nname = "mine"\ntitle = "Mine"\npublisher = "me"\nparameters = 1000\n'
        'recommended = "Q4_K_M"\nsource = "mine"\nchecked = 2026-11-25\n'
        '[model.config]\nmodel_type = "new"\n',
        encoding="utf-8",
    )
    assert main(["models", "--publisher", "me", "--catalog", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "mine" in printed
    assert printed.endswith(f"1 of {TOTAL + 1} models\n")
    assert main(["models", "show", "mine", "--catalog", str(tmp_path)]) == 0
    assert "active" not in capsys.readouterr().out
