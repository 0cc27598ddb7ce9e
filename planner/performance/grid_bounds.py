"""What no grid of a network can beat, for searches that must prove it. Layer: performance.

Every step reads each weight of one token at least once, somewhere, and spends the overheads of all
layers one after the other; both in the best case.
"""

from __future__ import annotations

from planner.catalog.schema import Gpu
from planner.engines.grid import Grid
from planner.model.architecture import Architecture
from planner.performance.calibration import prior_cases
from planner.performance.grid_case import GridCase, GridEngine
from planner.performance.grid_rates import rates_of
from planner.performance.grid_terms import layer_overhead
from planner.performance.grid_work import StageWork, work_of
from planner.quantization.scheme import Scheme


def single(architecture: Architecture, scheme: Scheme, engine: GridEngine, gpu: Gpu) -> GridCase:
    """The whole network on one device."""
    return GridCase(
        architecture=architecture,
        scheme=scheme,
        engine=engine,
        grid=Grid(),
        stages=((gpu, tuple(range(architecture.depth))),),
        fabric=None,
        network=None,
        gpus_per_machine=1,
    )


def least_read(case: GridCase) -> float:
    """Bytes of weights one token reads, all devices together; `case` is a `single` one."""
    (stage,) = work_of(case).stages
    layers = sum(
        count * (layer.attention.bytes + layer.dense.bytes + layer.share * layer.experts.bytes)
        for count, layer in stage.layers
    )
    return layers + stage.output.bytes


def least_overhead(case: GridCase) -> float:
    """Seconds of a step that no byte explains, on the device model of a `single` case."""
    (stage,) = work_of(case).stages
    rates = rates_of(case.stages[0][0], case.engine)
    return rates.step + rates.sequence + _layers(case, stage)


def _layers(case: GridCase, stage: StageWork) -> float:
    rates = rates_of(case.stages[0][0], case.engine)
    total = 0.0
    for count, layer in stage.layers:
        total += count * layer_overhead(layer, rates)
    return total


def least_exchange(case: GridCase) -> float:
    """Seconds of a step of a `single` case whose layers are exchanged between machines."""
    (stage,) = work_of(case).stages
    mixers = sum(count for count, layer in stage.layers if layer.mixer)
    networks = sum(count for count, layer in stage.layers if layer.network)
    mixtures = sum(count for count, layer in stage.layers if layer.used)
    times = min(mixers, networks, 2 * mixtures or mixers)
    return times * prior_cases("network-collective")[1]


def most_speed(gpu: Gpu, engine: GridEngine) -> float:
    """Bytes per second one device reads weights with at most."""
    rates = rates_of(gpu, engine)
    return max(rates.weights, *rates.experts)
