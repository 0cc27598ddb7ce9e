"""Which class a device gets, and what its estimate says it stands on."""

from __future__ import annotations

import math

import pytest

from planner.errors import CatalogError
from planner.performance.calibration import (
    calibration_of,
    device_class,
    is_calibrated,
    is_measured,
    prior,
    rates_of,
    slow_down,
)


@pytest.mark.parametrize(
    ("changes", "name", "measured"),
    [
        ({"speed_class": "geforce"}, "geforce", True),
        ({"speed_class": "hbm"}, "hbm", True),
        ({"speed_class": "apple", "family": "metal"}, "apple", True),
        ({"speed_class": "hbm", "family": "rocm"}, "hbm", False),
        ({"speed_class": "none", "family": "cuda", "unified": True}, "spark", False),
        ({"speed_class": "none", "family": "rocm", "unified": True}, "amd", False),
        ({"speed_class": "none", "family": "sycl"}, "intel", False),
        ({"speed_class": "none", "family": "other"}, "other", False),
    ],
)
def test_a_device_gets_its_speed_class_or_else_its_familys(make_gpu, changes, name, measured):
    gpu = make_gpu(**changes)
    assert device_class(gpu).name == name
    assert is_measured(gpu) is measured


def test_a_class_outside_its_software_keeps_its_efficiency_but_not_its_band(make_gpu):
    nvidia, amd = (make_gpu(speed_class="hbm", family=family) for family in ("cuda", "rocm"))
    assert rates_of(amd).quantized_efficiency == rates_of(nvidia).quantized_efficiency
    assert rates_of(amd).decode_band == 0.5 > rates_of(nvidia).decode_band


def test_a_missing_compute_rate_is_assumed_from_the_bandwidth_and_said(
    make_network, make_gpu, dense_layer
):
    architecture, _ = make_network(dense_layer)
    gpu = make_gpu(dense_fp16=None)
    assert rates_of(gpu).compute == (15e12, 35e12, 60e12)
    assert "compute rate of the device assumed" in calibration_of(architecture, gpu)


def test_a_dense_network_on_a_measured_class_states_its_measured_error(
    make_network, make_gpu, dense_layer
):
    architecture, _ = make_network(dense_layer)
    text = calibration_of(architecture, make_gpu())
    assert not text.startswith("uncalibrated")
    assert "8B and 70B" in text
    assert "6% median, 13% p90" in text


def test_a_mixture_of_experts_or_an_unmeasured_device_is_uncalibrated(
    make_network, make_gpu, dense_layer, expert_layer
):
    mixture, _ = make_network(expert_layer)
    dense, _ = make_network(dense_layer)
    unmeasured = make_gpu(speed_class="none", unified=True, title="DGX Spark")
    assert calibration_of(mixture, make_gpu()).startswith(
        "uncalibrated: no fit for a mixture of experts;"
    )
    assert calibration_of(dense, unmeasured).startswith("uncalibrated: no fit for DGX Spark;")
    assert is_calibrated(dense, make_gpu())
    assert not is_calibrated(mixture, make_gpu())
    assert not is_calibrated(dense, unmeasured)
    assert "a mixture of experts or DGX Spark" in calibration_of(mixture, unmeasured)


def test_independent_errors_add_as_squares_of_logarithms():
    low, best, high = slow_down(0.3, (2.0, 1.5, 1.0))
    assert best == 1.5
    assert math.log(low / best) ** 2 == pytest.approx(
        math.log(1.3) ** 2 + math.log(2 / 1.5) ** 2, rel=1e-9
    )
    assert math.log(best / high) ** 2 == pytest.approx(
        math.log(1.3) ** 2 + math.log(1.5) ** 2, rel=1e-9
    )
    assert slow_down(0.3, None) == (1.3, 1.0, pytest.approx(1 / 1.3))


def test_an_unknown_prior_is_an_error_not_a_guess():
    with pytest.raises(CatalogError, match="no row 'warp-drive'"):
        prior("warp-drive")
