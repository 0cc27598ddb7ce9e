"""Refits of the rates of vLLM and SGLang: the shipped ones do as well as one on all runs.

The errors stated are those on models left out of a fit. Least squares on the logarithm of the time
per token with a soft L1 loss, groups of runs weighted alike, drawn to medians of kernel
measurements and round overheads.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest

from planner.catalog.schema import Gpu
from planner.performance import collectives, grid_terms
from planner.performance.calibration import Cases, prior_cases
from planner.performance.grid_rates import Rates, rates_of, serving_rate
from tests.reality.serving_runs import INTERFERENCE, Run, estimate, runs

START = {
    "half hopper": 0.78,
    "half blackwell": 0.70,
    "float8 hopper": 0.60,
    "float8 blackwell": 0.525,
    "float4 hopper": 0.47,
    "float4 blackwell": 0.42,
    "weights hopper": 0.75,
    "weights blackwell": 0.62,
    "experts hopper": 0.64,
    "experts blackwell": 0.53,
    "cache hopper": 0.70,
    "cache blackwell": 0.62,
    "layer hopper": 25e-6,
    "layer blackwell": 25e-6,
    "layer factor vllm": 1.0,
    "layer factor sglang": 1.0,
    "mixture vllm": 20e-6,
    "mixture sglang": 20e-6,
    "sequence vllm": 8e-6,
    "sequence sglang": 8e-6,
    "latent": 20e-6,
    "step": 500e-6,
    "spread": 0.7,
    "expert matrices": 0.6,
    "all-reduce": 1.2,
    "interference": 1.0,
}
"""Where the fit begins and what it is drawn to."""
MOST_ONE = ("half", "float", "weights", "cache", "experts", "spread", "expert matrices")
"""Shares: no more than all of it."""
PULL = 0.5
SOFT = 0.15
SCALE = 0.1
GROUP = 12
"""Runs of one model, device, engine and format that a fit takes."""

Parameters = Mapping[str, float]


class Patched:
    """Estimates with rates of our own."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.parameters: Parameters = START
        patch.setattr(grid_terms, "rates_of", self.rates)
        patch.setattr(collectives, "prior_cases", self.prior)

    def prior(self, name: str) -> Cases:
        if name != "all-reduce-in-step":
            return prior_cases(name)
        factor = self.parameters["all-reduce"]
        return factor, factor, factor

    def rates(self, gpu: Gpu, engine: str) -> Rates:
        get, kind = self.parameters, serving_rate(gpu).name
        bandwidth, half, float8 = gpu.memory_bandwidth, gpu.dense_fp16, gpu.dense_fp8
        assert half is not None
        assert float8 is not None
        return rates_of(gpu, engine)._replace(
            weights=bandwidth * get[f"weights {kind}"],
            experts=bandwidth * get[f"experts {kind}"],
            cache=bandwidth * get[f"cache {kind}"],
            half=half * get[f"half {kind}"],
            float8=float8 * get[f"float8 {kind}"],
            float4=(2 * float8 if kind == "blackwell" else half) * get[f"float4 {kind}"],
            expert_matrices=get["expert matrices"],
            spread=get["spread"],
            layer=get[f"layer {kind}"] * get[f"layer factor {engine}"],
            mixture=get[f"mixture {engine}"],
            latent=get["latent"],
            step=get["step"],
            sequence=get[f"sequence {engine}"],
        )

    def errors(self, parameters: Parameters, of: Sequence[Run]) -> np.ndarray:
        """Logarithms of estimated over measured."""
        self.parameters = parameters
        share = parameters["interference"]
        return np.array([math.log(estimate(run, share).best / run.tpot) for run in of])


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> Patched:
    return Patched(monkeypatch)


def group(run: Run) -> tuple[str, str, str]:
    return run.model, run.case.stages[0][0].name, run.case.engine


