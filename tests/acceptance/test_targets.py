"""Targets on time to first token, time per token and throughput, and where the time goes."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from tests.acceptance.command_line import plan

CASES = {
    "kimi-k2 --quant Q4_K_M --budget 300000 --context 32768": ("llama.cpp", 1),
    "qwen3-30b-a3b --quant FP8 --concurrency 32 --context 16384 --max-nodes 1": ("vllm", 32),
}


def planned(line: str) -> dict[str, Any]:
    return plan(f"{line} --json").answer


@pytest.mark.parametrize("question", CASES)
def test_each_target_is_met_and_costs_no_less(question: str) -> None:
    engine, users = CASES[question]
    free = planned(question)
    assert free["engine"]["name"] == engine
    speed = free["performance"][0]
    case = "best" if "uncalibrated" in speed["calibration"] else "low"
    targets = {
        "--tpot": ("tpot", 0.7 * speed["tpot"][case]),
        "--throughput": ("tokens_per_second", 1.4 * speed["tokens_per_second"][case]),
    }
    if engine != "llama.cpp":
        targets["--ttft"] = ("ttft", 0.6 * speed["ttft"][case])
    for option, (field, wanted) in targets.items():
        value = f"{wanted:.6f}" + ("s" if option != "--throughput" else "")
        found = planned(f"{question} {option} {value}")
        assert found["kind"] == "plan", option
        reached = found["performance"][0]
        judged = "best" if "uncalibrated" in reached["calibration"] else "low"
        if option == "--throughput":
            assert reached[field][judged] >= wanted * (1 - 1e-5)
        else:
            assert reached[field][judged] <= wanted * (1 + 1e-5)
        assert found["cost"]["purchase_usd"] >= free["cost"]["purchase_usd"]
    assert speed["tokens_per_second"]["best"] == pytest.approx(
        users * speed["tokens_per_second_per_user"]["best"]
    )


def test_llama_cpp_is_not_searched_for_first_tokens() -> None:
    ran = plan("kimi-k2 --quant Q4_K_M --ttft 5s")
    assert ran.code == 3
    assert "--ttft 5" in ran.err
    assert "--engine vllm" in ran.err


def test_what_would_meet_an_impossible_target_is_said() -> None:
    asked = "qwen3-30b-a3b --quant FP8 --only 4090-x2 --context 8192 --max-nodes 1"
    answer = planned(f"{asked} --tpot 1ms")
    assert answer["kind"] == "infeasible"
    change = next(entry for entry in answer["relaxations"] if entry["change"] == "tpot")
    assert planned(f"{asked} --tpot {change['to']}s")["kind"] == "plan"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--ttft", "soon", "not a time"),
        ("--tpot", "0ms", "more than 0"),
        ("--tpot", "-5ms", "not a time"),
        ("--throughput", "0", "nothing is that fast"),
        ("--throughput", "1e9", "not a speed"),
    ],
)
def test_targets_that_make_no_sense(option: str, value: str, said: str) -> None:
    ran = plan(f"kimi-k2 {option} {shlex.quote(value)}")
    assert ran.code == 2
    assert said in ran.err
    assert "hint:" in ran.err


def test_bars_sum_to_the_token() -> None:
    ran = plan("evaluate llama-3.1-8b --quant Q4_K_M --node 4090-x2:1 --explain-speed")
    assert "one token at 4,500, ms" in ran.out
    shares = [
        int(line.split("%")[0].split()[-1])
        for line in ran.out.splitlines()
        if "% " in line and "=" in line
    ]
    assert sum(shares[: len(shares) // 2]) == pytest.approx(100, abs=4)
