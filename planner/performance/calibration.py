"""Which calibration holds for a device, and what an estimate with it stands on.

Rows are in `catalogs/calibration`. Layer: performance; everything here is data, no formula.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from planner.catalog.load import shipped_rows
from planner.catalog.schema import Calibration, Gpu, Prior, Row
from planner.errors import CatalogError
from planner.model.architecture import Architecture, Latent
from planner.model.cache import layer_cache
from planner.values import Range

R = TypeVar("R", bound=Row)
Cases = tuple[float, float, float]
"""Low, best, high; low is the pessimist's."""

_VENDOR_FAMILY = {"geforce": "cuda", "hbm": "cuda", "apple": "metal"}
"""Software family each measured class was measured with."""


class Rates(NamedTuple):
    """What the formulas need of one device model, per case where the cases differ."""

    bandwidth: int
    """Data sheet, bytes/s."""
    compute: Cases
    """Dense FP16 rate, FLOP/s; the three differ only where no rate is published."""
    float_efficiency: float
    quantized_efficiency: float
    kv_efficiency: float | None
    layer_overhead: float
    decode_band: float
    """Relative error that the low and high cases allow for: 0.12 is 12 % longer or 1/1.12."""
    prefill_float: float
    prefill_quantized: float
    prefill_attention: float
    prefill_band: float
    measured: bool
    """Whether runs of devices like this one were fitted."""


def prior(name: str) -> Range:
    """The three cases of one prior, e.g. `moe-prefill`.

    Raises:
        CatalogError: the catalog has no such row.
    """
    row = _find(_priors(), name)
    return Range(low=row.low, best=row.best, high=row.high)


@functools.cache
def prior_cases(name: str) -> Cases:
    """`prior` as a plain tuple."""
    cases = prior(name)
    return cases.low, cases.best, cases.high


def device_class(gpu: Gpu) -> Calibration:
    """The calibration row a device is estimated with: its speed class, or else by its family."""
    if gpu.speed_class != "none":
        return _find(_calibrations(), gpu.speed_class)
    by_family = {"cuda": "spark" if gpu.unified else "other", "rocm": "amd", "sycl": "intel"}
    return _find(_calibrations(), by_family.get(gpu.family, "other"))


def is_measured(gpu: Gpu) -> bool:
    """Whether runs of devices like this one were fitted: class and software family both."""
    row = device_class(gpu)
    return row.measured and _VENDOR_FAMILY.get(row.name) == gpu.family


def rates_of(gpu: Gpu) -> Rates:
    """The rates of one device model with its class's efficiencies.

    A class used outside the software it was measured with keeps its efficiencies, but gets the
    band of an unmeasured class.
    """
    row = device_class(gpu)
    decode_band, prefill_band = row.decode_error_p90, row.prefill_error_p90
    if row.measured and not is_measured(gpu):
        unmeasured = _find(_calibrations(), "other")
        decode_band = max(decode_band, unmeasured.decode_error_p90)
        prefill_band = max(prefill_band, unmeasured.prefill_error_p90)
    low, best, high = prior_cases("compute-per-byte")
    rate, bandwidth = gpu.dense_fp16, gpu.memory_bandwidth
    return Rates(
        bandwidth=bandwidth,
        compute=(rate, rate, rate)
        if rate is not None
        else (low * bandwidth, best * bandwidth, high * bandwidth),
        float_efficiency=row.float_efficiency,
        quantized_efficiency=row.quantized_efficiency,
        kv_efficiency=row.kv_efficiency,
        layer_overhead=row.layer_overhead,
        decode_band=decode_band,
        prefill_float=row.prefill_float,
        prefill_quantized=row.prefill_quantized,
        prefill_attention=row.prefill_attention,
        prefill_band=prefill_band,
        measured=is_measured(gpu),
    )


def slow_down(band: float, mixture: Cases | None) -> Cases:
    """Factors on the dense time of a calibrated class: low, best, high.

    Dense: 1 + band, 1, 1 / (1 + band). A mixture of experts takes its own prior; the two
    errors are independent, so their logarithms add as squares.
    """
    width = math.log1p(band)
    if mixture is None:
        return 1 + band, 1.0, 1 / (1 + band)
    low, best, high = mixture
    return (
        best * math.exp(math.hypot(width, math.log(low / best))),
        best,
        best * math.exp(-math.hypot(width, math.log(best / high))),
    )


def mixture_prior(*, latent: bool) -> str:
    """Name of the decode prior of a mixture of experts, by its attention."""
    return "moe-latent-decode" if latent else "moe-grouped-decode"


def is_calibrated(architecture: Architecture, gpu: Gpu) -> bool:
    """Whether runs like this were fitted: a dense network of attention on a measured class."""
    known = not architecture.has_experts and not _has_state(architecture)
    return known and is_measured(gpu)


def calibration_of(architecture: Architecture, gpu: Gpu) -> str:
    """What a decode speed on `gpu` stands on, one line; starts `uncalibrated:` where on priors."""
    row, measured = device_class(gpu), is_measured(gpu)
    missing, priors = [], []
    if architecture.has_experts:
        missing.append("a mixture of experts")
        latent = any(isinstance(layer.mixer, Latent) for layer in architecture.layers)
        low, best, high = prior_cases(mixture_prior(latent=latent))
        priors.append(f"prior of {low:g} / {best:g} / {high:g} times the dense time")
    if _has_state(architecture):
        missing.append("recurrent blocks")
        priors.append("a state is read and written at the prior of a cache")
    if not measured:
        missing.append(gpu.title)
    if gpu.dense_fp16 is None:
        priors.append("compute rate of the device assumed from its bandwidth")
    if not missing:
        return "; ".join([f"llama.cpp, one stream: {row.basis}", _errors(row), *priors])
    stands_on = f"dense on {row.title}: {_errors(row)}"
    if not measured:
        stands_on = f"prior of class '{row.name}', +-{rates_of(gpu).decode_band:.0%} assumed"
    return "; ".join([f"uncalibrated: no fit for {' or '.join(missing)}", stands_on, *priors])


def _has_state(architecture: Architecture) -> bool:
    """Whether any block keeps a state of constant size."""
    mixers = ((layer.mixer, layer.beside) for layer in architecture.layers)
    return any(layer_cache(mixer).states for pair in mixers for mixer in pair)


def _errors(row: Calibration) -> str:
    median = "" if row.decode_error_median is None else f"{row.decode_error_median:.0%} median, "
    return f"error on a card left out of the fit {median}{row.decode_error_p90:.0%} p90"


@functools.cache
def _calibrations() -> Mapping[str, Calibration]:
    found = (row for _, row in shipped_rows("calibration"))
    return MappingProxyType({row.name: row for row in found if isinstance(row, Calibration)})


@functools.cache
def _priors() -> Mapping[str, Prior]:
    found = (row for _, row in shipped_rows("calibration"))
    return MappingProxyType({row.name: row for row in found if isinstance(row, Prior)})


def _find(rows: Mapping[str, R], name: str) -> R:
    if name not in rows:
        raise CatalogError(
            f"catalogs/calibration: no row '{name}'", hint="restore the shipped calibration files"
        )
    return rows[name]
