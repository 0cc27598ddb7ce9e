"""Seconds one forward pass spends in one stage of a grid, by what they go into.

Layer: performance. A pass over `sequences` sequences of every replica of attention: weights, each
the soft maximum of reading them and of multiplying with them; the cache, likewise; exchanges
between ranks; overheads no byte explains. Source of the formulas: docs/speed.md.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from planner.catalog.schema import Gpu
from planner.performance.calibration import Cases
from planner.performance.grid_calibration import band_of, widening
from planner.performance.grid_case import GridCase, Ways
from planner.performance.grid_exchange import Exchanges, exchanges, of_stage
from planner.performance.grid_rates import Rates, rates_of
from planner.performance.grid_work import LayerWork, Matrices, StageWork, work_of
from planner.performance.roofline import soft_maximum

_CACHE_COMPUTE = 0.5
"""Of the matrices' rate, in attention over the cache."""
_LATENT_COMPUTE = 0.8
"""The same over latents: 660 of 989 TFLOP/s on H800 (deepseek-ai/FlashMLA, README)."""
_WIDE, _NARROW = 1.5, 0.75
"""Bytes per weight above which a format counts as one of 16 bits, and of 8."""
_PROMPT_COMPUTE = 0.6
"""Of the matrices' rate, in attention within a prompt."""

TERMS = (
    "attention weights",
    "dense weights",
    "routed experts",
    "cache read",
    "all-reduce",
    "exchange between replicas",
    "output layer",
    "overhead per layer",
    "overhead per step",
)
"""What a pass goes into, in the order of `Times`."""

Times = tuple[Cases, ...]
"""One entry per term."""


class LayerTimes(NamedTuple):
    """Seconds of one layer."""

    attention: float
    dense: float
    experts: float
    cache: float
    overhead: float


class Pass(NamedTuple):
    """What is passed through the stages at once."""

    kind: Literal["decode", "prompt", "work"]
    """`work` is a prompt's arithmetic and exchanges alone: what it adds to a step that reads the
    weights anyway."""
    tokens: float
    """Of one replica of attention: one per sequence in decoding."""
    everyone: float
    """Tokens of all replicas together."""
    sequences: float
    """Of one replica."""
    depth: int
    """Tokens cached of each sequence, or of the whole prompt."""


def pass_times(case: GridCase, run: Pass) -> list[Times]:
    """Seconds of each term in every stage; layers and stages alike are asked once."""
    stages = work_of(case).stages
    used = max([layer.used for stage in stages for _, layer in stage.layers], default=0)
    ways = case.ways
    once = exchanges(case, ways, run.tokens, run.everyone, used)
    wider = 0.0 if run.kind == "prompt" else widening(case)
    layers: dict[tuple[int, int], LayerTimes] = {}
    known: dict[tuple[int, int], Times] = {}
    found = []
    for (gpu, _), stage in zip(case.stages, stages, strict=True):
        key = id(gpu), id(stage)
        if key not in known:
            slower = wider * band_of(rates_of(gpu, case.engine), stage) if wider else 1.0
            known[key] = _stage_times(case, ways, gpu, stage, run, once, layers, slower)
        found.append(known[key])
    return found


def _stage_times(
    case: GridCase,
    ways: Ways,
    gpu: Gpu,
    work: StageWork,
    run: Pass,
    once: Exchanges,
    known: dict[tuple[int, int], LayerTimes],
    slower: float,
) -> Times:
    rates = rates_of(gpu, case.engine)
    reads = run.kind != "work"
    attention = dense = experts = cache = layers = output = step = 0.0
    for count, layer in work.layers:
        key = id(gpu), id(layer)
        times = known.get(key)
        if times is None:
            times = known[key] = _layer_times(case, ways, layer, run, rates)
        attention += count * times.attention
        dense += count * times.dense
        experts += count * times.experts
        cache += count * times.cache
        layers += count * times.overhead
    if work.output.bytes:
        asked = run.tokens if run.kind == "decode" else run.sequences
        output = _seconds(work.output, asked, rates, reads)
        step = rates.step + rates.sequence * run.sequences if reads else 0.0
    reduced, exchanged = (
        (max(low, best * slower), best, high if high < best else best / slower)
        for low, best, high in of_stage(once, case, ways, work, rates.all_reduce)
    )
    before = [(x * slower, x, x / slower) for x in (attention, dense, experts, cache)]
    after = [(x * slower, x, x / slower) for x in (output, layers, step)]
    return (*before, reduced, exchanged, *after)