def sample(of: Sequence[Run], most: int) -> list[Run]:
    """At most so many of each group and format, evenly."""
    members: dict[object, list[Run]] = {}
    for run in of:
        members.setdefault((group(run), run.case.scheme.name), []).append(run)
    steps = ((found, -(-len(found) // most)) for found in members.values())
    return [run for found, step in steps for run in found[::step]]


def fitted(patched: Patched, of: Sequence[Run], rounds: int) -> Parameters:
    """Levenberg-Marquardt on the logarithms of the parameters."""
    names = list(START)
    sizes = Counter(group(run) for run in of)
    weights = np.array([sizes[group(run)] ** -0.5 for run in of])
    weights *= len(of) / weights.sum() / SCALE / math.sqrt(len(of))
    start = np.log([START[name] for name in names])
    most = np.log([1.0 if name.startswith(MOST_ONE) else 1e3 for name in names])

    def residuals(values: np.ndarray) -> np.ndarray:
        errors = patched.errors(dict(zip(names, np.exp(values), strict=True)), of)
        soft = np.sign(errors) * SOFT * np.sqrt(2 * (np.sqrt(1 + (errors / SOFT) ** 2) - 1))
        return np.concatenate([weights * soft, PULL * (values - start)])

    values, found, damping = start, residuals(start), 1e-2
    for _ in range(rounds):
        slopes = np.array(
            [(found - residuals(values - step)) for step in 1e-3 * np.eye(len(names))]
        )
        slopes = slopes.T / 1e-3
        normal = slopes.T @ slopes
        for _ in range(6):
            damped = normal + damping * np.diag(np.diag(normal))
            tried = np.minimum(values - np.linalg.solve(damped, slopes.T @ found), most)
            after = residuals(tried)
            if after @ after < found @ found:
                values, found, damping = tried, after, damping / 5
                break
            damping *= 5
    return dict(zip(names, np.exp(values), strict=True))


def quantiles(errors: np.ndarray) -> tuple[float, float]:
    """Median and 90th percentile of the factor off, less one."""
    factors = np.exp(np.abs(errors)) - 1
    return float(np.median(factors)), float(np.quantile(factors, 0.9))


def left_out(patched: Patched) -> Iterator[tuple[Run, float]]:
    """Every run, and its error with its model left out of the fit."""
    for model in sorted({run.model for run in runs()}):
        others = sample([run for run in runs() if run.model != model], GROUP)
        own = [run for run in runs() if run.model == model]
        errors = patched.errors(fitted(patched, others, 5), own)
        print(f"  {model:18} left out: {quantiles(errors)[0]:.1%} median")
        yield from zip(own, errors, strict=True)


def test_a_refit_is_no_better_than_the_shipped_rates(patched: Patched) -> None:
    every = runs()
    again = quantiles(patched.errors(fitted(patched, sample(every, 4), 4), every))
    shipped = quantiles(
        np.array([math.log(run_best / run.tpot) for run, run_best in shipped_estimates()])
    )
    print(f"\n  refit {again}, shipped {shipped}")
    assert shipped[0] < again[0] + 0.02
    assert shipped[1] < again[1] + 0.03


def shipped_estimates() -> Iterator[tuple[Run, float]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid_terms, "rates_of", rates_of)
        patch.setattr(collectives, "prior_cases", prior_cases)
        yield from ((run, estimate(run, INTERFERENCE).best) for run in runs())


@pytest.mark.full
def test_stated_errors_are_those_on_models_left_out(patched: Patched) -> None:
    errors = list(left_out(patched))
    for name in ("hopper", "blackwell"):
        own = [(run, error) for run, error in errors if rate(run) == name]
        row = serving_rate(own[0][0].case.stages[0][0])
        median, p90 = quantiles(np.array([error for _, error in own]))
        print(f"  {name}: {median:.1%} median, {p90:.1%} p90")
        assert row.decode_error_median == pytest.approx(median, abs=0.015)
        assert row.decode_error_p90 == pytest.approx(p90, abs=0.015)
    latent = quantiles(np.array([error for run, error in errors if run.model == "glm-5"]))
    print(f"  latent attention: {latent[0]:.1%} median, {latent[1]:.1%} p90")
    assert latent[1] == pytest.approx(row.latent_error_p90, abs=0.02)


def rate(run: Run) -> str:
    return serving_rate(run.case.stages[0][0]).name
