"""`plan evaluate`: layouts a person names, with the memory of every device and the verdict."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from planner.cli import main
from planner.units import MIB

KIMI = "evaluate kimi-k2 --quant Q4_K_M"
EVEN = "8,8,8,8,8,8,7,7"

# Kimi K2 Q4_K_M as llama-server prints it, 8 devices, -ts 8,8,8,8,8,8,7,7, -c 131072, flash
# attention, whole MiB. Source: llama-server b11434 and b10434 with loopback rpc-servers.
MODEL_MIB = (72764, 77456, 76066, 77456, 77456, 76066, 69684, 64222)
CONTEXT_MIB = (1152, 1152, 1152, 1152, 1152, 1152, 1008, 864)
COMPUTE_MIB = {"b11434": (946, *[862] * 7), "b10434": (380, *[366] * 7)}
HOST_COMPUTE_MIB = {"b11434": 652, "b10434": 156}


def evaluate(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, dict[str, Any]]:
    code = main([*shlex.split(line), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return int(code), answer


def headrooms(answer: dict[str, Any]) -> list[int]:
    return [device["headroom_bytes"] for device in answer["devices"]]


@pytest.mark.parametrize("build", ["b11434", "b10434"])
@pytest.mark.parametrize(("slots", "users"), [("", 1), ("--context 1048576 --slots 8", 8)])
def test_unnamed_devices_hold_what_the_engine_prints(
    capsys: pytest.CaptureFixture[str], build: str, slots: str, users: int
) -> None:
    line = f"{KIMI} --devices 8 --split {EVEN} --engine-build {build} {slots}"
    code, answer = evaluate(capsys, line)
    budgets = [device["budget"] for device in answer["devices"]]
    assert tuple(budget["weights"] // MIB for budget in budgets) == MODEL_MIB
    context = tuple(budget["kv_cache"] // MIB for budget in budgets)
    assert context == tuple(size * users for size in CONTEXT_MIB)
    assert tuple(budget["compute"] // MIB for budget in budgets) == COMPUTE_MIB[build]
    assert answer["hosts"][0]["budget"]["compute"] // MIB == HOST_COMPUTE_MIB[build]
    assert all(budget["runtime"] == 0 for budget in budgets)
    assert code == 0


def test_unnamed_devices_have_no_capacity_price_or_speed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, answer = evaluate(capsys, f"{KIMI} --devices 8")
    assert answer["kind"] == "evaluation"
    assert answer["cluster"] == answer["performance"] == answer["prefill"] == []
    assert {device["capacity_bytes"] for device in answer["devices"]} == {None}
    assert set(headrooms(answer)) == {None}
    assert answer["cost"]["purchase_usd"] is None
    assert [device["slots"] for device in answer["devices"]] == [8, 8, 8, 8, 8, 8, 7, 7]


@pytest.mark.parametrize("node", ["dgx-h100", "hgx-h100-8"])
def test_eight_h100_at_the_full_window_are_126_mib_short(
    capsys: pytest.CaptureFixture[str], node: str
) -> None:
    code, answer = evaluate(capsys, f"{KIMI} --node {node}:1 --context 131072")
    assert (code, answer["verdict"]) == (1, "no")
    assert -(min(headrooms(answer)) // MIB) == 126
    assert any("126 MiB short" in text and "reserve" in text for text in answer["warnings"])
    helping = [entry for entry in answer["remedies"] if entry["headroom_bytes"] >= 0]
    assert len(helping) >= 3
    assert all(entry["verdict"] in ("fits", "tight") for entry in helping)
    assert all(entry["headroom_bytes"] > min(headrooms(answer)) for entry in answer["remedies"])


def test_remedies_with_an_option_do_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    line = f"{KIMI} --node dgx-h100:1"
    _, answer = evaluate(capsys, line)
    options = {entry["option"]: entry for entry in answer["remedies"] if entry["option"]}
    assert set(options) >= {"--ubatch 256", "--ubatch 128", "--kv-type q8_0"}
    for option, entry in options.items():
        code, changed = evaluate(capsys, f"{line} {option}")
        assert min(headrooms(changed)) == entry["headroom_bytes"], option
        assert changed["verdict"] == entry["verdict"], option
        assert code == 0
    (context,) = (option for option in options if option.startswith("--context"))
    longer = int(context.removeprefix("--context ")) + 256
    code, changed = evaluate(capsys, f"{line} --context {longer}")
    assert (code, changed["verdict"]) == (1, "no")


def test_a_bad_split_is_told_the_better_one(capsys: pytest.CaptureFixture[str]) -> None:
    line = f"{KIMI} --node dgx-h100:1"
    _, even = evaluate(capsys, line)
    _, answer = evaluate(capsys, f"{line} --split 7,8,8,8,8,8,8,7")
    assert min(headrooms(answer)) < min(headrooms(even))
    shares = ",".join(str(device["slots"]) for device in even["devices"])
    assert answer["remedies"][0]["change"].endswith(f"-ts {shares}")
    assert answer["remedies"][0]["headroom_bytes"] == min(headrooms(even))


@pytest.mark.parametrize(
    ("nodes", "devices"),
    [
        ("--node lambda-8xh100:1 --node lambda-1xh100:1", 9),
        ("--node runpod-8xh100:1 --node h100-sxm-1:1", 9),
        ("--node hgx-h200-8:1", 8),
        ("--node rtx-pro-6000-x8:1", 8),
        ("--node rtx-pro-6000-x4:1 --node rtx-pro-6000-x3:1", 7),
        ("--node dgx-spark:6", 6),
        ("--node mac-studio-m5u-256:3", 3),
    ],
)
@pytest.mark.parametrize("build", ["b11434", "b10434"])
def test_these_hold_kimi_k2_with_its_full_window(
    capsys: pytest.CaptureFixture[str], nodes: str, devices: int, build: str
) -> None:
    code, answer = evaluate(capsys, f"{KIMI} {nodes} --context 131072 --engine-build {build}")
    assert (code, answer["verdict"]) == (0, "fits")
    assert min(headrooms(answer)) > 0
    assert len(answer["devices"]) == devices == answer["layout"]["pipeline_parallel"]
    layers = [
        layer
        for device in answer["devices"]
        for layer in range(device["first_layer"], device["last_layer"] + 1)
    ]
    assert layers == list(range(61))
    assert answer["engine"]["build"] == build


@pytest.mark.parametrize("nodes", ["dgx-spark:4", "rtx-pro-6000-x4:1", "mac-studio-m5u-256:2"])
def test_these_do_not(capsys: pytest.CaptureFixture[str], nodes: str) -> None:
    code, answer = evaluate(capsys, f"{KIMI} --node {nodes} --context 131072")
    assert (code, answer["verdict"]) == (1, "no")
    assert min(headrooms(answer)) < 0
    assert answer["remedies"]


def test_more_devices_than_the_engine_takes_stay_idle(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, answer = evaluate(capsys, f"{KIMI} --node dgx-h100:2")
    assert (code, answer["verdict"]) == (0, "fits")
    assert sum(device["stage"] is None for device in answer["devices"]) == 1
    assert any("nothing" in text for text in answer["warnings"])


def test_nodes_without_a_common_network_cannot_be_joined(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, answer = evaluate(capsys, f"{KIMI} --node dgx-h100:1 --node lambda-1xh100:1")
    assert (code, answer["kind"]) == (2, "error")
    assert "no network" in answer["message"]


def test_settings_change_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    def total(part: str, options: str) -> int:
        _, answer = evaluate(capsys, f"evaluate gemma3-27b --quant Q4_K_M --devices 2 {options}")
        return sum(int(device["budget"][part]) for device in answer["devices"])

    usual = "--context 32768"
    assert total("kv_cache", f"{usual} --swa-full") > total("kv_cache", usual)
    halved = total("kv_cache", f"{usual} --kv-type q8_0") / total("kv_cache", usual)
    assert halved == pytest.approx(34 / 64)
    assert total("compute", f"{usual} --flash-attention off") > total("compute", usual)
    assert total("compute", f"{usual} --ubatch 128") < total("compute", usual)
    assert total("kv_cache", "--context 65536") > total("kv_cache", usual)
    assert total("weights", f"{usual} --kv-type q8_0") == total("weights", usual)
