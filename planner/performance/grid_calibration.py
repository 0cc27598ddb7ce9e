"""What a speed of vLLM or SGLang stands on, in one line. Layer: performance."""

from __future__ import annotations

from planner.model.architecture import Grouped, Layer
from planner.model.recurrent import GatedDelta
from planner.performance.collectives import is_measured as is_measured_link
from planner.performance.grid_case import GridCase
from planner.performance.grid_rates import is_measured, rates_of, serving_rate
from planner.quantization.checkpoint_formats import Microscaled, Plain, Scaled

_FORMATS = (Plain, Scaled, Microscaled)
"""Formats of the runs: 16 bits, FP8, NVFP4, MXFP4."""
_MIXERS = (Grouped, GatedDelta)
"""Mixers of the runs that count."""
_MIXER_NAMES = {"latent": "latent attention but GLM-5's"}


def calibration_of(case: GridCase) -> str:
    """What the time per token stands on; starts `uncalibrated:` where no runs are like it."""
    missing = unlike(case)
    if missing:
        rates = [rates_of(gpu, case.engine) for gpu, _ in case.stages]
        latent = any(layer.mixer and layer.mixer.kind == "latent" for layer in _layers(case))
        band = max(rate.latent_band if latent else rate.band for rate in rates)
        return f"uncalibrated: no runs with {' or '.join(missing)}; priors, +-{band:.0%} or more"
    row = serving_rate(case.stages[0][0])
    median = "" if row.decode_error_median is None else f"{row.decode_error_median:.0%} median, "
    return (
        f"{row.basis}; error on a model left out of the fit {median}{row.decode_error_p90:.0%} p90"
    )


def unlike(case: GridCase) -> tuple[str, ...]:
    """In what a case differs from all runs, a few words each."""
    grid, found = case.grid, []
    models = {gpu.name: gpu for gpu, _ in case.stages}
    found += [gpu.title for gpu in models.values() if not is_measured(gpu)]
    if case.ways.devices > case.gpus_per_machine:
        found.append("several machines")
    elif not is_measured_link(case.fabric, case.ways.stage):
        found.append("what links the devices")
    degrees = {
        "pipeline stages": grid.pipeline_parallel,
        "data parallelism": grid.data_parallel,
        "decode context parallelism": grid.decode_context_parallel,
    }
    found += [name for name, degree in degrees.items() if degree > 1]
    formats = [form for _, form in case.scheme.targets]
    formats += [rule.format for rule in case.scheme.rules if rule.format is not None]
    if not all(isinstance(form, _FORMATS) for form in formats):
        found.append(f"weights in {case.scheme.name}")
    mixers = [mixer for layer in _layers(case) for mixer in (layer.mixer, layer.beside) if mixer]
    kinds = {mixer.kind for mixer in mixers if not isinstance(mixer, _MIXERS)}
    found += [_MIXER_NAMES.get(kind, f"{kind} mixers") for kind in sorted(kinds)]
    return tuple(found)


def _layers(case: GridCase) -> tuple[Layer, ...]:
    return case.architecture.layers[: case.architecture.depth]
