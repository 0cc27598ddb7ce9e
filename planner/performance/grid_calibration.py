"""What a speed of vLLM or SGLang stands on, in one line, and the band that follows from it.

Layer: performance.
"""

from __future__ import annotations

from planner.model.architecture import Architecture, Grouped
from planner.model.recurrent import GatedDelta
from planner.performance.calibration import prior_cases
from planner.performance.collectives import is_measured as is_measured_link
from planner.performance.grid_case import GridCase
from planner.performance.grid_rates import Rates, is_measured, rates_of, serving_rate
from planner.performance.grid_work import StageWork
from planner.quantization.checkpoint_formats import Microscaled, Plain, Scaled
from planner.quantization.scheme import Scheme

_FORMATS = (Plain, Scaled, Microscaled)
"""Formats of the runs: 16 bits, FP8, NVFP4, MXFP4."""
_MIXERS = (Grouped, GatedDelta)
"""Mixers of the runs that count."""
_MIXER_NAMES = {"latent": "latent attention but GLM-5's"}
_REMEMBERED = 512
_networks: dict[tuple[int, int], tuple[Architecture, Scheme, tuple[str, ...]]] = {}


def calibration_of(case: GridCase) -> str:
    """What the time per token stands on; starts `uncalibrated:` where no runs are like it."""
    missing = unlike(case)
    mixture = case.architecture.has_experts
    if missing:
        rates = [rates_of(gpu, case.engine) for gpu, _ in case.stages]
        band = max(rate.mixture_band if mixture else rate.dense_band for rate in rates)
        factor = (1 + band) * widening(case)
        reasons = " or ".join(missing)
        return f"uncalibrated: no runs with {reasons}; a factor of {factor:.1f} or more"
    row = serving_rate(case.stages[0][0])
    median = "" if row.decode_error_median is None else f"{row.decode_error_median:.0%} median, "
    band = row.mixture_band if mixture else row.dense_band
    error = f"error on a model left out of the fit {median}{row.decode_error_p90:.0%} p90"
    return f"{row.basis}; {error}; a factor of {1 + band:.2f} either way"


def band_of(rates: Rates, work: StageWork) -> float:
    """Factor of the low case on the best one, and of the best on the high one, in a stage."""
    mixture = any(layer.used for _, layer in work.layers)
    return 1 + (rates.mixture_band if mixture else rates.dense_band)


def unlike(case: GridCase) -> tuple[str, ...]:
    """In what a case differs from all runs, a few words each."""
    models = {gpu.name: gpu for gpu, _ in case.stages}
    found = [gpu.title for gpu in models.values() if not is_measured(gpu)]
    return (*found, *_unlike_grid(case), *_unlike_network(case.architecture, case.scheme))


def widening(case: GridCase) -> float:
    """Factor on `band_of` of a case unlike the runs in more than its devices."""
    if _unlike_grid(case) or _unlike_network(case.architecture, case.scheme):
        return prior_cases("outside-runs")[0]
    return 1.0


def _unlike_grid(case: GridCase) -> tuple[str, ...]:
    grid, found = case.grid, []
    ways = case.ways
    if ways.devices > case.gpus_together:
        found.append("several machines")
    elif not is_measured_link(case.joined, ways.stage):
        found.append("what links the devices")
    if grid.pipeline_parallel > 1:
        found.append("pipeline stages")
    if grid.data_parallel > 1:
        found.append("data parallelism")
    if grid.decode_context_parallel > 1:
        found.append("decode context parallelism")
    return tuple(found)


def _unlike_network(architecture: Architecture, scheme: Scheme) -> tuple[str, ...]:
    key = (id(architecture), id(scheme))
    found = _networks.get(key)
    if found is None:
        if len(_networks) >= _REMEMBERED:
            _networks.clear()
        missing = (*_formats(scheme), *_mixers(architecture))
        found = _networks[key] = (architecture, scheme, missing)
    return found[2]


def _formats(scheme: Scheme) -> tuple[str, ...]:
    formats = [form for _, form in scheme.targets]
    formats += [rule.format for rule in scheme.rules if rule.format is not None]
    known = all(isinstance(form, _FORMATS) for form in formats)
    return () if known else (f"weights in {scheme.name}",)


def _mixers(architecture: Architecture) -> tuple[str, ...]:
    layers = architecture.layers[: architecture.depth]
    mixers = [mixer for layer in layers for mixer in (layer.mixer, layer.beside) if mixer]
    kinds = {mixer.kind for mixer in mixers if not isinstance(mixer, _MIXERS)}
    return tuple(_MIXER_NAMES.get(kind, f"{kind} mixers") for kind in sorted(kinds))