def _layer_times(
    case: GridCase, ways: Ways, layer: LayerWork, run: Pass, rates: Rates
) -> LayerTimes:
    reads = run.kind != "work"
    network_tokens = run.everyone if ways.shared_network else run.tokens
    return LayerTimes(
        attention=_seconds(layer.attention, run.tokens, rates, reads),
        dense=_seconds(layer.dense, network_tokens, rates, reads),
        experts=_expert_seconds(layer, ways, run.everyone, rates, reads) if layer.used else 0.0,
        cache=_cache_seconds(case, ways, layer, run, rates),
        overhead=layer_overhead(layer, rates) if reads else 0.0,
    )


def layer_overhead(layer: LayerWork, rates: Rates) -> float:
    """Seconds a layer takes in every step that no byte explains."""
    seconds = rates.layer
    if layer.used:
        seconds += rates.mixture
    if layer.latent:
        seconds += rates.latent
    if layer.indexed:
        seconds += rates.indexer
    if layer.state:
        seconds += rates.state
    return seconds


def _seconds(matrices: Matrices, tokens: float, rates: Rates, reads: bool) -> float:
    """Soft maximum of bytes / rate of reading and 2 * tokens * weights / rate of the units."""
    flops = matrices.half / rates.half
    flops += matrices.float8 / rates.float8 + matrices.float4 / rates.float4
    compute = 2 * tokens * flops
    return soft_maximum(matrices.bytes / rates.weights, compute) if reads else compute


def _expert_seconds(
    layer: LayerWork, ways: Ways, tokens: float, rates: Rates, reads: bool
) -> float:
    """Experts that at least one token wants are read, all choices of all tokens computed.

    Where experts are dealt out, the busiest rank counts: of n independent sums with mean m and
    variance v it has about m + sqrt(2 * v * ln n), of which the fitted imbalance is a share.
    """
    held, share = layer.experts, layer.share
    compute = held.half / rates.half + held.float8 / rates.float8 + held.float4 / rates.float4
    compute *= 2 * tokens * share / rates.expert_matrices
    wanted = 1 - (1 - share) ** (1 + max(0.0, tokens - 1) * rates.spread)
    if ways.experts > 1:
        spread = 2 * math.log(ways.experts)
        own = layer.used / share / ways.experts
        compute *= 1 + rates.imbalance * math.sqrt(spread / (tokens * share * own))
        more = rates.imbalance * math.sqrt(spread * wanted * (1 - wanted) / own)
        wanted = min(1.0, wanted + more)
    if not reads:
        return compute
    return soft_maximum(held.bytes * wanted / _expert_rate(held, rates), compute)


def _expert_rate(held: Matrices, rates: Rates) -> float:
    """Bytes per second, by the width of the format."""
    width = held.bytes / (held.half + held.float8 + held.float4)
    return rates.experts[0 if width > _WIDE else 1 if width > _NARROW else 2]


def _cache_seconds(case: GridCase, ways: Ways, layer: LayerWork, run: Pass, rates: Rates) -> float:
    total, context_ways = 0.0, case.grid.decode_context_parallel
    for cache in layer.caches:
        if run.kind == "decode":
            size = run.sequences * cache.bytes(run.depth, context_ways) / rates.cache
            flops = run.sequences * cache.flops(run.depth, ways.attention)
            share = _LATENT_COMPUTE if layer.latent else _CACHE_COMPUTE
            total += soft_maximum(size, flops / (rates.half * share))
        else:
            flops = run.tokens * cache.prompt_flops(run.depth, ways.attention)
            total += flops / (rates.half * _PROMPT_COMPUTE)
    return total
