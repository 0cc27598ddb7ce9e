"""Measured speeds of vLLM, SGLang and TensorRT-LLM against the estimate, with a scoreboard."""

from __future__ import annotations

import numpy as np
import pytest

from planner.catalog import load_catalog
from planner.engines.grid import Grid
from planner.performance.grid import GridCase, grid_prefill, step_seconds
from planner.performance.grid_calibration import calibration_of, unlike
from planner.performance.grid_rates import serving_rate
from planner.values import Range
from tests.calibration.serving import report
from tests.calibration.serving_fit import (
    MEASURED,
    MODEL_OF,
    MODELS,
    order_kept,
    outcome,
    quantiles,
)
from tests.reality.serving_runs import estimate, network, runs, scheme, unseen
from tests.reality.tables import table

RAILS = 8
"""Network adapters of each machine of the runs over many of them."""


def test_errors_of_runs_seen_and_of_models_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print()
        for line in report(outcome()):
            print(line)
    assert len(runs()) == 1431
    seen, left_out = quantiles(outcome().inside), quantiles(outcome().left_out)
    assert seen[0] <= 0.115
    assert seen[1] <= 0.30
    assert left_out[0] <= 0.14
    assert left_out[1] <= 0.37


def test_alternatives_are_in_order() -> None:
    kept, pairs = order_kept(outcome().left_out)
    assert pairs == 1072
    assert kept >= 0.95


def test_ranges_take_in_models_left_out() -> None:
    inside = np.abs(outcome().left_out) <= outcome().bands
    assert 0.80 <= inside.mean() <= 0.95
    assert np.exp(2 * np.median(outcome().bands)) <= 1.6
    assert all(inside[name == MODEL_OF].mean() >= 0.6 for name in MODELS)


def test_what_ships_does_as_well_as_the_fit() -> None:
    shipped = np.log([estimate(run).best for run in runs()]) - MEASURED
    median, p90 = quantiles(shipped)
    inside = np.mean([estimate(run).high <= run.tpot <= estimate(run).low for run in runs()])
    print(f"\nserving speed, shipped: {median:.1%} median, {p90:.1%} p90, {inside:.1%} inside")
    assert median <= 0.115
    assert p90 <= 0.30
    assert inside >= 0.85


def test_a_model_that_took_no_part(capsys: pytest.CaptureFixture[str]) -> None:
    ratios = np.array([estimate(run).best / run.tpot for run in unseen()])
    spans = [estimate(run) for run in unseen()]
    inside = [s.high <= run.tpot <= s.low for s, run in zip(spans, unseen(), strict=True)]
    median, p90 = quantiles(np.log(ratios))
    with capsys.disabled():
        print(
            f"\nserving speed, DeepSeek-R1 unseen: {len(ratios)} runs, {median:.1%} median, "
            f"{p90:.1%} p90, {np.mean(inside):.1%} inside"
        )
    assert len(ratios) == 97
    assert median <= 0.14
    assert p90 <= 0.37
    assert np.mean(inside) >= 0.8


@pytest.mark.parametrize(("kind", "count"), [("hopper", 953), ("blackwell", 474)])
def test_each_class_says_how_many_runs_it_stands_on(kind: str, count: int) -> None:
    found = [run for run in runs() if serving_rate(run.case.stages[0][0]).name == kind]
    assert len(found) == count
    assert f"{count} runs" in serving_rate(found[0].case.stages[0][0]).basis


def test_what_is_called_unlike_the_runs() -> None:
    odd = {(run.model, run.gpu): unlike(run.case) for run in runs()}
    reasons = {key: reason for key, reason in odd.items() if reason}
    latent = ("latent attention but GLM-5's",)
    assert {key for key, reason in reasons.items() if reason == latent} == {
        ("glm-5", "b200-sxm-180"),
        ("glm-5", "h200-sxm-141"),
    }
    assert {gpu for (model, gpu) in reasons if model != "glm-5"} <= {
        "b200-sxm-180",  # one run with data parallelism
        "gb10-128",
        "gb200-186",
    }


def test_a_desktop_without_runs_in_the_fit_is_called_uncalibrated() -> None:
    found = [run for run in runs() if run.gpu == "gb10-128"]
    ranges = [estimate(run) for run in found]
    inside = sum(span.high <= run.tpot <= span.low for run, span in zip(found, ranges, strict=True))
    print(f"\n  DGX Spark: {inside} of {len(found)} inside")
    assert all(calibration_of(run.case).startswith("uncalibrated") for run in found)
    assert inside >= 1


def test_first_tokens_with_four_users() -> None:
    """Prompts of four users meet, so that the estimate for one alone is rather too short."""
    found = [run for run in runs() if run.users == 4 and run.ttft is not None]
    found = [run for run in found if run.case.engine != "trtllm"]
    inside = 0
    for run in found:
        ttft = grid_prefill(run.case, tokens=run.input_tokens).ttft
        inside += ttft.high <= (run.ttft or 0) <= ttft.low
    print(f"\n  first token, 4 users: {inside} of {len(found)} inside")
    assert len(found) == 101
    assert inside >= 0.9 * len(found)


def over_machines(row: dict[str, str]) -> tuple[GridCase, Range]:
    catalog, gpus = load_catalog(), int(row["gpus"])
    architecture, wire = network(row["model"]), catalog.networks["infiniband-ndr"]
    rate = RAILS * wire.bandwidth_per_direction
    case = GridCase(
        architecture=architecture,
        scheme=scheme("FP8", True),
        engine="vllm",
        grid=Grid(
            data_parallel=gpus, expert_parallel=gpus, redundant_experts=int(row["redundant"])
        ),
        stages=((catalog.gpu(row["gpu"]), tuple(range(architecture.depth))),),
        fabric=catalog.links["nvlink4"],
        network=wire.model_copy(
            update={"bandwidth_per_direction": rate, "achieved_per_direction": None}
        ),
        gpus_per_machine=8,
    )
    users = int(row["users_per_gpu"]) * gpus
    return case, step_seconds(case, depth=int(row["depth"]), users=users)


@pytest.mark.parametrize("row", table("serving_experts.csv"), ids=lambda row: row["name"])
def test_experts_over_many_machines(row: dict[str, str]) -> None:
    """A grid of vLLM cuts as SGLang with DeepEP does."""
    case, step = over_machines(row)
    measured = float(row["tpot_ms"]) / 1e3
    print(
        f"\n  {row['name']}: {measured * 1e3:g} ms measured, {step.best * 1e3:.0f} estimated, "
        f"{step.high * 1e3:.0f} to {step.low * 1e3:.0f}"
    )
    assert abs(step.best / measured - 1) <= 0.35
    assert step.high <= measured <= step.low
    assert step.low / step.high <= 3
    assert calibration_of(case).startswith("uncalibrated: no runs with several machines")
