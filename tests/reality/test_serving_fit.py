"""The calibration of vLLM and SGLang: one model in two forms, and a file that says its priors."""

from __future__ import annotations

import numpy as np
import pytest

from planner.catalog import load_catalog
from tests.calibration.serving import CLASSES, ENGINES, TABLE, class_fields, engine_fields, written
from tests.calibration.serving_features import features
from tests.calibration.serving_fit import outcome
from tests.calibration.serving_model import PARAMETERS, Model, Values
from tests.reality.serving_runs import estimate, runs

DRAWN: Values = {name: parameter.prior for name, parameter in PARAMETERS.items()}


def test_the_model_that_is_fitted_is_the_planners() -> None:
    fitted = Model(features()).seconds(outcome().values)
    for run, seconds in zip(runs(), fitted, strict=True):
        if not np.isnan(seconds):
            assert estimate(run).best == pytest.approx(seconds, rel=2e-3), run


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_keeps_prior_and_posterior(kind: str) -> None:
    row = load_catalog().serving_rates[kind]
    assert row.prior == pytest.approx(class_fields(DRAWN, kind))
    for field, value in class_fields(outcome().values, kind).items():
        assert getattr(row, field) == pytest.approx(value, rel=5e-3), field


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_keeps_prior_and_posterior(engine: str) -> None:
    row = load_catalog().serving_engines[engine]
    assert row.prior == pytest.approx(engine_fields(DRAWN, engine))
    for field, value in engine_fields(outcome().values, engine).items():
        assert getattr(row, field) == pytest.approx(value, rel=5e-3), field


def test_the_command_writes_what_ships() -> None:
    before = TABLE.read_text(encoding="utf-8").splitlines()
    after = written("\n".join(before) + "\n", outcome()).splitlines()
    assert [line.partition("=")[0] for line in after] == [line.partition("=")[0] for line in before]
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    for old, new in changed:
        was, now = (float(line.partition("=")[2]) for line in (old, new))
        assert now == pytest.approx(was, rel=1e-2)


def test_a_rate_in_the_file_is_what_a_run_is_estimated_with() -> None:
    slower = dict(outcome().values) | {"weights hopper": outcome().values["weights hopper"] / 2}
    changed = Model(features()).seconds(slower) / Model(features()).seconds(outcome().values)
    hopper = features().runs["class"] == CLASSES.index("hopper")
    assert changed[hopper].min() > 1
    assert changed[features().runs["class"] == CLASSES.index("blackwell")].max() == 1
