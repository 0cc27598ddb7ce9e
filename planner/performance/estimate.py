"""The speed of a whole llama.cpp layer split: `planner.plan.Performance` with its terms.

Layer: performance. Sums slots and hops; with several users the single-stream speed is shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from planner.catalog.schema import Network
from planner.model.architecture import Architecture
from planner.model.weights import Weights
from planner.performance.calibration import Cases, calibration_of, rates_of
from planner.performance.prefill import Stage, prefill_seconds
from planner.performance.roofline import decode_factors, local_hop, network_hop, slot_parts
from planner.performance.traffic import traffic_of
from planner.plan import Performance, Prefill, Term
from planner.values import Range

USABLE_SECONDS = 60.0
"""Longest wait for a first token that still counts as usable (the optimist's)."""


def performance_of(
    architecture: Architecture,
    weights: Weights,
    stages: Sequence[Stage],
    networks: Sequence[Network | None],
    *,
    depth: int,
    input_tokens: int,
    kv_type: str,
    ubatch: int,
    users: int = 1,
) -> Performance:
    """Speed with `depth` tokens in the cache of each of `users` sequences.

    One token takes the sum of all slots and hops. Users take turns, so each gets 1/users of the
    tokens, and the total does not grow.

    Args:
        architecture: the network.
        weights: its weights as stored.
        stages: device and slots of each, in order.
        networks: what joins each pair of neighbours; None inside a machine.
        depth: tokens cached per sequence.
        input_tokens: prompt whose time to first token is given.
        kv_type: type of the K and V cache.
        ubatch: tokens per prefill pass.
        users: simultaneous sequences.
    """
    terms = _terms(architecture, weights, stages, networks, depth=depth, kv_type=kv_type)
    single = total(term.seconds for term in terms)
    ttft = prefill_seconds(
        architecture, weights, stages, tokens=input_tokens, ubatch=ubatch, networks=networks
    )
    return Performance(
        depth=depth,
        ttft=ttft,
        tpot=single.scaled(users),
        tokens_per_second=single.inverted(),
        tokens_per_second_per_user=single.scaled(users).inverted(),
        terms=terms,
        calibration=calibration_of_all(architecture, stages),
    )


def prefill_of(
    architecture: Architecture,
    weights: Weights,
    stages: Sequence[Stage],
    networks: Sequence[Network | None],
    *,
    tokens: int,
    ubatch: int,
) -> Prefill:
    """Time to first token of a prompt of `tokens`, and whether anyone would wait for it."""
    ttft = prefill_seconds(
        architecture, weights, stages, tokens=tokens, ubatch=ubatch, networks=networks
    )
    return Prefill(tokens=tokens, ttft=ttft, usable=ttft.high <= USABLE_SECONDS)


def _terms(
    architecture: Architecture,
    weights: Weights,
    stages: Sequence[Stage],
    networks: Sequence[Network | None],
    *,
    depth: int,
    kv_type: str,
) -> tuple[Term, ...]:
    """What one token's time goes into, hops included only where there are any."""
    traffic = traffic_of(architecture, weights)
    read: list[Cases] = []
    output: list[Cases] = []
    overhead: list[Cases] = []
    cache: list[Cases] = []
    for gpu, first, stop in stages:
        rates = rates_of(gpu)
        factors = decode_factors(traffic, rates)
        for number in range(first, stop):
            parts = slot_parts(traffic.slots[number], rates, factors, depth, kv_type)
            is_output = number == len(traffic.slots) - 1
            (output if is_output else read).append(parts.weights)
            overhead.append(parts.overhead)
            cache.append(parts.cache)
    named = [
        ("weights read", _sum(read)),
        ("output layer", _sum(output)),
        ("cache read", _sum(cache)),
        ("overhead per layer", _sum(overhead)),
    ]
    local = [local_hop() for network in networks if network is None]
    remote = [network_hop(network) for network in networks if network is not None]
    named += [("hops inside machines", total(local))] if local else []
    named += [("hops over the network", total(remote))] if remote else []
    return tuple(Term(name=name, seconds=seconds) for name, seconds in named)


def calibration_of_all(architecture: Architecture, stages: Sequence[Stage]) -> str:
    """`calibration_of` each device model once; `uncalibrated` where any is."""
    texts = sorted({calibration_of(architecture, gpu) for gpu, _, _ in stages})
    texts.sort(key=lambda text: not text.startswith("uncalibrated"))
    return "; ".join(texts)


def total(ranges: Iterable[Range]) -> Range:
    """Sum of each case."""
    result = Range(low=0.0, best=0.0, high=0.0)
    for one in ranges:
        result += one
    return result


def _sum(cases: Sequence[Cases]) -> Range:
    low, best, high = (sum(case[number] for case in cases) for number in range(3))
    return Range(low=low, best=best, high=high)
