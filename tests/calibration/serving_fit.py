"""Least squares on the logarithm of the time per token, drawn to priors, and models left out.

Runs of one model, device and engine weigh together as the square root of the square root of their
number. The loss is Cauchy's, so that groups of runs no rate explains do not pull.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tests.calibration.serving_features import Array, features
from tests.calibration.serving_model import PARAMETERS, Model, Values
from tests.reality.serving_runs import alternatives, estimate, runs

PULL = 0.4
SOFT = 0.2
SCALE = 0.1
COVERAGE = 0.86
"""Share of the runs of other models that a range takes in."""
_STEP = 1e-3
_ROUNDS = 60
_ENOUGH = 1e-6

NAMES = tuple(PARAMETERS)
MODELS = tuple(sorted({run.model for run in runs()}))
Residuals = Callable[[Array], Array]


def _array(of: Callable[..., float]) -> Array:
    return np.array([of(run) for run in runs()])


MEASURED = np.log(_array(lambda run: run.tpot))
MODEL_OF = np.array([run.model for run in runs()])
MIXTURE = np.array([run.case.architecture.has_experts for run in runs()])


@dataclass(frozen=True)
class Outcome:
    """Of one fit on all runs and of fits with each model left out.

    Errors are logarithms of estimated over measured, run by run.
    """

    values: Values
    inside: Array
    left_out: Array
    bands: Array
    """Of each run, from the left-out errors of the other models alone."""
    band: Mapping[bool, float]
    """Of networks with routed experts and without, from all models."""


@functools.cache
def outcome() -> Outcome:
    """The fit that is shipped, and how it does on models it has not seen."""
    model, known = Model(features()), features().runs["class"] >= 0
    values = fitted(model, known, _start())
    inside, left_out = _errors(model, values), np.empty(len(MODEL_OF))
    for name in MODELS:
        own = name == MODEL_OF
        others = fitted(model, known & ~own, np.log([values[key] for key in NAMES]))
        left_out[own] = _errors(model, others)[own]
    return Outcome(
        values=values,
        inside=inside,
        left_out=left_out,
        bands=np.array([_band(left_out, kind, name) for kind, name in _kinds()]),
        band={kind: _band(left_out, kind, None) for kind in (False, True)},
    )


def fitted(model: Model, taken: Array, start: Array) -> Values:
    """The rates that suit the runs `taken`, by Levenberg and Marquardt on their logarithms."""
    weights = _weights()[taken]
    weights *= np.sqrt(len(weights)) / weights.sum() / SCALE
    priors, scales = _start(), np.array([PARAMETERS[name].scale for name in NAMES])

    def residuals(point: Array) -> Array:
        errors = _errors(model, _values(point), fill=False)[taken]
        soft = np.sign(errors) * SOFT * np.sqrt(np.log1p((errors / SOFT) ** 2))
        return np.concatenate([weights * soft, PULL * (point - priors) / scales])

    return _values(_least(residuals, start))


def _least(residuals: Residuals, start: Array) -> Array:
    most = np.log([PARAMETERS[name].most for name in NAMES])
    point, found, damping = start, residuals(start), 1e-2
    for _ in range(_ROUNDS):
        slopes = np.array([found - residuals(point - step) for step in _STEP * np.eye(len(point))])
        slopes = slopes.T / _STEP
        normal, before = slopes.T @ slopes, found @ found
        for _ in range(6):
            damped = normal + damping * np.diag(np.diag(normal))
            tried = np.minimum(point - np.linalg.solve(damped, slopes.T @ found), most)
            after = residuals(tried)
            if after @ after < before:
                point, found, damping = tried, after, damping / 5
                break
            damping *= 5
        if before - found @ found < _ENOUGH * before:
            break
    return point


def _start() -> Array:
    return np.log([PARAMETERS[name].prior for name in NAMES])


def _values(point: Array) -> Values:
    return dict(zip(NAMES, np.exp(point), strict=True))


def _weights() -> Array:
    groups = [(run.model, run.gpu, run.case.engine) for run in runs()]
    sizes = Counter(groups)
    return np.array([sizes[group] ** -0.25 for group in groups])


def _errors(model: Model, values: Values, *, fill: bool = True) -> Array:
    """Of all runs; where no class is fitted, the planner's own estimate counts."""
    seconds = np.log(model.seconds(values)) - MEASURED
    if not fill:
        return seconds
    return np.where(np.isnan(seconds), _unfitted(), seconds)


@functools.cache
def _unfitted() -> Array:
    kinds = zip(runs(), features().runs["class"], strict=True)
    own = [np.nan if kind >= 0 else np.log(estimate(run).best) for run, kind in kinds]
    return np.array(own) - MEASURED


def _kinds() -> list[tuple[bool, str]]:
    return list(zip((bool(kind) for kind in MIXTURE), MODEL_OF, strict=True))


@functools.cache
def _errors_of(kind: bool, but: str | None) -> Array:
    return (kind == MIXTURE) & (but != MODEL_OF) & (features().runs["class"] >= 0)


def _band(left_out: Array, kind: bool, but: str | None) -> float:
    """Half a range, in logarithms: the runs of each model weigh as the root of their number."""
    chosen = _errors_of(kind, but)
    sizes = Counter(MODEL_OF[chosen])
    weights = np.array([sizes[name] ** -0.5 for name in MODEL_OF[chosen]])
    errors = np.abs(left_out[chosen])
    order = np.argsort(errors)
    shares = np.cumsum(weights[order]) / weights.sum()
    return float(errors[order][min(len(order) - 1, int(np.searchsorted(shares, COVERAGE)))])


def quantiles(errors: Array) -> tuple[float, float]:
    """Median and 90th percentile of the relative error."""
    off = np.abs(np.exp(errors) - 1)
    return float(np.median(off)), float(np.quantile(off, 0.9))


def order_kept(errors: Array) -> tuple[float, int]:
    """Share of pairs of alternatives whose order the estimates keep, and how many pairs."""
    estimated, pairs = MEASURED + errors, list(alternatives())
    kept = [
        (estimated[one] - estimated[other]) * (MEASURED[one] - MEASURED[other]) > 0
        for one, other in pairs
    ]
    return sum(kept) / len(pairs), len(pairs)
