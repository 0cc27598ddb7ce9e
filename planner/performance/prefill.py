"""Time to first token of one prompt over a llama.cpp layer split.

The prompt goes through in ubatches, which devices work on one behind the other. Layer:
performance. Calibrated coarsely: the band is a factor of about 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.catalog.schema import Gpu, Network
from planner.model.architecture import Architecture
from planner.model.weights import Weights
from planner.performance.calibration import Cases, Rates, prior_cases, rates_of, slow_down
from planner.performance.mixing import cache_read
from planner.performance.roofline import soft_maximum, weight_seconds
from planner.performance.traffic import Slot, Traffic, traffic_of
from planner.values import Range

Stage = tuple[Gpu, int, int]
"""A device with the slots [first, stop)."""

_CROSSINGS = 2
"""Times RPC moves activations from one machine to the next: to the head and on."""
_ACTIVATION_BYTES = 4
"""Activations between devices are single precision."""


def prefill_seconds(
    architecture: Architecture,
    weights: Weights,
    stages: Sequence[Stage],
    *,
    tokens: int,
    ubatch: int,
    networks: Sequence[Network | None],
    flash_attention: bool = True,
) -> Range:
    """Seconds until a prompt of `tokens` on an empty cache has given its first token.

    sum over stages (t + hop) + (ubatches - 1) * max over stages (t + hop), with t a stage's
    time for one ubatch; then the output is read once. The pessimist's stages take turns
    (ubatches * sum) where there is no measurement that they overlap: for a mixture of experts,
    devices without runs, and RPC.

    Args:
        architecture: the network.
        weights: its weights as stored.
        stages: device and slots of each, in order; slots are blocks, then the output.
        tokens: prompt length.
        ubatch: tokens per pass.
        networks: for each of the len(stages) - 1 boundaries, what joins the machines; None
            inside a machine.
        flash_attention: whether attention is one fused kernel.
    """
    traffic = traffic_of(architecture, weights)
    rates = [rates_of(gpu) for gpu, _, _ in stages]
    passes = -(-tokens // ubatch)
    size = tokens / passes
    hops = _hops(architecture, networks, size)
    overlap_seen = (
        not traffic.mixture and not any(networks) and all(rate.measured for rate in rates)
    )
    cases = []
    for case in range(3):
        times = [
            _stage_seconds(traffic, rate, stage, tokens, size, case, flash_attention) + hop[case]
            for rate, stage, hop in zip(rates, stages, hops, strict=True)
        ]
        if case == 0 and not overlap_seen:
            total = passes * sum(times)
        else:
            total = sum(times) + (passes - 1) * max(times)
        cases.append(total + weight_seconds(traffic.slots[-1].bytes_read(1), rates[-1]))
    return Range(low=cases[0], best=cases[1], high=cases[2])


def _hops(
    architecture: Architecture, networks: Sequence[Network | None], size: float
) -> list[Cases]:
    """Seconds per stage and ubatch beside its arithmetic: passing on what it made.

    The last stage hands its result to the host as over a local boundary; a single one has none.
    """
    if not networks:
        return [(0.0, 0.0, 0.0)]
    local, share = prior_cases("prefill-hop"), prior_cases("rpc-bandwidth")
    sent = _CROSSINGS * size * architecture.hidden * _ACTIVATION_BYTES
    hops = []
    for network in (*networks, None):
        if network is None:
            hops.append(local)
            continue
        link = network.bandwidth_per_direction
        low, best, high = (local[case] + sent / (link * share[case]) for case in range(3))
        hops.append((low, best, high))
    return hops


def _stage_seconds(
    traffic: Traffic,
    rates: Rates,
    stage: Stage,
    tokens: int,
    size: float,
    case: int,
    flash_attention: bool,
) -> float:
    """Seconds of one stage for one ubatch of `size` tokens, averaged over the prompt.

    Per slot the soft maximum of arithmetic and of reading the weights some token wants.
    """
    _, first, stop = stage
    dense = slow_down(rates.prefill_band, None)
    factor = (prior_cases("moe-prefill") if traffic.mixture else dense)[case]
    share = rates.prefill_attention
    if flash_attention:
        share = max(share, prior_cases("prefill-attention")[case])
    known: dict[Slot, float] = {}
    total = 0.0
    for slot in traffic.slots[first:stop]:
        if not slot.block:
            continue
        if slot not in known:
            middle = max(tokens // 2, 1)
            flops = sum(cache_read(mixer, middle, "f16").flops for mixer in slot.mixers)
            arithmetic = size * _token_seconds(slot, flops, rates, rates.compute[case], share)
            reading = weight_seconds(slot.bytes_read(round(size)), rates)
            known[slot] = soft_maximum(arithmetic, reading)
        total += known[slot]
    return total * factor


def _token_seconds(
    slot: Slot, attention_flops: float, rates: Rates, compute: float, attention_share: float
) -> float:
    """Arithmetic of one token: 2 FLOP per weight, and attention over half the prompt.

    Rate: compute * efficiency / (1 + saturation * compute / 100 TFLOP/s).
    """
    saturation, _, _ = prior_cases("prefill-saturation")
    elements = slot.float_elements + slot.quantized_elements
    quantized = slot.quantized_elements > slot.float_elements
    efficiency = rates.prefill_quantized if quantized else rates.prefill_float
    rate = compute * efficiency / (1 + saturation * compute / 1e14)
    return (2 * elements + attention_flops / attention_share) / rate
