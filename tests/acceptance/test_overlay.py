"""A user's own catalog: its rows enter the search, and what it replaces is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.command_line import first_run, plan
from tests.acceptance.jobs import JOBS

LINE = JOBS["gpt-oss-120b"].line
BOX = """
[[gpu]]
name = "bargain-640"
title = "Bargain 640GB"
vendor = "bargain"
family = "cuda"
architecture = "new"
nominal_memory = "640 GiB"
usable_memory = "640 GiB"
reserved_memory = "600 MiB"
memory_bandwidth = "2000 GB/s"
dense_fp16 = 1e15
source = "the offer"
checked = 2026-11-25

[[node]]
name = "bargain-box"
title = "Bargain box"
kind = "whole"
vendor = "bargain"
gpu = "bargain-640"
gpus = 1
host_memory = "256 GiB"
availability = "{availability}"
source = "the offer"
checked = 2026-11-25
"""
PRICE = """
[[price]]
name = "{name}"
kind = "purchase"
terms = "list"
mid = "{usd}"
date = 2026-11-25
source = "the offer"
checked = 2026-11-25
"""


def overlay(folder: Path, *texts: str) -> Path:
    path = folder / "mine.toml"
    path.write_text("\n".join(texts), "utf-8")
    return path


def test_a_cheaper_node_of_the_user_wins(tmp_path: Path) -> None:
    path = overlay(
        tmp_path, BOX.format(availability="new"), PRICE.format(name="bargain-box", usd="2000")
    )
    ran = plan(f"{LINE} --catalog {tmp_path} --json")
    assert ran.code == 0, ran.err
    answer, before = ran.answer, first_run(LINE).answer
    assert [(e["node_type"], e["count"]) for e in answer["cluster"]] == [("bargain-box", 1)]
    assert answer["cost"]["purchase_usd"] == answer["solver"]["bound"] == 2_000
    assert answer["cluster"][0]["price_source"] == "the offer"
    assert answer["catalog_digest"] != before["catalog_digest"]
    assert "replaces" not in ran.err

    saved = tmp_path / "plan.json"
    saved.write_text(ran.out, "utf-8")
    checked = plan(f"verify {saved} --catalog {path} --json")
    assert (checked.code, checked.answer["same_catalog"]) == (0, True)
    assert plan(f"verify {saved}").code in (1, 3)


@pytest.mark.parametrize("usd", ["3449.01", "60000"])
def test_a_dearer_one_does_not(tmp_path: Path, usd: str) -> None:
    overlay(tmp_path, BOX.format(availability="new"), PRICE.format(name="bargain-box", usd=usd))
    answer = plan(f"{LINE} --catalog {tmp_path} --json").answer
    assert answer["cost"]["purchase_usd"] == first_run(LINE).answer["cost"]["purchase_usd"]


def test_a_node_without_a_price_is_named_not_taken(tmp_path: Path) -> None:
    overlay(tmp_path, BOX.format(availability="new"))
    answer = plan(f"{LINE} --catalog {tmp_path} --json").answer
    assert answer["cost"]["purchase_usd"] == first_run(LINE).answer["cost"]["purchase_usd"]
    (unpriced,) = (e for e in answer["excluded"] if e["reason"] == "no dated price is known")
    assert "bargain-box" in unpriced["nodes"]
    assert unpriced["saving_usd"] is None


def test_a_used_node_is_taken_only_if_asked(tmp_path: Path) -> None:
    overlay(tmp_path, BOX.format(availability="used"), PRICE.format(name="bargain-box", usd="800"))
    answer = plan(f"{LINE} --catalog {tmp_path} --json").answer
    (used,) = (e for e in answer["excluded"] if e["option"] == "--used")
    assert "bargain-box" in used["nodes"]
    usd = answer["cost"]["purchase_usd"]
    assert usd == first_run(LINE).answer["cost"]["purchase_usd"]
    taken = plan(f"{LINE} --catalog {tmp_path} --used --json").answer
    assert [e["node_type"] for e in taken["cluster"]] == ["bargain-box"]
    assert taken["cost"]["purchase_usd"] == usd - used["saving_usd"] == 800


def test_a_replaced_price_is_named_and_counts(tmp_path: Path) -> None:
    overlay(tmp_path, PRICE.format(name="dgx-h100", usd="1000"))
    ran = plan(f"{LINE} --catalog {tmp_path} --json")
    assert "price dgx-h100" in ran.err
    assert "replaces" in ran.err
    answer = ran.answer
    assert "dgx-h100" in {entry["node_type"] for entry in answer["cluster"]}
    assert answer["cost"]["purchase_usd"] == 1_000


def test_the_folder_can_be_given_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from planner.cli import main

    overlay(tmp_path, PRICE.format(name="dgx-h100", usd="1000"))
    monkeypatch.setenv("PLANNER_CATALOG", str(tmp_path))
    assert main(["nodes", "show", "dgx-h100"]) == 0
    assert "price dgx-h100" in capsys.readouterr().err
