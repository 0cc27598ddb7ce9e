"""Seconds one forward pass spends in one stage of a grid, by what they go into.

Layer: performance. A pass over `sequences` sequences of every replica of attention: weights, each
the soft maximum of reading them and of multiplying with them; the cache, likewise; exchanges
between ranks; overheads no byte explains. Source of the formulas: docs/speed.md.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from planner.performance.calibration import Cases
from planner.performance.collectives import NOTHING, Joined, Span, all_reduce, exchange
from planner.performance.grid_case import GridCase, Ways
from planner.performance.grid_rates import Rates, rates_of
from planner.performance.grid_work import LayerWork, Matrices, StageWork
from planner.performance.roofline import soft_maximum

ACTIVATION_BYTES = 2
_SENT_BYTES = 1.5
"""Per channel of an exchange of tokens: 8 bits on the way there, 16 on the way back, on average."""
_CACHE_COMPUTE = 0.5
"""Of the matrices' rate, in attention over the cache."""
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
"""What a pass goes into, in the order of `StageTimes`."""

Times = tuple[Cases, ...]
"""One entry per term."""


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


def stage_times(case: GridCase, number: int, work: StageWork, run: Pass) -> Times:
    """Seconds of each term in one stage."""
    rates = rates_of(case.stages[number][0], case.engine)
    ways = case.ways
    reads = run.kind != "work"
    attention = dense = experts = cache = layers = output = step = 0.0
    network_tokens = run.everyone if ways.shared_network else run.tokens
    for count, layer in work.layers:
        attention += count * _seconds(layer.attention, run.tokens, rates, reads)
        dense += count * _seconds(layer.dense, network_tokens, rates, reads)
        cache += count * _cache_seconds(case, layer, run, rates)
        layers += count * (rates.layer + (rates.latent if layer.latent else 0.0))
        if layer.used:
            experts += count * _expert_seconds(layer, ways, run.everyone, rates, reads)
            layers += count * rates.mixture
    if work.output.bytes:
        asked = run.tokens if run.kind == "decode" else run.sequences
        output = _seconds(work.output, asked, rates, reads)
        step = rates.step + rates.sequence * run.sequences
    slower = 1.0
    if run.kind == "decode":
        latent = any(layer.latent for _, layer in work.layers)
        slower += rates.latent_band if latent else rates.band
    reduced, exchanged = (
        (low * slower, best, high / slower)
        for low, best, high in _communication(case, ways, work, run)
    )
    if not reads:
        layers = step = 0.0
    before = [(x * slower, x, x / slower) for x in (attention, dense, experts, cache)]
    after = [(x * slower, x, x / slower) for x in (output, layers, step)]
    return (*before, reduced, exchanged, *after)


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
    variance v it has about m + sqrt(2 * v * ln n).
    """
    held, share = layer.experts, layer.share
    compute = held.half / rates.half + held.float8 / rates.float8 + held.float4 / rates.float4
    compute *= 2 * tokens * share / rates.expert_matrices
    wanted = 1 - (1 - share) ** (1 + max(0.0, tokens - 1) * rates.spread)
    if ways.experts > 1:
        spread = 2 * math.log(ways.experts)
        own = layer.used / share / ways.experts
        compute *= 1 + math.sqrt(spread / (tokens * share * own))
        wanted = min(1.0, wanted + math.sqrt(spread * wanted * (1 - wanted) / own))
    return soft_maximum(held.bytes * wanted / rates.experts, compute) if reads else compute


def _cache_seconds(case: GridCase, layer: LayerWork, run: Pass, rates: Rates) -> float:
    ways, total = case.ways.attention, 0.0
    context_ways = case.grid.decode_context_parallel
    for cache in layer.caches:
        if run.kind == "decode":
            size = run.sequences * cache.bytes(run.depth, context_ways) / rates.cache
            flops = run.sequences * cache.flops(run.depth, ways)
            total += soft_maximum(size, flops / (rates.half * _CACHE_COMPUTE))
        else:
            flops = run.tokens * cache.prompt_flops(run.depth, ways)
            total += flops / (rates.half * _PROMPT_COMPUTE)
    return total


def _communication(case: GridCase, ways: Ways, work: StageWork, run: Pass) -> tuple[Cases, Cases]:
    """All-reduces within replicas, and what replicas send each other for their networks.

    vLLM: tokens to the ranks of their experts and back. SGLang: all tokens to all ranks of the
    stage and sums back, which is an all-reduce's traffic. Decode context parallelism: queries to
    all its ranks and results back, likewise.
    """
    hidden = case.architecture.hidden
    joined = Joined(case.fabric, case.network)
    mixers = sum(count for count, layer in work.layers if layer.mixer)
    networks = sum(count for count, layer in work.layers if layer.network)
    mixtures = sum(count for count, layer in work.layers if layer.used)
    reduced = exchanged = NOTHING
    if ways.attention > 1:
        times = mixers if ways.shared_network else mixers + networks
        times += mixers if case.grid.decode_context_parallel > 1 else 0
        span = span_of(case, ways.attention)
        once = all_reduce(joined, span, run.tokens * hidden * ACTIVATION_BYTES)
        reduced = _repeated(once, times)
    if ways.shared_network:
        span = span_of(case, ways.stage)
        once = all_reduce(joined, span, run.everyone * hidden * ACTIVATION_BYTES)
        exchanged = _repeated(once, networks)
    elif case.grid.data_parallel > 1 and mixtures:
        used = max(layer.used for _, layer in work.layers)
        ranks = ways.experts
        copies = min(used, ranks) if ranks > 1 else case.grid.data_parallel
        once = exchange(
            joined, span_of(case, ways.stage), run.tokens * copies * hidden * _SENT_BYTES
        )
        exchanged = _repeated(once, 2 * mixtures)
    return reduced, exchanged


def _repeated(once: Cases, times: int) -> Cases:
    return once[0] * times, once[1] * times, once[2] * times


def span_of(case: GridCase, ranks: int) -> Span:
    """How a group of `ranks` neighbouring ranks lies on the machines."""
    each = case.gpus_per_machine
    if case.ways.devices <= each or (ranks <= each and each % ranks == 0):
        return Span(ranks, 1)
    machines = max(2, -(-ranks // each))
    return Span(-(-ranks // machines), machines)
