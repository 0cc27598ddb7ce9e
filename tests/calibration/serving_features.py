"""What the measured runs read, compute and exchange, as arrays a fit goes through fast.

Every figure comes from the planner's own bytes, FLOP and collectives; `serving_model` puts them
together as `planner.performance.grid_terms` does, and a test holds the two together.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from planner.performance.calibration import prior_cases
from planner.performance.collectives import all_reduce
from planner.performance.grid_exchange import ACTIVATION_BYTES, span_of
from planner.performance.grid_rates import OTHER, serving_rate
from planner.performance.grid_work import LayerWork, Matrices, work_of
from tests.reality.serving_runs import Run, runs

Array = np.ndarray
KINDS = ("attention", "dense", "experts")
UNITS = ("half", "float8", "float4")
ENGINES = ("vllm", "sglang", "trtllm")
CLASSES = ("hopper", "blackwell")


@dataclass(frozen=True)
class Features:
    """One entry per run, or per kind of layer of a run (`owner` says of which)."""

    owner: Array
    layers: dict[str, Array]
    runs: dict[str, Array]

    def of_runs(self, values: Array) -> Array:
        """Sums over the kinds of layers of each run."""
        return np.bincount(self.owner, values, minlength=len(self.runs["users"]))


@functools.cache
def features() -> Features:
    """Of all runs, in the order of the table."""
    owner, layers = [], []
    for index, run in enumerate(runs()):
        (stage,) = work_of(run.case).stages
        for count, layer in stage.layers:
            owner.append(index)
            layers.append({"count": float(count), **_layer(run, layer)})
    return Features(np.array(owner), _columns(layers), _columns([_run(run) for run in runs()]))


def _columns(rows: list[dict[str, float]]) -> dict[str, Array]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _matrices(name: str, matrices: Matrices) -> dict[str, float]:
    found = {f"{name} {unit}": getattr(matrices, unit) for unit in UNITS}
    return {f"{name} bytes": matrices.bytes, **found}


def _layer(run: Run, layer: LayerWork) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in KINDS:
        found |= _matrices(name, getattr(layer, name))
    ways = run.case.ways.attention
    weights = layer.experts.half + layer.experts.float8 + layer.experts.float4
    width = layer.experts.bytes / weights if weights else 0.0
    return found | {
        "width": 0.0 if width > 1.5 else 1.0 if width > 0.75 else 2.0,
        "share": layer.share,
        "used": float(layer.used),
        "latent": float(layer.latent),
        "indexed": float(layer.indexed),
        "state": float(layer.state),
        "cache bytes": sum(cache.bytes(run.depth, 1) for cache in layer.caches),
        "cache flops": sum(cache.flops(run.depth, ways) for cache in layer.caches),
        "prompt flops": sum(c.prompt_flops(run.input_tokens, ways) for c in layer.caches),
    }


def _run(run: Run) -> dict[str, float]:
    case = run.case
    (stage,) = work_of(case).stages
    gpu = case.stages[0][0]
    replicas = case.grid.data_parallel
    half, float8 = float(gpu.dense_fp16 or 0), float(gpu.dense_fp8 or 0)
    name = serving_rate(gpu).name
    kind = CLASSES.index(name) if name != OTHER else -1
    tokens = float(-(-run.users // replicas))
    return _matrices("output", stage.output) | {
        "users": float(run.users),
        "tokens": tokens,
        "replicas": float(replicas),
        "shared": float(case.ways.shared_network),
        "experts ranks": float(case.ways.experts),
        "input": float(run.input_tokens),
        "output": float(run.output_tokens),
        "engine": float(ENGINES.index(case.engine)),
        "class": float(kind),
        "bandwidth": float(gpu.memory_bandwidth),
        "half": half,
        "float8": float8,
        "float4": half if kind == 0 else 2 * float8,
        "exchanged": _exchanged(run, tokens, run.users),
        "exchanged prompt": _exchanged(run, run.input_tokens, run.input_tokens * replicas),
    }


def _exchanged(run: Run, tokens: float, everyone: float) -> float:
    """Seconds of all all-reduces of a pass, as measured alone."""
    case = run.case
    (stage,) = work_of(case).stages
    joined, hidden = case.joined, case.architecture.hidden
    mixers = sum(count for count, layer in stage.layers if layer.mixer)
    networks = sum(count for count, layer in stage.layers if layer.network)
    alone, total = prior_cases("all-reduce-in-step")[1], 0.0
    if case.ways.attention > 1:
        times = mixers if case.ways.shared_network else mixers + networks
        size = tokens * hidden * ACTIVATION_BYTES
        total += times * all_reduce(joined, span_of(case, case.ways, case.ways.attention), size)[1]
    if case.ways.shared_network:
        size = everyone * hidden * ACTIVATION_BYTES
        total += networks * all_reduce(joined, span_of(case, case.ways, case.ways.stage), size)[1]
    return total / alone
