"""Seconds one decoded token spends in each slot of a llama.cpp layer split.

weights / (bandwidth * efficiency) + overhead per layer, and reading the cache, soft-maxed with
attention's arithmetic. One sequence at a time: with more users the same seconds are shared, so
each of N users gets 1/N of the tokens per second. Layer: performance.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from planner.catalog.schema import Gpu, Network
from planner.model.architecture import Architecture, Grouped, Mixer
from planner.model.weights import Weights
from planner.performance.calibration import (
    Cases,
    Rates,
    mixture_prior,
    prior,
    prior_cases,
    rates_of,
    slow_down,
)
from planner.performance.mixing import cache_read
from planner.performance.traffic import Slot, Traffic, traffic_of
from planner.values import Range

NOTHING: Cases = (0.0, 0.0, 0.0)


def slot_seconds(
    architecture: Architecture, weights: Weights, gpu: Gpu, *, depth: int, kv_type: str
) -> tuple[Range, ...]:
    """Seconds one token of one sequence spends in each slot, `depth` tokens being cached.

    Slots are the blocks in order, MTP blocks being 0, and last the output. `low` is the
    pessimist's, so the longest.
    """
    times = slot_times(architecture, weights, gpu, depth=depth, kv_type=kv_type)
    ranges = {time: Range(low=time[0], best=time[1], high=time[2]) for time in set(times)}
    return tuple(ranges[time] for time in times)


def slot_times(
    architecture: Architecture, weights: Weights, gpu: Gpu, *, depth: int, kv_type: str
) -> tuple[Cases, ...]:
    """`slot_seconds` as plain (low, best, high) tuples."""
    return _slot_times(traffic_of(architecture, weights), rates_of(gpu), depth, kv_type)


def local_hop() -> Range:
    """Seconds of one pipeline hop between two devices of a machine, decode."""
    return prior("local-hop")


def network_hop(network: Network) -> Range:
    """Seconds of one pipeline hop between two machines with llama.cpp RPC, decode."""
    return Range(low=network.hop_low, best=network.hop_best, high=network.hop_high)


def decode_factors(traffic: Traffic, rates: Rates) -> Cases:
    """Factors on the dense best case: the class's band, and the prior of a mixture of experts."""
    mixture = prior_cases(mixture_prior(latent=traffic.latent)) if traffic.mixture else None
    return slow_down(rates.decode_band, mixture)


@functools.lru_cache(maxsize=4096)
def _slot_times(traffic: Traffic, rates: Rates, depth: int, kv_type: str) -> tuple[Cases, ...]:
    factors = decode_factors(traffic, rates)
    known: dict[Slot, Cases] = {}
    times = []
    for slot in traffic.slots:
        time = known.get(slot)
        if time is None:
            time = known[slot] = _slot_time(slot, rates, factors, depth, kv_type)
        times.append(time)
    return tuple(times)


def _slot_time(slot: Slot, rates: Rates, factors: Cases, depth: int, kv_type: str) -> Cases:
    parts = slot_parts(slot, rates, factors, depth, kv_type)
    low, best, high = (sum(part[case] for part in parts) for case in range(3))
    return low, best, high


class SlotParts(NamedTuple):
    """One token's seconds in one slot, by what they go into."""

    weights: Cases
    overhead: Cases
    cache: Cases


def slot_parts(slot: Slot, rates: Rates, factors: Cases, depth: int, kv_type: str) -> SlotParts:
    """Reading weights and the overhead of a layer, each times the slow-down; and the cache."""
    weights = weight_seconds(slot.bytes_read(1), rates)
    scaled = _scaled(weights, factors)
    if not slot.block:
        return SlotParts(scaled, NOTHING, NOTHING)
    reads = [_cache_seconds(mixer, rates, depth, kv_type) for mixer in slot.mixers]
    low, best, high = (sum(read[case] for read in reads) for case in range(3))
    return SlotParts(scaled, _scaled(rates.layer_overhead, factors), (low, best, high))


def _scaled(seconds: float, factors: Cases) -> Cases:
    low, best, high = factors
    return seconds * low, seconds * best, seconds * high


def weight_seconds(sizes: tuple[float, float], rates: Rates) -> float:
    """Seconds to read `sizes` bytes of float and quantized weights, dense network, best case."""
    float_bytes, quantized_bytes = sizes
    by_type = float_bytes / rates.float_efficiency + quantized_bytes / rates.quantized_efficiency
    return by_type / rates.bandwidth


def _cache_seconds(mixer: Mixer, rates: Rates, depth: int, kv_type: str) -> Cases:
    """Per case, the soft maximum of moving the cache or state and of the mixer's arithmetic.

    Moving: the class's fitted efficiency within its band for grouped attention, else the prior, as
    for classes without runs.
    """
    size, flops = cache_read(mixer, depth, kv_type)
    fitted, band = rates.kv_efficiency, 1 + rates.decode_band
    shares = prior_cases("kv-read")
    if fitted is not None and isinstance(mixer, Grouped):
        shares = (fitted / band, fitted, fitted * band)
    compute = prior_cases("attention-compute")
    low, best, high = (
        soft_maximum(
            size / (rates.bandwidth * shares[case]), flops / (rates.compute[case] * compute[case])
        )
        for case in range(3)
    )
    return low, best, high


def soft_maximum(first: float, second: float) -> float:
    """(first^4 + second^4)^(1/4): two resources that overlap almost fully."""
    return float((first**4 + second**4) ** 0.25)
