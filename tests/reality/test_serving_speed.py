"""Measured speeds of vLLM and SGLang against the estimate, with a scoreboard."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from planner.performance.grid import grid_prefill
from planner.performance.grid_calibration import unlike
from planner.performance.grid_rates import serving_rate
from tests.reality.serving_runs import Run, estimate, runs


def errors(of: Iterable[Run]) -> list[float]:
    """Factors too long or too short, less one, in order."""
    return sorted(math.exp(abs(math.log(estimate(run).best / run.tpot))) - 1 for run in of)


def line(name: str, of: list[Run]) -> tuple[float, float, float]:
    found = errors(of)
    inside = sum(estimate(run).high <= run.tpot <= estimate(run).low for run in of) / len(of)
    median, p90 = found[len(found) // 2], found[int(0.9 * len(found))]
    print(
        f"  {name:18} {len(of):4} runs, {median:6.1%} median, {p90:6.1%} p90, {inside:4.0%} inside"
    )
    return median, p90, inside


def test_time_per_token_of_all_runs() -> None:
    every = list(runs())
    assert len(every) == 712
    print("\nvLLM and SGLang, time per output token:")
    for key in sorted({run.model for run in every}):
        line(key, [run for run in every if run.model == key])
    for engine in ("vllm", "sglang"):
        line(engine, [run for run in every if run.case.engine == engine])
    median, p90, inside = line("all", every)
    assert median == pytest.approx(0.123, abs=0.01)
    assert p90 == pytest.approx(0.352, abs=0.02)
    assert inside >= 0.9


def test_each_class_is_covered_and_says_how_many_runs_it_stands_on() -> None:
    for name, count in (("hopper", 420), ("blackwell", 292)):
        found = [run for run in runs() if serving_rate(run.case.stages[0][0]).name == name]
        assert len(found) == count
        assert f"{count} runs" in serving_rate(found[0].case.stages[0][0]).basis
        assert line(name, found)[2] >= 0.9


def test_only_latent_attention_is_called_unlike_the_runs() -> None:
    reasons = {run.model: unlike(run.case) for run in runs()}
    assert {model for model, reason in reasons.items() if reason} == {"glm-5"}
    assert reasons["glm-5"] == ("latent attention but GLM-5's",)


def test_first_tokens_with_four_users() -> None:
    """Prompts of four users meet, so that the estimate for one alone is rather too short."""
    found = [run for run in runs() if run.users == 4 and run.ttft is not None]
    inside = 0
    for run in found:
        ttft = grid_prefill(run.case, tokens=run.input_tokens).ttft
        inside += ttft.high <= (run.ttft or 0) <= ttft.low
    print(f"\n  first token, 4 users: {inside} of {len(found)} inside")
    assert len(found) == 100
    assert inside >= 0.9 * len(found)
