"""The report of a layout the user named, and of a plan that was checked."""

from __future__ import annotations

from pathlib import Path

from planner.report import evaluation, verification, written
from planner.report.terminal import plain_text
from tests.unit.report import example


def text(value):
    return plain_text(evaluation.render(value))


def test_the_settings_are_those_of_the_engine_in_its_own_words():
    settings = text(example.evaluation()).splitlines()[1]
    assert settings == (
        "2x rtx-pro-6000-server-x4; -ts 6,8,8,8,8,8,8,8, -c 131072, -np 1, -ub 512, K/V f16, "
        "flash attention"
    )


def test_flash_attention_off_and_swa_full_are_said():
    engine = example.ENGINE.model_copy(update={"flash_attention": False, "swa_full": True})
    report = " ".join(text(example.evaluation(engine=engine)).split())
    assert "flash attention off, --swa-full" in report


def test_unnamed_devices_have_neither_capacity_nor_verdict():
    devices = tuple(
        device.model_copy(update={"capacity_bytes": None, "headroom_bytes": None})
        for device in example.CHEAPEST.devices
    )
    report = text(example.evaluation(devices=devices, cluster=(), performance=(), prefill=()))
    assert "8 unnamed devices; -ts 6,8" in report
    assert "no capacity, no verdict" in report
    assert "Verdict" not in report
    assert "capacity  spare" not in report
    assert report.count("77.6") == 6, "the totals of six equal devices"


def test_a_plan_that_holds_and_one_that_does_not():
    good = verification.Verification(agrees=True, violations=(), same_catalog=True)
    first, *rest = plain_text(verification.render(good, "p.json")).splitlines()
    assert first == "holds: p.json, every check agrees"
    assert "only a new search can tell is not" in " ".join(rest)
    bad = verification.Verification(
        agrees=False, violations=("layer 5 is placed twice",), same_catalog=False
    )
    assert plain_text(verification.render(bad, "p.json")).splitlines() == [
        "rejected: p.json",
        "- layer 5 is placed twice",
        "the catalogs are not those the plan was made with; judged by today's",
    ]


def test_written_files_are_listed():
    blocks = written.render([Path("out/head.sh"), Path("out/devices.env")])
    assert plain_text(blocks).splitlines() == [
        "wrote 2 files",
        "- out/head.sh",
        "- out/devices.env",
    ]
