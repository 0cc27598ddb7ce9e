"""Which rates hold for a device under vLLM or SGLang: rows of `catalogs/calibration`.

Layer: performance; everything here is data, no formula.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from planner.catalog.load import shipped_rows
from planner.catalog.schema import Gpu, ServingEngine, ServingRate
from planner.performance.calibration import prior_cases

OTHER = "other-serving"
_HBM = ("HBM2", "HBM2e", "HBM3", "HBM3e", "HBM4")
_FP4_CAPABILITY = 10.0
"""CUDA compute capability from which there are units for 4-bit floats."""


class Rates(NamedTuple):
    """What the formulas need of one device model under one engine: bytes/s, FLOP/s, seconds."""

    weights: float
    experts: tuple[float, float, float]
    """In 16, 8 and 4 bits."""
    cache: float
    half: float
    float8: float
    float4: float
    expert_matrices: float
    """Of the compute rates, in routed experts."""
    spread: float
    imbalance: float
    layer: float
    mixture: float
    latent: float
    indexer: float
    state: float
    step: float
    sequence: float
    all_reduce: float
    prompts: float
    dense_band: float
    """Relative error that the low and high cases allow for."""
    mixture_band: float
    """The same with routed experts."""
    first_token: float
    measured: bool


_rates: dict[tuple[int, str], tuple[Gpu, Rates]] = {}


def rates_of(gpu: Gpu, engine: str) -> Rates:
    """The rates of a device model; remembered by its identity."""
    key = (id(gpu), engine)
    found = _rates.get(key)
    if found is None:
        found = _rates[key] = (gpu, _resolved(gpu, engine))
    return found[1]


def serving_rate(gpu: Gpu) -> ServingRate:
    """The row a device is estimated with, by its generation if it has HBM."""
    rows = _rows()
    if gpu.memory_kind in _HBM and gpu.family == "cuda":
        for row in rows.values():
            if gpu.architecture in row.architectures:
                return row
    return rows[OTHER]


def is_measured(gpu: Gpu) -> bool:
    """Whether runs on this very model stand behind its row."""
    return gpu.name in serving_rate(gpu).measured_on


def _resolved(gpu: Gpu, engine: str) -> Rates:
    row, costs = serving_rate(gpu), _engines()[engine]
    unmeasured = _rows()[OTHER]
    bandwidth = float(gpu.memory_bandwidth)
    half = gpu.dense_fp16 or prior_cases("compute-per-byte")[1] * bandwidth
    has_float4 = gpu.family == "cuda" and float(gpu.compute_capability or 0) >= _FP4_CAPABILITY
    float8, float4 = row.half * half, row.float4 * half
    if gpu.dense_fp8 is not None:
        float8 = row.float8 * gpu.dense_fp8
        if has_float4:
            float4 = row.float4 * 2 * gpu.dense_fp8
    measured = is_measured(gpu)
    return Rates(
        weights=row.weights * bandwidth,
        experts=(
            row.experts * bandwidth,
            row.experts_float8 * bandwidth,
            row.experts_float4 * bandwidth,
        ),
        cache=row.cache * bandwidth,
        half=row.half * half,
        float8=float8,
        float4=float4,
        expert_matrices=prior_cases("expert-matrices")[1],
        spread=prior_cases("expert-spread")[1],
        imbalance=prior_cases("expert-imbalance")[1],
        layer=row.layer_overhead * costs.layer_factor,
        mixture=costs.mixture_overhead,
        latent=costs.latent_overhead,
        indexer=costs.indexer_overhead,
        state=costs.state_overhead,
        step=costs.step_overhead,
        sequence=costs.sequence_overhead,
        all_reduce=costs.all_reduce,
        prompts=costs.prompts,
        dense_band=row.dense_band if measured else unmeasured.dense_band,
        mixture_band=row.mixture_band if measured else unmeasured.mixture_band,
        first_token=costs.first_token,
        measured=measured,
    )


@functools.cache
def _rows() -> Mapping[str, ServingRate]:
    rows = (row for _, row in shipped_rows("calibration") if isinstance(row, ServingRate))
    return MappingProxyType({row.name: row for row in rows})


@functools.cache
def _engines() -> Mapping[str, ServingEngine]:
    rows = (row for _, row in shipped_rows("calibration") if isinstance(row, ServingEngine))
    return MappingProxyType({row.name: row for row in rows})
